"""How much of a run is left: tests, tokens and time, out of what the finished tests took. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field
from typing import Final

from pytest_quantcheck.records import SIDES
from pytest_quantcheck.records import Role
from pytest_quantcheck.variants import pair_key

ENOUGH: Final = 3
"""Finished tests of a role before anything is concluded from them."""
_SMOOTHING: Final = 0.3
"""How far a new estimate of the end moves the one that is shown; a single test must not make it jump."""


@dataclass(frozen=True, slots=True)
class Left:
    """What remains; None where nothing can be said yet."""

    tests: int
    of: int
    tokens: float | None = None
    seconds: float | None = None


@dataclass(slots=True)
class _Spent:
    """What tests took together: seconds, tokens of the answers, and those of them that no cache gave."""

    tests: int = 0
    seconds: float = 0.0
    tokens: int = 0
    fresh: int = 0
    silent: int = 0
    """Tests without a generated answer: they measure."""
    expected: int = 0
    """Tokens of the baseline halves of these tests."""

    def add(self, other: _Spent) -> None:
        self.tests += other.tests
        self.seconds += other.seconds
        self.tokens += other.tokens
        self.fresh += other.fresh
        self.silent += other.silent
        self.expected += other.expected


@dataclass(slots=True)
class _Side:
    """One role's tests."""

    left: int = 0
    done: _Spent = field(default_factory=_Spent)
    timed: dict[bool, _Spent] = field(default_factory=lambda: {True: _Spent(), False: _Spent()})
    """Those whose seconds say something of the ones to come, the silent ones apart: not the first, which loaded the
    model."""

    def per_test(self) -> float | None:
        """Seconds of a test of either kind."""
        tests = sum(kind.tests for kind in self.timed.values())
        return sum(kind.seconds for kind in self.timed.values()) / tests if tests else None


class Forecast:
    """Takes in what every test took.

    A candidate's test is expected to cost what its baseline half cost, corrected by what the candidate's finished tests
    cost beside theirs. A baseline's test, and a candidate's whose half is not known, costs the mean so far. Answers of
    the cache cost nothing. All figures are kept as sums: a question costs the same at 20,000 tests as at 20.

    Time is that of the tokens, at the speed seen so far, and that of the tests which generate none (they measure speed,
    fidelity or vectors), as many seconds each as they took so far.

    :param workers: processes that run tests at the same time.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._roles: dict[str, Role] = {}
        self._sides = {role: _Side() for role in SIDES}
        self._running: dict[str, _Spent] = {}
        self._halves: dict[str, _Spent] = {}  # baseline halves of candidates that are not finished
        self._known = _Spent()  # the sum of these
        self._waiting: set[str] = set()  # candidates' pairs that are not finished
        self._total = 0
        self._end: float | None = None
        self._finished = -1  # tests, when the end was estimated last

    def expect(self, tests: Iterable[tuple[str, Role]]) -> None:
        """Node ids of tests that will run, each with its role."""
        for nodeid, role in tests:
            self._roles[nodeid] = role
            self._sides[role].left += 1
            self._total += 1
            if role is Role.CANDIDATE:
                self._waiting.add(pair_key(nodeid))

    def add(self, nodeid: str, seconds: float, tokens: int = 0, fresh: int = 0) -> None:
        """A phase of a test took so long and generated so much."""
        self._running.setdefault(nodeid, _Spent(1)).add(_Spent(0, seconds, tokens, fresh))

    def finish(self, nodeid: str) -> None:
        """A test is over; one that is run again counts once."""
        spent = self._running.pop(nodeid, _Spent(1))
        spent.silent = int(not spent.tokens)
        role = self._roles.pop(nodeid, None)
        if role is None:
            return
        side, pair = self._sides[role], pair_key(nodeid)
        side.left -= 1
        if role is Role.BASELINE:
            if pair in self._waiting:
                self._halves[pair] = spent
                self._known.add(spent)
        else:
            self._waiting.discard(pair)
            half = self._halves.pop(pair, None)
            if half is not None:
                spent.expected = half.tokens
                self._known.add(_Spent(-1, -half.seconds, -half.tokens, -half.fresh, -half.silent))
        side.done.add(spent)
        if side.done.tests > self.workers:
            side.timed[bool(spent.silent)].add(spent)

    def left(self, now: float) -> Left:
        """What remains at the time ``now`` (seconds of any clock)."""
        tests = sum(side.left for side in self._sides.values())
        finished = self._total - tests
        if finished < ENOUGH or not tests:
            return Left(tests, self._total)
        if finished != self._finished:
            self._finished = finished
            seconds = self._seconds()
            end = None if seconds is None else now + seconds / self.workers
            old = self._end
            self._end = end if old is None or end is None else old + _SMOOTHING * (end - old)
        return Left(tests, self._total, self._tokens(), None if self._end is None else max(0.0, self._end - now))

    def _tokens(self) -> float:
        return self._sides[Role.BASELINE].left * self._mean_fresh(Role.BASELINE) + self._candidate_tokens()

    def _mean_fresh(self, role: Role) -> float:
        done = self._sides[role].done
        return done.fresh / done.tests if done.tests else 0.0

    def _candidate_tokens(self) -> float:
        """Those that the candidate's remaining tests will generate."""
        side, before = self._sides[Role.CANDIDATE], self._sides[Role.BASELINE].done
        if not before.tests:
            return side.left * self._mean_fresh(Role.CANDIDATE)
        mean = before.tokens / before.tests
        expected = self._known.tokens + (side.left - self._known.tests) * mean
        done = side.done
        return expected * (done.fresh / done.expected if done.tests >= ENOUGH and done.expected else 1.0)

    def _seconds(self) -> float | None:
        """All that is left, in seconds of one worker; None while too little is known."""
        before, side = self._sides[Role.BASELINE], self._sides[Role.CANDIDATE]
        mean = before.per_test() if before.done.tests else side.per_test()
        if mean is None:
            return None
        if not before.done.tests:
            return side.left * mean
        found = before.left * mean
        unknown = side.left - self._known.tests
        silent = self._known.silent + unknown * before.done.silent / before.done.tests
        if silent:
            timed = side.timed[True] if side.timed[True].tests else before.timed[True]
            found += silent * (timed.seconds / timed.tests if timed.tests else mean)
        if tokens := self._candidate_tokens():
            spoke = next((one.timed[False] for one in (side, before) if one.timed[False].fresh), None)
            if spoke is None:
                return None  # the cache answered for the baseline: nobody knows how fast the candidate is
            found += tokens * spoke.seconds / spoke.fresh
        return found
