"""Signs of life from a call that gives none by itself."""

from __future__ import annotations

import threading

import pytest

from pytest_quantcheck.engines.bounds import signs_of_life


def test_signs_come_while_something_works_and_end_with_it() -> None:
    signs: list[str] = []
    third = threading.Event()

    def progress(doing: str, *_: int) -> None:
        signs.append(doing)
        if len(signs) == 3:
            third.set()

    threads = threading.active_count()
    with signs_of_life(progress, every_s=0.001):
        assert third.wait(60)

    assert threading.active_count() == threads
    assert set(signs) == {""}


def test_signs_do_not_go_on_for_ever() -> None:
    signs: list[str] = []
    with signs_of_life(lambda doing, *_: signs.append(doing), every_s=0.0, most=5):
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and thread.name.endswith("(tell)"):
                thread.join(60)

    assert len(signs) == 5


def test_an_error_ends_them_too() -> None:
    threads = threading.active_count()
    with pytest.raises(ValueError, match="x"), signs_of_life(lambda *_: None):
        raise ValueError("x")

    assert threading.active_count() == threads
