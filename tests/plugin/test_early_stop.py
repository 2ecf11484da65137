"""quant_early_stop: what is generated no further than it takes is scored as if it had been."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_quantcheck.reports import json_report
from tests.plugin.conftest import Gate
from tests.plugin.conftest import Outcome

SCHEMA = Path(json_report.__file__).with_name("report.schema.json")
THOUGHT = "<think>hm</think>"
ANSWERS = {
    "good": THOUGHT + '{"a": 7}',
    "wrapped": THOUGHT + 'Sure: {"a": 7}',
    "other": THOUGHT + '{"a": 8}',
    "wrong": THOUGHT + '{"b": 1}',
    "broken, holds": THOUGHT + 'Sure: {"a": 1 "b": 2 and so on to 7',
    "broken, loops": '{"a": x' + " and" * 60,
    "broken, thinks again": '{"a": x} </think>',
    "whole, loops": '{"a": "' + " and" * 60,
    "empty": THOUGHT,
    "unclosed": "<think>hm",
}
STOPPED = {"broken, holds", "broken, loops", "broken, thinks again"}
PAIRS = [f"{old} -> {new}" for old, new in product(("good", "broken, holds", "whole, loops"), ANSWERS)]
SUITE = f"""
import pytest

@pytest.mark.parametrize("pair", {PAIRS!r})
@pytest.mark.quant_early_stop
@pytest.mark.quant_json(keys=["a"])
def test_json(quant, pair):
    assert "7" in quant.chat(pair).text
"""
UNMARKED = SUITE.replace("@pytest.mark.quant_early_stop\n", "")
_BLIND = """
from dataclasses import replace
_make = pytest_quantcheck_engine
def pytest_quantcheck_engine(role, source):
    engine = _make(role, source)
    ask = engine.chat
    def chat(request):
        asked.append(request)
        return ask(replace(request, generation=replace(request.generation, stop=())))
    asked = []
    engine.chat = chat
    return engine
"""


def everything(gate: Gate, suite: str) -> Outcome:
    gate.pytester.makepyfile(test_it=suite)
    sides = [{pair: ANSWERS[pair.split(" -> ")[side]] for pair in PAIRS} for side in (0, 1)]
    gate.answers(*sides)
    return gate.run("--tb=no", "-q")


def blind(gate: Gate) -> None:
    """The engine ends nothing early."""
    conftest = gate.pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text() + _BLIND)


def said(outcome: Outcome) -> dict[str, tuple[str, str, dict[str, float], dict[str, float]]]:
    """Of every pair the word, what became of its item, and both sides' scores."""
    return {
        pair["pair"]: (
            pair["verdict"]["word"],
            pair["verdict"]["outcome"],
            {score["check"]: score["value"] for score in pair["baseline"]["scores"]},
            {score["check"]: score["value"] for score in pair["candidate"]["scores"]},
        )
        for pair in outcome.report["pairs"]
    }


def scores(pair: tuple[str, str, dict[str, float], dict[str, float]], check: str) -> tuple[float, float]:
    return pair[2][check], pair[3][check]


def judged(outcome: Outcome) -> dict[str, tuple[Any, ...]]:
    """What must not hang on where an answer was ended."""
    return {name: (*pair[:2], scores(pair, "json")) for name, pair in said(outcome).items()}


def replies(outcome: Outcome) -> dict[str, list[dict[str, Any]]]:
    """By the name of the answer in `ANSWERS`, every reply of both sides."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ANSWERS}
    for pair in outcome.report["pairs"]:
        names = pair["pair"].split("[")[1].removesuffix("]").split(" -> ")
        for name, role in zip(names, ("baseline", "candidate"), strict=True):
            found[name] += pair[role]["replies"]
    return found


def test_what_ends_early_changes_no_verdict(plain_gate: Gate) -> None:
    watched = everything(plain_gate, SUITE)
    ends = {name: {reply["finish"] for reply in found} for name, found in replies(watched).items()}
    assert ends == {name: {"early"} if name in STOPPED else {"stop"} for name in ANSWERS}

    blind(plain_gate)
    whole = everything(plain_gate, SUITE)

    assert {reply["finish"] for found in replies(whole).values() for reply in found} == {"stop"}
    assert judged(watched) == judged(whole)
    assert said(watched) != said(whole), "no body saw another answer, so nothing was put to the test"
    assert (watched.result.ret, watched.kind) == (whole.result.ret, whole.kind)
    assert {"held", "improved", "regressed", "inherited"} == {word for word, *_ in said(whole).values()}


def test_without_the_marker_every_score_is_the_same_and_nothing_ends_early(plain_gate: Gate) -> None:
    """The marker only makes nothing else count where one side fails every check altogether."""
    marked, plain = everything(plain_gate, SUITE), everything(plain_gate, UNMARKED)

    assert {reply["finish"] for found in replies(plain).values() for reply in found} == {"stop"}
    assert "ended early" not in plain.result.stdout.str()
    before, now = said(plain), said(marked)
    assert [scores(pair, "json") for pair in now.values()] == [scores(pair, "json") for pair in before.values()]
    other = {pair for pair in before if before[pair][:2] != now[pair][:2]}
    assert other
    assert all(0 in scores(now[pair], "json") for pair in other)
    assert all(now[pair][0] != "regressed" for pair in other)


def test_the_saving_is_reported(gate: Gate) -> None:
    gate.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.quant_early_stop
        @pytest.mark.quant_constraint(forbidden="cat")
        def test_form(quant):
            quant.chat("animals?", max_tokens=50)
        """
    )
    gate.answers({"animals?": THOUGHT + "dog cow"}, {"animals?": THOUGHT + "dog cat cow " + "hen " * 20})

    outcome = gate.run("--quant-summary=run.md")

    jsonschema.validate(outcome.report, json.loads(SCHEMA.read_text()))
    [pair] = outcome.report["pairs"]
    [old], [new] = pair["baseline"]["replies"], pair["candidate"]["replies"]
    assert (old["finish"], old["spared"]) == ("stop", 0)
    # <think> hm </think> dog cat cow: a word is over when another comes
    assert (new["finish"], new["status"], new["text"], new["spared"]) == ("early", "ok", "dog cat cow", 44)
    outcome.result.stdout.fnmatch_lines(
        [
            "REGRESSED: constraint 1 -> 0 (0 of 1 parts held; 'cat' is forbidden)",
            "  candidate    6 tokens (3 thinking), ended early:",
            "answers ended early, nothing could change their scores: 1 of the candidate; this saved at most 44 tokens",
        ]
    )
    assert "ended early:" in (gate.pytester.path / "run.md").read_text()


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(
    ("old", "new", "word", "outcome"),
    [
        ("<think>hm</think>ok", "<think>" + " hm" * 20, "unscored", "failed"),
        ("<think>" + " hm" * 20, "<think>hm</think>ok", "unscored", "passed"),
        ("<think>hm</think>ok", "<think> hm hm </think> ok yes", "regressed", "failed"),
    ],
)
def test_a_starved_thought_stays_another_outcome_than_a_passed_budget(
    plain_gate: Gate, old: str, new: str, word: str, outcome: str, marked: bool
) -> None:
    mark = "@pytest.mark.quant_early_stop" if marked else ""
    plain_gate.pytester.makepyfile(
        f"""
        import pytest

        {mark}
        @pytest.mark.quant_budget(thinking_tokens=3)
        def test_it(quant):
            quant.chat("?", max_tokens=2)
        """
    )
    plain_gate.answers({"?": old}, {"?": new})

    [pair] = plain_gate.run().report["pairs"]

    assert (pair["verdict"]["word"], pair["verdict"]["outcome"]) == (word, outcome)


def test_an_answer_that_no_budget_is_enough_for_is_scored_where_it_is_decided(plain_gate: Gate) -> None:
    endless = THOUGHT + '{"a": x ' + " ".join(map(str, range(100)))
    plain_gate.pytester.makepyfile(
        test_it=SUITE.replace(repr(PAIRS), '["?"]').replace("quant.chat(pair)", "quant.chat(pair, max_tokens=8)")
    )
    plain_gate.answers({"?": ANSWERS["good"]}, {"?": endless})

    [pair] = plain_gate.run().report["pairs"]
    assert (pair["verdict"]["word"], pair["candidate"]["replies"][0]["attempts"]) == ("regressed", 1)

    blind(plain_gate)
    [pair] = plain_gate.run().report["pairs"]
    assert (pair["verdict"]["word"], pair["candidate"]["replies"][0]["attempts"]) == ("unscored", 3)


def test_a_second_question_is_a_broken_test(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.quant_early_stop

        @pytest.mark.quant_json
        def test_two(quant):
            quant.chat("json?")
            quant.chat("json?")

        @pytest.mark.quant_json
        def test_two_in_a_row(quant):
            quant.complete("json?")

        def test_nothing_to_stop(quant):
            quant.chat("json?")
            quant.chat("json?")
        """
    )
    plain_gate.answers({"json?": "{}"}, {"json?": "{}"})

    outcome = plain_gate.run()

    assert outcome.words == {"test_two": "unscored", "test_two_in_a_row": "held", "test_nothing_to_stop": "held"}
    outcome.result.stdout.fnmatch_lines(
        [
            "*MarkerError: quant_early_stop is for tests that ask one question; this one asks a second",
        ]
    )


def test_where_some_score_is_never_fixed_nothing_ends_early(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.quant_early_stop

        @pytest.mark.quant_json
        @pytest.mark.quant_snapshot(exact=True)
        def test_exact(quant):
            quant.chat("json?")

        @pytest.mark.quant_json
        @pytest.mark.quant_tools(none=True)
        def test_tools(quant):
            quant.chat("json?")

        def test_assertion(quant):
            assert quant.chat("json?").json

        class TestBoth:
            @pytest.mark.quant_json
            @pytest.mark.quant_budget(total_tokens=5)
            def test_both(self, quant):
                quant.chat("json?")
        """
    )
    broken = "{x and so on and so on"
    plain_gate.answers({"json?": broken}, {"json?": broken})

    outcome = plain_gate.run()

    tokens = {
        pair["pair"].split("::")[-1]: pair["candidate"]["replies"][0]["usage"]["total"]
        for pair in outcome.report["pairs"]
    }
    assert tokens == {"test_exact": 7, "test_tools": 7, "test_assertion": 7, "test_both": 6}


@pytest.mark.parametrize("before", [SUITE, UNMARKED], ids=["marked", "before it was marked"])
def test_a_recorded_baseline_keeps_how_its_answers_ended(plain_gate: Gate, before: str) -> None:
    live = judged(everything(plain_gate, SUITE))
    plain_gate.pytester.makepyfile(test_it=before)
    recording = plain_gate.pytester.runpytest("-p", "no:randomly", "--quant-model=old", "--snapshot-update", "--tb=no")
    recording.assert_outcomes(passed=len(PAIRS))
    plain_gate.pytester.makepyfile(test_it=SUITE)

    outcome = plain_gate.run("--tb=no", baseline=False)

    assert judged(outcome) == live
    for pair in outcome.report["pairs"]:
        [reply] = pair["baseline"]["replies"]
        stops = before == SUITE and any(f"[{name} ->" in pair["pair"] for name in STOPPED)
        assert (reply["finish"], reply["spared"] > 0) == ("early" if stops else "stop", stops)


def test_several_runs_of_a_test_are_whole(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        "import pytest\n@pytest.mark.quant_early_stop\n@pytest.mark.quant_json\n"
        "def test_it(quant):\n    assert '7' in quant.chat('json?').text\n"
    )
    wrong = "{x and so on to 7"
    plain_gate.answers({"json?": [wrong, "{}"]}, {"json?": ["{}", wrong]})

    [pair] = plain_gate.run("--quant-samples=2").report["pairs"]

    assert {reply["finish"] for role in ("baseline", "candidate") for reply in pair[role]["replies"]} == {"stop"}
    assert pair["verdict"]["word"] == "inherited"


@pytest.mark.parametrize("answer", ["{}", "{x and so on"])
def test_lost_tests_are_asked_again_under_the_same_rule(plain_gate: Gate, answer: str) -> None:
    plain_gate.pytester.makepyfile(
        "import pytest\n@pytest.mark.quant_early_stop\n@pytest.mark.quant_json\n"
        "def test_it(quant):\n    quant.chat('json?')\n"
    )
    plain_gate.answers({"json?": "{}"}, {"json?": {"0": "{x and so on", "else": answer}})

    outcome = plain_gate.run("--quant-confirm")

    [confirmation] = outcome.report["confirmations"]
    assert confirmation["confirmed"] is (answer != "{}")


def test_asked_again_they_are_compared_as_before(plain_gate: Gate) -> None:
    """Fresh answers within tolerance, of which the body would only have seen the end in whole ones."""
    plain_gate.pytester.makepyfile(
        "import pytest\n@pytest.mark.quant_early_stop\n@pytest.mark.quant_json\n"
        "@pytest.mark.quant_tolerance(json=1)\ndef test_it(quant):\n    assert '7' in quant.chat('json?').text\n"
    )
    plain_gate.answers({"json?": "{} 7"}, {"json?": {"0": "{}", "else": "{x and so on to 7"}})

    [confirmation] = plain_gate.run("--quant-confirm").report["confirmations"]

    assert confirmation["confirmed"] is False


def test_a_keyword_is_one_line(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        "import pytest\n@pytest.mark.quant_early_stop(after=3)\n@pytest.mark.quant_json\ndef test_it(quant): pass\n"
    )
    plain_gate.answers({}, {})

    outcome = plain_gate.run()

    assert outcome.result.ret == 4
    outcome.result.stderr.fnmatch_lines(
        ["ERROR: *quant_early_stop(after=...): unknown keyword 'after'; allowed: no keyword"]
    )
