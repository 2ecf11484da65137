"""What measured figures add to the verdict on a run: beside answers, alone, undecided, unfair."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_quantcheck.fairness import Difference
from pytest_quantcheck.records import Answer
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Verdict
from pytest_quantcheck.records import Word
from pytest_quantcheck.session import SessionVerdict
from pytest_quantcheck.session import session_verdict
from pytest_quantcheck.verdict import Result
from tests.builders import reply
from tests.unit.results import HELD
from tests.unit.results import LOST
from tests.unit.results import result
from tests.unit.results import samples

BOTH = (Role.BASELINE, Role.CANDIDATE)
ANSWERED = result(replies=(reply("yes"),))
COARSE = Difference("kv cache", "blocks", "the KV caches differ", ("distribution",))
SLOWED = Difference("threads", "blocks", "the sides had 2 and 4 threads", ("speed",))
GREEDY = Difference("sampling", "blocks", "one side was drawn", ("quality",))


def measured(
    check: str, answer: Answer, *, word: Word = Word.HELD, why: str = "about 90 chunks would decide"
) -> Result:
    """A test that only measures, and what its check says."""
    lost = answer == "regression"
    word = Word.REGRESSED if lost else word
    score = Score(check, 0.0 if lost else 1.0, why, answer=answer)
    seen = Observation(f"test_{check}", Role.CANDIDATE, Status.OK, (score,))
    verdict = Verdict(word, "failed" if lost else "passed", why, change=-1.0 if lost else 0.0)
    return Result(f"test_{check}", f"test_{check}[candidate]", check, "", seen, verdict)


def judged(*results: Result, **more: Any) -> SessionVerdict:
    return session_verdict(results, roles=BOTH, **more)


@pytest.mark.parametrize(
    ("results", "kind", "sentence"),
    [
        (
            [HELD, measured("fidelity", "no-regression"), measured("speed", "cannot-tell")],
            "no-loss",
            "NO LOSS: none of 3 requirements was lost. Fidelity: no regression; speed: cannot tell",
        ),
        (
            [measured("speed", "no-regression"), measured("fidelity", "no-regression")],
            "no-loss",
            "NO LOSS: none of 2 requirements was lost. Fidelity: no regression; speed: no regression",
        ),
        (
            [measured("fidelity", "no-regression"), measured("fidelity", "cannot-tell")],
            "cannot-tell",
            "CANNOT TELL: none of 2 requirements was lost. Fidelity: cannot tell",
        ),
        (
            [HELD, measured("fidelity", "regression"), measured("fidelity", "cannot-tell")],
            "regression",
            "REGRESSION: 1 requirement lost (0 gained; chance alone: 25 %). Fidelity: regression",
        ),
        (
            [*samples(0, 0, 90), measured("memory", "cannot-tell")],
            "no-regression",
            "NO REGRESSION: 0 lost and 0 won of 90 samples; score 0 points (90 % interval -3 to +3, margin -5). "
            "None of 1 requirement was lost. Memory: cannot tell",
        ),
    ],
)
def test_figures_stand_beside_the_answers(results: list[Result], kind: str, sentence: str) -> None:
    verdict = judged(*results)

    assert (verdict.kind, verdict.sentence) == (kind, sentence)
    assert verdict.fails is (kind == "regression")
    assert len(verdict.instruments) == sum(one.candidate.compared_figures for one in results)


@pytest.mark.parametrize("beside", [[], [HELD], samples(0, 0, 90)], ids=["alone", "requirement", "samples"])
def test_a_strict_run_fails_on_figures_that_cannot_tell(beside: list[Result]) -> None:
    undecided = judged(*beside, measured("fidelity", "cannot-tell"), strict=True)
    decided = judged(*beside, measured("fidelity", "no-regression"), strict=True)

    assert (undecided.kind, undecided.fails) == ("cannot-tell", True)
    assert undecided.sentence.startswith("CANNOT TELL: ")
    assert undecided.sentence.endswith(". Fidelity: cannot tell")
    assert decided.fails is False


def test_what_to_do_about_figures_that_cannot_tell() -> None:
    for verdict in (judged(HELD, measured("fidelity", "cannot-tell")), judged(measured("fidelity", "cannot-tell"))):
        assert verdict.next_step == (
            "fidelity cannot tell in test_fidelity: about 90 chunks would decide; --quant-strict makes this fail"
        )
    few = judged(*samples(1, 2, 3), measured("fidelity", "cannot-tell"))
    assert few.next_step.startswith("add samples")


def test_a_run_of_figures_alone_says_nothing_of_lost_answers() -> None:
    assert judged(measured("fidelity", "no-regression")).reach == ""
    assert judged(measured("fidelity", "no-regression"), HELD).reach.startswith("What these tests do not ask")
    assert "1 sample" in judged(measured("fidelity", "no-regression"), HELD).reach


@pytest.mark.parametrize("answer", ["regression", "no-regression", "cannot-tell"])
def test_figures_that_must_not_be_compared_are_unfair_whatever_they_say(answer: Answer) -> None:
    verdict = judged(ANSWERED, measured("fidelity", answer), differences=[COARSE])

    assert (verdict.kind, verdict.fails) == ("unfair", True)
    assert verdict.sentence == "UNFAIR, no verdict: the KV caches differ"
    assert verdict.next_step.endswith('--quant-allow="kv cache"')


def test_a_lost_answer_outweighs_unfair_figures() -> None:
    verdict = judged(LOST, measured("fidelity", "regression"), differences=[COARSE])

    assert verdict.kind == "regression"
    assert verdict.sentence.startswith("REGRESSION: 1 requirement lost")


def test_what_is_unfair_to_others_does_not_touch_figures() -> None:
    assert judged(measured("fidelity", "no-regression"), differences=[SLOWED]).kind == "no-loss"
    assert judged(measured("fidelity", "no-regression"), differences=[GREEDY]).kind == "no-loss"
    assert judged(measured("speed", "no-regression"), differences=[SLOWED]).kind == "unfair"
    assert judged(ANSWERED, measured("fidelity", "no-regression"), differences=[GREEDY]).kind == "unfair"
