"""Given answers through whole pytest runs: what is lost, what is shown, and that nothing else is made of it."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import DIED
from tests.plugin.conftest import Gate

SUITE = """
import pytest

@pytest.mark.quant_choice(answer="Lima")
def test_peru(quant):
    quant.choose("Peru?", ["Lima", "Quito", "La Paz"])
"""
LIMA, QUITO, LA_PAZ = [-1.0, -2.5, -4.0], [-3.0, -2.5, -4.0], [-3.0, -2.5, -1.0]


def test_a_lost_choice_fails_and_shows_both(gate: Gate) -> None:
    gate.pytester.makepyfile(SUITE)
    gate.answers({"Peru?": LIMA}, {"Peru?": QUITO})

    outcome = gate.run()

    assert outcome.result.ret == 1
    assert outcome.words == {"test_peru": "regressed"}
    outcome.result.stdout.fnmatch_lines(
        [
            "REGRESSED: choice 1 -> 0 (chose 'Quito' (margin 0.5); right is 'Lima'; the baseline chose 'Lima' "
            "(margin 1.5))",
            "*baseline*'Lima' -1.00, 'Quito' -2.50, 'La Paz' -4.00",
            "*candidate*'Quito' -2.50, 'Lima' -3.00, 'La Paz' -4.00",
        ]
    )
    [pair] = outcome.report["pairs"]
    assert [pair[side]["choices"][0]["loglikelihoods"] for side in ("baseline", "candidate")] == [LIMA, QUITO]
    assert pair["candidate"]["choices"][0]["choices"] == ["Lima", "Quito", "La Paz"]
    assert pair["marker"] == "choice"
    assert (pair["candidate"]["status"], pair["candidate"]["replies"]) == ("ok", [])


@pytest.mark.parametrize(
    ("old", "new", "word", "kind"),
    [
        (LIMA, LIMA, "held", "no-loss"),
        (QUITO, LIMA, "improved", "no-loss"),
        (QUITO, QUITO, "inherited", "no-loss"),
        (QUITO, LA_PAZ, "inherited", "no-loss"),
        (LIMA, DIED, "unscored", "crashed"),
        (DIED, LIMA, "unpaired", "crashed"),
    ],
)
def test_every_verdict(old: object, new: object, word: str, kind: str, plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE)
    plain_gate.answers({"Peru?": old}, {"Peru?": new})

    outcome = plain_gate.run()

    assert (outcome.words["test_peru"], outcome.kind) == (word, kind)


def test_another_wrong_choice_can_be_counted(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE)
    plain_gate.answers({"Peru?": QUITO}, {"Peru?": LA_PAZ})

    outcome = plain_gate.run("-rx")

    outcome.result.stdout.fnmatch_lines(["*chose 'La Paz' (margin 1.5); right is 'Lima'; the baseline chose 'Quito'*"])


def test_a_body_that_only_asserts_on_a_choice_asked_something(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        def test_it(quant):
            assert quant.choose("Peru?", ["Lima", "Quito", "La Paz"]).text == "Lima"
        """
    )
    plain_gate.answers({"Peru?": LIMA}, {"Peru?": QUITO})

    outcome = plain_gate.run()

    assert outcome.kind == "regression"
    assert "asked the model nothing" not in outcome.result.stdout.str()


def test_choices_are_not_drawn_so_a_test_of_choices_alone_runs_once(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        SUITE
        + """
@pytest.mark.quant_choice(answer="Lima")
def test_both(quant):
    quant.chat("hello")
    assert quant.choose("Peru?", ["Lima", "Quito", "La Paz"]).asked
"""
    )
    answers = {"Peru?": LIMA, "hello": "hello"}
    plain_gate.answers(answers, answers)

    outcome = plain_gate.run("--quant-samples=3")

    runs = {pair["pair"].split("::")[-1]: pair["candidate"]["runs"] for pair in outcome.report["pairs"]}
    assert runs == {"test_peru": 1, "test_both": 3}
    assert [len(pair["candidate"]["choices"]) for pair in outcome.report["pairs"]] == [1, 1]


def test_a_lost_choice_cannot_be_confirmed_by_asking_again(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE)
    plain_gate.answers({"Peru?": LIMA}, {"Peru?": QUITO})

    outcome = plain_gate.run("--quant-confirm")

    assert outcome.kind == "regression"
    [confirmation] = outcome.report["confirmations"]
    assert confirmation["confirmed"] is None
    assert "could not be asked again: it draws no answer, so every repetition says the same" in confirmation["why"]


@pytest.mark.parametrize("baseline", [True, False])
def test_a_right_answer_that_is_no_choice_fails_the_test_in_one_line(baseline: bool, plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE.replace('answer="Lima"', "answer=3"))
    plain_gate.answers({"Peru?": LIMA}, {"Peru?": LIMA})

    outcome = plain_gate.run(baseline=baseline)

    outcome.result.assert_outcomes(failed=1)
    assert outcome.result.ret == 1
    outcome.result.stdout.fnmatch_lines(["quant_choice: answer=3 of 3 choices; the first has index 0"])
    assert "Traceback" not in outcome.result.stdout.str()


def test_the_same_choice_twice_is_refused(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE.replace('"Quito"', '"Lima"'))
    plain_gate.answers({"Peru?": LIMA}, {"Peru?": LIMA})

    outcome = plain_gate.run()

    outcome.result.stdout.fnmatch_lines(["*no answer from the engine: the choice 'Lima' is given twice"])


def test_an_engine_that_cannot_choose_skips(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE)
    plain_gate.pytester.makeconftest(
        """
        from pytest_quantcheck import ScriptedEngine

        def pytest_quantcheck_engine(role, source):
            return ScriptedEngine(lambda prompt: "x", name=source)
        """
    )

    outcome = plain_gate.run("-rs")

    outcome.result.assert_outcomes(skipped=2)
    outcome.result.stdout.fnmatch_lines(["*this engine cannot do it: this scripted engine has no function choose"])


def test_the_self_test_spoils_choices_too(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE)
    plain_gate.answers({"Peru?": LIMA}, {"Peru?": LIMA})

    for kind, word in {"noise": "regressed", "swapped": "regressed", "budget": "held", "thinking": "held"}.items():
        outcome = plain_gate.run(f"--quant-sabotage={kind}")

        assert outcome.words["test_peru"] == word, kind
