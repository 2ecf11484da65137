"""The benchmark of the second run: what counts as another report, and what it complains of."""

from __future__ import annotations

from benchmarks.second_run import Line
from benchmarks.second_run import differences
from benchmarks.second_run import faults

REPORT = {"kind": "no-loss", "pairs": [{"why": "x", "replies": [{"text": "a", "cached": False, "timings": {"s": 1}}]}]}
KEPT = {"kind": "no-loss", "pairs": [{"why": "x", "replies": [{"text": "a", "cached": True, "timings": {"s": 2}}]}]}


def test_only_times_and_what_was_kept_may_differ() -> None:
    assert differences(REPORT, KEPT) == []
    assert differences(REPORT, {**KEPT, "kind": "stale"}) == ["kind"]
    assert differences(REPORT, {**KEPT, "pairs": []}) == ["pairs"]
    assert differences(REPORT, {**KEPT, "more": 1}) == ["more"]
    other = {"kind": "no-loss", "pairs": [{"why": "x", "replies": [{"text": "b", "cached": True}]}]}
    assert differences(REPORT, other) == ["pairs/0/replies/0/text"]


def test_every_fault_is_said() -> None:
    small, long = Line("small", (20.0, 5.0), (4, 0), (0, 9), ()), Line("long", (70.0, 7.0), (2, 0), (0, 9), ())
    assert faults([small, long]) == []
    assert faults([Line("small", (20.0, 5.0), (4, 1), (0, 9), ("kind",)), long]) == [
        "small: the second run loaded 1 times",
        "small: the reports differ in kind",
    ]
    assert faults([small, Line("long", (50.0, 6.0), (2, 0), (0, 9), ())]) == [
        "long: 50 s are no minute; ask more with --questions",
        "long: 8.3 times as fast, 10 are wanted",
    ]
