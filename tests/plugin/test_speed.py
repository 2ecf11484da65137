"""quant_speed in whole runs: both models in turn, the speed section, workers that share a machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plugin.conftest import Gate

SUITE = """
import pytest

@pytest.mark.quant_speed({keywords})
def test_fast(quant):
    pass
"""
_CONFTEST = """
import json, pathlib
from pytest_quantcheck import ScriptedEngine

SPEEDS = json.loads({speeds!r})

def pytest_quantcheck_engine(role, source):
    speeds = SPEEDS[source]
    return ScriptedEngine(str, name=source, bench_tok_s=lambda number: (500.0, speeds[number % len(speeds)]))
"""


def speeds(gate: Gate, old: list[float], new: list[float]) -> None:
    gate.pytester.makeconftest(_CONFTEST.format(speeds=json.dumps({"old": old, "new": new})))


def score(report: dict[str, Any]) -> dict[str, Any]:
    [pair] = report["pairs"]
    [found] = [score for score in pair["candidate"]["scores"] if score["check"] == "speed"]
    return dict(found)


@pytest.mark.parametrize(
    ("new", "word", "answer", "status"),
    [
        ([45.0, 45.1, 44.9], "regressed", "regression", 1),
        ([50.0, 50.1, 49.9], "held", "no-regression", 0),
        ([20.0, 80.0, 50.0], "held", "cannot-tell", 0),
    ],
)
def test_the_models_take_turns(plain_gate: Gate, new: list[float], word: str, answer: str, status: int) -> None:
    plain_gate.pytester.makepyfile(test_it=SUITE.format(keywords="vs_baseline=True"))
    speeds(plain_gate, [50.0, 50.2, 49.9], new)

    outcome = plain_gate.run()

    assert outcome.words == {"test_fast": word}
    assert outcome.result.ret == status
    assert score(outcome.report)["answer"] == answer
    [pair] = outcome.report["pairs"]
    duel = pair["candidate"]["duel"]
    assert duel["order"] == ("BCCB" * 5)[: 20 if answer == "cannot-tell" else 10]
    assert pair["baseline"]["duel"] is None
    [instrument] = outcome.report["verdict"]["instruments"]
    assert (instrument["check"], instrument["answer"]) == ("speed", answer)


def test_the_section_says_it_all(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(test_it=SUITE.format(keywords="vs_baseline={'decode': 0.08}, depth=64"))
    speeds(plain_gate, [50.0, 50.2, 49.9], [47.0, 47.1, 46.9])

    outcome = plain_gate.run("--quant-summary=summary.md")

    outcome.result.stdout.fnmatch_lines(
        [
            "speed * baseline  candidate * ratio of speeds * verdict",
            "test_fast  decode tok/s, 64 + 512 + 128 tokens * 50 * 47  x0.939 (0.938 to 0.94)  not slower",
            "5 pairs of runs in turn (BCCBBCCBBC), both loaded at once; so many runs show a",
            "  loss of: decode 0.13 %",
            "*Speed: no regression*",
        ]
    )
    text = (plain_gate.pytester.path / "summary.md").read_text(encoding="utf-8")
    assert "x0.939" in text
    assert "not slower" in text


def test_why_nobody_can_tell_is_said_and_strictness_fails_it(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(test_it=SUITE.format(keywords="vs_baseline={'decode': 0.05}"))
    speeds(plain_gate, [50.0], [20.0, 80.0, 50.0])

    outcome = plain_gate.run("--quant-strict")

    outcome.result.assert_outcomes(passed=1)
    outcome.result.stdout.fnmatch_lines(["decode: cannot tell: the candidate's own runs scatter by *"])
    assert (outcome.kind, outcome.result.ret) == ("cannot-tell", 1)


def test_without_a_baseline_floors_count_and_comparisons_hold(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(test_it=SUITE.format(keywords="vs_baseline=True, decode=40, ttft_s=2"))
    speeds(plain_gate, [], [45.0])

    outcome = plain_gate.run(baseline=False)

    outcome.result.assert_outcomes(passed=1)
    assert (score(outcome.report)["value"], score(outcome.report)["answer"]) == (1.0, "")
    assert "there is nothing to compare with here" in score(outcome.report)["why"]


def test_a_floor_that_both_miss_and_a_lost_comparison_is_a_regression(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(test_it=SUITE.format(keywords="vs_baseline=True, decode=60"))
    speeds(plain_gate, [50.0], [40.0])

    outcome = plain_gate.run()

    assert outcome.words == {"test_fast": "regressed"}
    assert score(outcome.report)["value"] == 0.0
    outcome.result.stdout.fnmatch_lines(["*REGRESSED: speed 0.5 -> 0 (decode median 40 tok/s *slower by 20 %*"])


def test_workers_that_share_the_machine_judge_no_speed(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        test_limit=SUITE.format(keywords="decode=1") + "\ndef test_chat(quant):\n    pass\n",
        test_turns=SUITE.format(keywords="vs_baseline=True"),
    )
    speeds(plain_gate, [50.0], [20.0])

    outcome = plain_gate.run("-n2")

    outcome.result.assert_outcomes(skipped=4, passed=1)
    why = "speed is not judged: 2 pytest-xdist workers share this machine; run speed tests with -n0"
    outcome.result.stdout.fnmatch_lines([f"quantcheck: 4 skipped: {why}"])


def test_a_test_that_runs_many_times_measures_once(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.quant_speed(vs_baseline=True)
        def test_fast(quant):
            quant.chat("?")
        """
    )
    speeds(plain_gate, [50.0, 50.0, 50.0, 50.0, 50.0, 50.0], [50.0] * 6 + [20.0])

    outcome = plain_gate.run("--quant-samples=3")

    assert outcome.words == {"test_fast": "held"}
    assert score(outcome.report)["answer"] == "no-regression"
    # one for the answers, one for the only duel
    assert outcome.report["roles"]["baseline"]["use"]["loads"] == 2


def test_a_body_can_ask_for_the_duel_itself(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        from pytest_quantcheck import BenchRequest
        from pytest_quantcheck import Role

        def test_fast(quant):
            if quant.role is Role.CANDIDATE:
                assert quant.duel(BenchRequest(repeats=3)).order == "BCCBBC"
                assert quant.bench(BenchRequest(repeats=3, depth=9)).depth == 9
        """
    )
    speeds(plain_gate, [50.0], [40.0])

    outcome = plain_gate.run()

    outcome.result.assert_outcomes(passed=1)
    outcome.result.stdout.fnmatch_lines(["test_fast  decode tok/s, 512 + 128 tokens * x0.8 (0.8 to 0.8)*slower"])
