"""What a kill at a random moment costs: ``python -m benchmarks.kills`` in small; it kills 200 times."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.kills import VICTIMS
from benchmarks.kills import Bench

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
pytest.importorskip("xdist", reason="pytest-xdist is not installed")
pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


def test_a_kill_loses_nothing_and_makes_no_verdict_wrong(tmp_path: Path) -> None:
    bench = Bench(tmp_path.resolve(), pairs=8)
    expected = bench.undisturbed()

    trials = [bench.trial(victim, seed, expected) for seed, victim in enumerate(VICTIMS)]

    assert [line for trial in trials for line in trial.wrong] == []
    assert any(trial.killed for trial in trials)
