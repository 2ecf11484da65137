"""SIGTERM ends a run like Ctrl-C, and only where nobody else handles it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from pytest_quantcheck.termination import end_on_sigterm

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_it_interrupts_once() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_on_sigterm()
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "the second one ends at once"


def test_it_can_be_taken_back() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    take_back = end_on_sigterm()
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    take_back()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_somebody_else_stays() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_on_sigterm()()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_another_thread_changes_nothing() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    thread = threading.Thread(target=lambda: end_on_sigterm()())
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
