"""Measures two models in turn, in blocks of baseline, candidate, candidate, baseline: docs/explanation/speed.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pytest_quantcheck.benches import Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.machine import Watch
from pytest_quantcheck.speed_rules import is_restless

_NAMES: Final = {"B": "baseline", "C": "candidate"}


def duel(
    baseline: Engine,
    candidate: Engine,
    request: BenchRequest,
    *,
    together: Callable[[], bool],
    watch: Watch | None = None,
    copy_bytes_s: Callable[[], float | None] = lambda: None,
) -> Duel:
    """Both models' speed, pair by pair; twice as many pairs where a model's own runs differ much.

    Both are loaded and warmed up, then measured in turn. Where they do not fit in memory at a time, the model is loaded
    and warmed up for each measurement and the other one closed. How many pairs there are depends on how restless the
    figures of each model are, never on how they compare.

    :param request: its ``repeats`` are the pairs.
    :param together: whether both may be loaded; asked once, when the candidate is loaded.
    :param watch: looks at the machine meanwhile.
    :param copy_bytes_s: measures the memory's own speed; asked last, when nothing else runs.
    """
    fight = _Fight(baseline, candidate, request, watch or Watch())
    first = fight.warm_up("C")
    reloaded = not together()
    if reloaded:
        firsts = {}
    else:
        firsts = {"B": fight.warm_up("B"), "C": first}
    fight.run(request.repeats, reloaded)
    made = fight.duel(reloaded, firsts)
    if is_restless(made):
        fight.run(request.repeats, reloaded)
        made = fight.duel(reloaded, firsts)
    return replace(made, copy_bytes_s=copy_bytes_s())


class _Fight:
    """The measurements made so far."""

    def __init__(self, baseline: Engine, candidate: Engine, request: BenchRequest, watch: Watch) -> None:
        self._engines = {"B": baseline, "C": candidate}
        self._request = replace(request, repeats=1)
        self._watch = watch
        self._benches: dict[str, list[Bench]] = {"B": [], "C": []}
        self._order = ""
        self._loads: dict[str, int] = {}

    def warm_up(self, who: str) -> Bench:
        """Load if need be; the repetition that follows the warm-up is discarded too."""
        bench = self._bench(who, self._request)
        self._loads[who] = self._engines[who].loads
        return bench

    def run(self, pairs: int, reloaded: bool) -> None:
        """Measure so many pairs more."""
        for _ in range(pairs):
            for who in "CB" if len(self._order) // 2 % 2 else "BC":
                self._measure(who, reloaded)

    def _measure(self, who: str, reloaded: bool) -> None:
        request = self._request
        if reloaded:
            for one in self._engines.values():
                one.close()
        else:
            request = replace(request, warmup=0)
        with self._watch.measuring(lambda: getattr(self._engines[who], "pid", None)):
            self._benches[who].append(self._bench(who, request))
        self._order += who

    def _bench(self, who: str, request: BenchRequest) -> Bench:
        try:
            return self._engines[who].bench(request)
        except EngineError as error:
            raise type(error)(f"while both models were timed in turn, the {_NAMES[who]}: {error}") from None

    def duel(self, reloaded: bool, firsts: dict[str, Bench]) -> Duel:
        """The record of what was measured so far, with what the warm-up found in each side's first entry."""
        sides = {}
        for who, benches in self._benches.items():
            head, *rest = benches
            if who in firsts:
                warm = firsts[who]
                cold = warm.cold_prefill_tok_s
                head = replace(head, cold_prefill_tok_s=cold, warmup=warm.warmup + 1, settled=warm.settled)
            sides[who] = (head, *rest)
        return Duel(sides["B"], sides["C"], self._order, reloaded, self._warnings(sides, reloaded))

    def _warnings(self, sides: dict[str, tuple[Bench, ...]], reloaded: bool) -> tuple[str, ...]:
        found = list(self._watch.warnings())
        for who, name in _NAMES.items():
            if not all(bench.settled for bench in sides[who]):
                rounds = max(bench.warmup for bench in sides[who])
                found.append(f"the {name} still became faster after {rounds} rounds of warm-up")
            if not reloaded and self._engines[who].loads != self._loads[who]:
                found.append(f"the {name}'s engine was started anew between the measurements")
        return tuple(found)
