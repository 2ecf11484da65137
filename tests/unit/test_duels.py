"""The order of measurements, warm-up, reloading, and when there are twice as many pairs."""

from __future__ import annotations

from bisect import bisect_left as bisect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_quantcheck import contest
from pytest_quantcheck.benches import Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.contest import both_fit
from pytest_quantcheck.contest import compare_speed
from pytest_quantcheck.duels import duel
from pytest_quantcheck.engines.bandwidth import copy_bandwidth
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.scripted import ScriptedEngine
from pytest_quantcheck.gguf_card import KvLayers
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.machine import Watch
from pytest_quantcheck.memory_estimate import fits_together
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.records import Role
from pytest_quantcheck.settings import Settings
from tests.builders import card

REQUEST = BenchRequest(64, 16, 3)


class Logged(ScriptedEngine):
    """Writes down what is asked of it; ``settles`` after its warm-up, ``dies`` between two measurements."""

    def __init__(
        self,
        name: str,
        log: list[str],
        speeds: Callable[[int], tuple[float, float]] = lambda number: (500.0, 50.0),
        *,
        settles: bool = True,
        dies: bool = False,
    ) -> None:
        super().__init__(str, name=name, bench_tok_s=speeds)
        self._log = log
        self._settles = settles
        self._dies = dies
        self.facts: dict[str, bool | str] = {"gpu": False}

    def bench(self, request: BenchRequest) -> Bench:
        self._log.append(f"{self._name}{'' if request.warmup else '.'}")
        assert request.repeats == 1
        bench = super().bench(request)
        if self._dies:
            super().close()
        return replace(bench, cold_prefill_tok_s=7.0 if request.warmup else None, settled=self._settles)

    def close(self) -> None:
        self._log.append(f"close {self._name}")
        super().close()


def fought(
    log: list[str], old: Logged, new: Logged, tmp_path: Path, *, together: bool = True, request: BenchRequest = REQUEST
) -> Duel:
    def asked() -> bool:
        log.append("fits?")
        return together

    return duel(old, new, request, together=asked, watch=Watch(tmp_path), copy_bytes_s=lambda: 9.0)


def test_both_loaded_they_take_turns_in_blocks_of_four(tmp_path: Path) -> None:
    log: list[str] = []
    found = fought(log, Logged("B", log), Logged("C", log), tmp_path)

    # warm-up with a repetition that is discarded, then one repetition at a time
    assert log == ["C", "fits?", "B", *["B.", "C.", "C.", "B.", "B.", "C."]]
    assert (found.order, found.reloaded, found.copy_bytes_s, found.warnings) == ("BCCBBC", False, 9.0, ())
    assert len(found.baseline) == len(found.candidate) == 3
    assert [bench.cold_prefill_tok_s for bench in found.candidate] == [7.0, None, None]


def test_what_does_not_fit_is_loaded_anew_for_each_measurement(tmp_path: Path) -> None:
    log: list[str] = []
    old, new = Logged("B", log), Logged("C", log)
    found = fought(log, old, new, tmp_path, together=False)

    assert [entry for entry in log if "close" not in entry] == ["C", "fits?", *"BCCBBC"]
    assert (found.order, found.reloaded, found.warnings) == ("BCCBBC", True, ())
    assert (old.loads, new.loads) == (3, 4)
    # never both: before each measurement both are closed
    assert log[2:5] == ["close B", "close C", "B"]


def test_a_restless_model_gets_twice_as_many_pairs(tmp_path: Path) -> None:
    log: list[str] = []
    restless = Logged("C", log, lambda number: (500.0, 50.0 + 5 * (number % 2)))
    found = fought(log, Logged("B", log), restless, tmp_path, request=replace(REQUEST, repeats=5))
    assert found.order == "BCCBBCCBBC" + "CBBCCBBCCB"
    assert len(found.baseline) == len(found.candidate) == 10


def test_neighbours_stand_beside_each_other(tmp_path: Path) -> None:
    log: list[str] = []
    old = Logged("B", log, lambda number: (500.0, 50.0 + number / 100))
    new = Logged("C", log, lambda number: (500.0, 60.0 + number / 100))
    found = fought(log, old, new, tmp_path)
    # the first was the warm-up's
    assert [bench.decode_tok_s for bench in found.baseline] == [(50.01,), (50.02,), (50.03,)]
    assert [bench.decode_tok_s for bench in found.candidate] == [(60.01,), (60.02,), (60.03,)]


def test_what_forbids_a_verdict_is_written_down(tmp_path: Path) -> None:
    log: list[str] = []
    found = fought(log, Logged("B", log, settles=False), Logged("C", log, dies=True), tmp_path)
    assert len(found.warnings) == 2
    assert found.warnings[0].startswith("the baseline still became faster after ")
    assert found.warnings[1] == "the candidate's engine was started anew between the measurements"


@pytest.mark.parametrize("together", [True, False])
def test_whose_engine_fails_is_said(tmp_path: Path, together: bool) -> None:
    class Dead(Logged):
        def bench(self, request: BenchRequest) -> Bench:
            raise EngineDied("last words")

    log: list[str] = []
    with pytest.raises(EngineDied, match=r"^while both models were timed in turn, the baseline: last words$"):
        fought(log, Dead("B", log), Logged("C", log), tmp_path, together=together)


@pytest.mark.parametrize("together", [True, False])
def test_every_measurement_is_watched(tmp_path: Path, together: bool) -> None:
    class Waits(Logged):
        pid: int | None = None

        def bench(self, request: BenchRequest) -> Bench:
            self.pid = ord(self._name)
            path = tmp_path / f"proc/{self.pid}/task/1/schedstat"
            ran, waited, *_ = [*map(int, path.read_text().split())] if path.exists() else (0, 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            # the warm-up waits for long, which is nobody's business; each run that counts for a fifth of its time
            path.write_text(f"{ran + 4 * 10**9} {waited + (10**9 if log[:2] else 10**11)} 1")
            return super().bench(request)

        def close(self) -> None:
            super().close()
            (tmp_path / f"proc/{ord(self._name)}/task/1/schedstat").unlink(missing_ok=True)
            self.pid = None

    log: list[str] = []
    found = fought(log, Waits("B", log), Waits("C", log), tmp_path, together=together)
    assert found.warnings == ("other load: the engines waited for a free core for 20 % of their time",)


def sized(tensor_bytes: int) -> ModelCard:
    return replace(card(), architecture="llama", tensor_bytes=tensor_bytes, kv_layers=(KvLayers(2, 32, 32),))


@pytest.mark.parametrize(("on_gpu", "spare", "fits"), [(False, 0, True), (False, -1, False), (True, 1 << 50, False)])
def test_whether_both_fit(on_gpu: bool, spare: int, fits: bool) -> None:
    sides = [(sized(200), "f16"), (sized(240), "f32"), (card(), "f16")]
    least = bisect(range(1 << 40), True, key=lambda size: fits_together([(c, 10, kv) for c, kv in sides[:2]], size))
    assert both_fit(sides, 10, is_on_gpu=on_gpu, available=least + spare) == fits
    assert not both_fit(sides, 10, is_on_gpu=False, available=None)


def test_a_runs_duel_closes_the_baseline_and_asks_for_the_memorys_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    engines = {Role.BASELINE: Logged("B", log), Role.CANDIDATE: Logged("C", log)}
    threads: list[int] = []

    def bandwidth(number: int) -> float:
        threads.append(number)
        return 5.0

    monkeypatch.setattr(contest, "copy_bandwidth", bandwidth)
    monkeypatch.setattr(contest, "available_memory", lambda: 1)
    settings = Settings(model="c", baseline="b", threads=3)

    found = compare_speed(settings, Pins(), engines.__getitem__, REQUEST)
    assert (found.copy_bytes_s, threads, found.reloaded) == (5.0, [3], False)  # nothing fits into nothing
    assert log[-1] == "close B"

    engines[Role.CANDIDATE].facts = {"gpu": True, "gpu_layers": "all"}
    found = compare_speed(settings, Pins(), engines.__getitem__, REQUEST)
    assert (found.copy_bytes_s, threads, found.reloaded) == (None, [3], True)


def test_the_memorys_own_speed_is_measured_in_a_process_of_its_own() -> None:
    found = copy_bandwidth(1)
    assert found is not None
    assert found > 1e8
    assert copy_bandwidth(-1) is None
