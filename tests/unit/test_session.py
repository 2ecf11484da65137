"""The verdict on a whole run: its kind, its sentence, what to do next; as a pure function."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_quantcheck.fairness import Difference
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Word
from pytest_quantcheck.session import KINDS
from pytest_quantcheck.session import SessionVerdict
from pytest_quantcheck.session import session_verdict
from pytest_quantcheck.session import thinking_inflation
from pytest_quantcheck.statistics import Rule
from pytest_quantcheck.tally import Tally
from pytest_quantcheck.verdict import Result
from tests.builders import reply
from tests.unit.results import BOTH_STARVED
from tests.unit.results import BROKEN_TEST
from tests.unit.results import DIED
from tests.unit.results import HELD
from tests.unit.results import IMPROVED
from tests.unit.results import INHERITED
from tests.unit.results import LOST
from tests.unit.results import ORPHANED
from tests.unit.results import STARVED
from tests.unit.results import UNPAIRED
from tests.unit.results import UNPAIRED_FAILED
from tests.unit.results import result
from tests.unit.results import samples

BOTH = (Role.BASELINE, Role.CANDIDATE)


@pytest.mark.parametrize(
    ("results", "kind", "sentence"),
    [
        ([], "nothing-compared", "NO VERDICT: no test of the candidate ran"),
        ([HELD], "no-loss", "NO LOSS: none of 1 requirement was lost"),
        ([HELD, INHERITED], "no-loss", "NO LOSS: none of 2 requirements was lost (1 failed by both files)"),
        ([HELD, IMPROVED], "no-loss", "NO LOSS: none of 2 requirements was lost (1 gained)"),
        ([HELD, BOTH_STARVED, UNPAIRED], "no-loss", "NO LOSS: none of 3 requirements was lost (2 not comparable)"),
        ([HELD, LOST], "regression", "REGRESSION: 1 requirement lost (0 gained; chance alone: 25 %)"),
        (
            [LOST, LOST, IMPROVED, IMPROVED],
            "regression",
            "REGRESSION: 2 requirements lost (2 gained; chance alone: 50 %)",
        ),
        (
            [LOST] * 9,
            "regression",
            "REGRESSION: 9 requirements lost (0 gained; chance alone: less than 1 %)",
        ),
        (
            samples(4, 0, 2),
            "regression",
            "REGRESSION: samples: 4 lost and 0 won of 6 samples; score -67 points (90 % interval -97 to -3, margin -5)",
        ),
        (
            [*samples(2, 2, 60, "a"), *samples(7, 0, 3, "b"), HELD],
            "regression",
            "REGRESSION: samples: 9 lost and 2 won of 74 samples; score -9 points (90 % interval -17 to -2, margin -5);"
            " by family b (7 lost, 0 won of 10)",
        ),
        (
            samples(1, 2, 3),
            "cannot-tell",
            "CANNOT TELL: 1 lost and 2 won of 6 samples; score +17 points (90 % interval -40 to +65, margin -5): "
            "too few samples to call that a loss or to rule one out",
        ),
        (
            [*samples(0, 0, 50), HELD, INHERITED],
            "no-regression",
            "NO REGRESSION: 0 lost and 0 won of 50 samples; score 0 points (90 % interval -5 to +5, margin -5). "
            "None of 2 requirements was lost (1 failed by both files)",
        ),
        (
            [*samples(0, 0, 4), HELD],
            "cannot-tell",
            "CANNOT TELL: 0 lost and 0 won of 4 samples; score 0 points (90 % interval -47 to +47, margin -5): "
            "only 4 scored samples; at least 5 are needed. None of 1 requirement was lost",
        ),
        (
            [*samples(0, 0, 90), result(Word.UNSCORED, family="sums")],
            "no-regression",
            "NO REGRESSION: 0 lost and 0 won of 90 samples, 1 without an answer; "
            "score 0 points (90 % interval -3 to +3, margin -5)",
        ),
        (
            [*samples(0, 0, 47), result(Word.UNSCORED, family="sums")],
            "cannot-tell",
            "CANNOT TELL: 0 lost and 0 won of 47 samples, 1 without an answer; score 0 points "
            "(90 % interval -5 to +5, margin -5): the samples without an answer could turn the verdict",
        ),
        ([HELD, STARVED], "regression", "REGRESSION: 1 test without an answer within the budget"),
        ([HELD, DIED], "crashed", "CRASHED: 1 test stopped by the engine"),
        ([HELD, BROKEN_TEST], "failed", "FAILED: 1 test failed without a comparison"),
        ([HELD, UNPAIRED_FAILED], "failed", "FAILED: 1 test failed without a comparison"),
        (
            [LOST, STARVED, DIED, DIED, UNPAIRED_FAILED],
            "regression",
            "REGRESSION: 1 requirement lost (0 gained; chance alone: 25 %); 1 test without an answer within the "
            "budget; 1 test failed without a comparison; 2 tests stopped by the engine",
        ),
        ([BOTH_STARVED, BOTH_STARVED], "nothing-compared", "NO VERDICT: none of 2 tests could be compared"),
        ([UNPAIRED], "nothing-compared", "NO VERDICT: none of 1 test could be compared"),
    ],
)
def test_the_verdict_on_a_run(results: list[Result], kind: str, sentence: str) -> None:
    verdict = session_verdict(results, roles=BOTH)

    assert (verdict.kind, verdict.sentence) == (kind, sentence)
    assert verdict.fails is (kind not in ("no-loss", "no-regression", "cannot-tell"))
    assert verdict.next_step
    assert kind in KINDS


@pytest.mark.parametrize(
    ("results", "kind", "sentence"),
    [
        ([result(Word.UNPAIRED)] * 2, "no-loss", "PASSED: all 2 tests; nothing was compared"),
        ([UNPAIRED, UNPAIRED_FAILED], "failed", "FAILED: 1 test failed without a comparison"),
        (
            [result(Word.UNPAIRED, "failed", budget=True)],
            "failed",
            "FAILED: 1 test without an answer within the budget",
        ),
        ([DIED], "crashed", "CRASHED: 1 test stopped by the engine"),
        ([], "nothing-compared", "NO VERDICT: no test of the candidate ran"),
    ],
)
def test_without_a_baseline_nothing_is_called_a_regression(results: list[Result], kind: str, sentence: str) -> None:
    verdict = session_verdict(results, roles=(Role.CANDIDATE,))

    assert (verdict.kind, verdict.sentence, verdict.reach) == (kind, sentence, "")
    if kind in ("failed", "no-loss"):
        assert "--quant-baseline" in verdict.next_step


def test_samples_without_a_baseline_are_not_judged_as_samples() -> None:
    verdict = session_verdict([result(Word.UNPAIRED, family="sums")] * 9, roles=(Role.CANDIDATE,))

    assert verdict.samples is None
    assert verdict.kind == "no-loss"


def test_cannot_tell_fails_when_the_user_is_strict() -> None:
    assert not session_verdict(samples(1, 1, 1), roles=BOTH).fails
    assert session_verdict(samples(1, 1, 1), roles=BOTH, strict=True).fails
    assert not session_verdict([HELD], roles=BOTH, strict=True).fails
    assert not session_verdict(samples(0, 0, 60), roles=BOTH, strict=True).fails


def test_the_same_file_twice_is_named_so() -> None:
    verdict = session_verdict([HELD, HELD, INHERITED, BOTH_STARVED], roles=BOTH, same_content=True)

    assert verdict.kind == "no-loss"
    assert verdict.sentence.startswith("A/A, both files have the same content: NO LOSS: none of 4 requirements")
    assert verdict.next_step == "compare two different files"


def test_the_same_file_under_two_conditions_is_no_a_a_run() -> None:
    cache = Difference("kv cache", "blocks", "the KV cache is q4_0 on one side", ("quality",), allowed=True)

    sentence = session_verdict([HELD, LOST], roles=BOTH, same_content=True, differences=[cache]).sentence

    assert sentence.startswith("REGRESSION: 1 requirement lost")
    assert "chance or a broken engine" not in sentence


def test_the_same_file_twice_still_fails_when_it_lost() -> None:
    verdict = session_verdict([HELD, LOST], roles=BOTH, same_content=True)

    assert verdict.fails
    assert verdict.sentence.endswith("; equal files cannot differ, so this is chance or a broken engine")


@pytest.mark.parametrize(
    ("results", "next_step"),
    [
        ([LOST, STARVED, DIED], "the engine's words stand under the failed tests above"),
        ([LOST, STARVED], "*pytest --lf*"),
        ([BROKEN_TEST], "*pytest --lf*"),
        (samples(9, 0), "*-rx*"),
        ([STARVED], "raise --quant-max-tokens or --quant-ctx*"),
        ([BOTH_STARVED], "every answer was cut: raise --quant-max-tokens or --quant-ctx"),
        ([BOTH_STARVED, UNPAIRED], "cure the baseline first: the baseline's engine failed: last words"),
        ([HELD, INHERITED, INHERITED], "more than half of the tests fail on the baseline too*"),
        ([HELD, INHERITED], "the candidate kept what these tests ask for*"),
        (samples(0, 0, 6), "add samples: about 46 that come out like these would decide*"),
        (samples(1, 0, 9), "add samples: about 28 that come out like these would decide*"),
        (samples(1, 1, 8), "add samples: about 224 that come out like these would decide*"),
        (samples(0, 0, 3, inherited=9), "ask what the baseline can do*"),
        ([*samples(0, 0, 9), *[result(Word.UNSCORED, family="sums")] * 9], "raise --quant-max-tokens*"),
    ],
)
def test_what_to_do_next(results: list[Result], next_step: str) -> None:
    pytest.LineMatcher([session_verdict(results, roles=BOTH).next_step]).fnmatch_lines([next_step])


@pytest.mark.parametrize(
    ("results", "reach"),
    [
        (
            samples(1, 1, 4),
            "6 samples can show this much: a regression takes 4 losses and no win; a true drop of 96 points is found "
            "4 times in 5, a smaller one less often; 'no regression' within 5 points takes 46 samples or more",
        ),
        (
            [HELD] * 20,
            "What these tests do not ask they cannot tell. 20 samples can show this much: a regression takes 4 losses "
            "and no win; a true drop of 30 points is found 4 times in 5, a smaller one less often; "
            "'no regression' within 5 points takes 46 samples or more",
        ),
        ([HELD], "What these tests do not ask they cannot tell. 1 sample cannot show a loss, however large; *"),
        (
            samples(0, 40, 60),
            "100 samples can show this much: a regression takes 4 losses and no win; a true drop of 8 points is found*",
        ),
        (
            [*samples(0, 0, 20), *[result(family="sums", cluster="one document")] * 30],
            "21 independent samples can show this much: a regression takes 4 losses and no win; a true drop of 29 *",
        ),
        ([BOTH_STARVED], ""),
    ],
)
def test_what_the_suite_could_have_seen(results: list[Result], reach: str) -> None:
    pytest.LineMatcher([session_verdict(results, roles=BOTH).reach]).fnmatch_lines([reach])


def test_several_answers_a_sample_are_judged_by_their_own_spread() -> None:
    some = [result(Word.REGRESSED, family="sums", runs=3, change=-1 / 3), result(family="sums", runs=3)] * 10

    verdict = session_verdict(some, roles=BOTH)

    assert verdict.reach == (
        "20 samples of 3 answers each can show this much: with a spread like theirs a true drop of about 13 points is "
        "found 4 times in 5"
    )


# --- fairness ---

BLOCKED = Difference(
    "kv cache", "blocks", "the candidate ran with a q4_0 KV cache, the baseline with f16", ("quality",)
)
SLOWED = Difference("threads", "blocks", "the sides had 2 and 4 threads", ("speed",))
EXPLAINS = Difference("chat template", "explains", "the chat templates differ", ("attribution",))
ASKED = result(replies=(reply("72"),))
MEASURED = result(bench=Bench((1.0,), (1.0,), 1, 1))


def judged(results: list[Result], *differences: Difference) -> SessionVerdict:
    return session_verdict(results, roles=BOTH, differences=differences)


def test_a_blocked_comparison_is_unfair_whatever_came_out() -> None:
    verdict = judged([ASKED, LOST], BLOCKED)

    assert (verdict.kind, verdict.fails) == ("unfair", True)
    assert verdict.sentence == f"UNFAIR, no verdict: {BLOCKED.text}"
    assert verdict.next_step == 'make both sides alike, or judge in spite of it: --quant-allow="kv cache"'
    assert verdict.differences == (BLOCKED,)


def test_an_allowed_difference_blocks_nothing_and_is_printed() -> None:
    allowed = Difference(BLOCKED.row, BLOCKED.level, BLOCKED.text, BLOCKED.kinds, allowed=True)

    verdict = judged([ASKED], allowed)

    assert verdict.kind == "no-loss"
    assert verdict.sentence.endswith("; compared in spite of kv cache (--quant-allow)")


def test_a_kind_of_verdict_that_nobody_asked_for_is_not_blocked() -> None:
    assert judged([ASKED], SLOWED).kind == "no-loss"
    assert judged([ASKED, MEASURED], SLOWED).kind == "unfair"
    assert judged([MEASURED], BLOCKED).kind == "no-loss"


def test_a_loss_outweighs_an_unfair_speed() -> None:
    assert judged([ASKED, MEASURED, LOST], SLOWED).kind == "regression"


def test_what_explains_a_loss_is_said_with_it_and_only_with_it() -> None:
    assert judged([ASKED, LOST], EXPLAINS).sentence.endswith(
        "; the files also differ in chat template, so the recipe need not be the cause"
    )
    assert "template" not in judged([ASKED], EXPLAINS).sentence


def test_a_pinned_template_is_said_with_every_verdict() -> None:
    verdict = session_verdict([HELD], roles=BOTH, template_pinned=True)

    assert verdict.sentence.endswith("; both sides rendered with the baseline's chat template")


def test_where_nothing_could_be_compared_the_cure_comes_before_fairness() -> None:
    unpaired = result(Word.UNPAIRED, why="the baseline's engine failed: last words", replies=(reply("72"),))

    assert judged([unpaired], BLOCKED).kind == "nothing-compared"


@pytest.mark.parametrize("others", [[], [HELD] * 50, samples(0, 0, 60)])
def test_a_test_whose_baseline_died_is_not_taken_for_kept(others: list[Result]) -> None:
    verdict = judged([*others, ORPHANED])

    assert (verdict.kind, verdict.fails) == ("crashed", True)
    assert verdict.sentence == "CRASHED: 1 test not compared, the baseline's engine failed"
    assert verdict.next_step == "cure the baseline: the baseline's engine failed: last words"


def test_engines_that_died_on_both_sides_are_counted_apart() -> None:
    verdict = judged([HELD, DIED, ORPHANED])

    assert verdict.sentence == (
        "CRASHED: 1 test stopped by the engine; 1 test not compared, the baseline's engine failed"
    )


# --- laws ---

all_results = st.lists(
    st.sampled_from([HELD, IMPROVED, LOST, INHERITED, STARVED, BOTH_STARVED, DIED, BROKEN_TEST, UNPAIRED])
    | st.builds(
        result,
        st.sampled_from([Word.HELD, Word.IMPROVED, Word.REGRESSED, Word.INHERITED]),
        marker=st.sampled_from(["json", "tools"]),
        family=st.sampled_from(["", "a", "b"]),
    ),
    max_size=12,
)


def words(tally: Tally) -> int:
    return sum(getattr(tally, word.value) for word in Word)


@settings(deadline=None)
@given(all_results, st.booleans())
def test_tallies_add_up(results: list[Result], same_content: bool) -> None:
    verdict = session_verdict(results, roles=BOTH, same_content=same_content)

    assert sum(tally.pairs for tally in verdict.markers) == len(results)
    assert sum(tally.pairs for tally in verdict.families) == sum(bool(result.family) for result in results)
    for tally in (*verdict.markers, *verdict.families):
        assert words(tally) == tally.pairs == tally.counts[0]
        assert sum(tally.counts[1:-1]) == tally.pairs
    assert sum(tally.failed for tally in verdict.markers) == sum(result.verdict.counts for result in results)
    assert [tally.name for tally in verdict.markers] == sorted({result.marker for result in results})


@settings(deadline=None)
@given(all_results, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_a_run_fails_when_a_test_or_the_samples_do_and_never_turns_green_by_silence(
    results: list[Result], same_content: bool, strict: bool, chance: Any
) -> None:
    def judged(order: list[Result]) -> SessionVerdict:
        return session_verdict(order, roles=BOTH, same_content=same_content, strict=strict)

    verdict = judged(results)

    compared = [r for r in results if r.verdict.word not in (Word.UNSCORED, Word.UNPAIRED)]
    failed = any(r.verdict.counts for r in results)
    if verdict.samples is not None:
        failed |= verdict.samples.answer == "regression" or (strict and verdict.samples.answer == "cannot-tell")
    assert verdict.fails is (failed or not compared)
    shuffled = chance.sample(results, len(results))
    assert (judged(shuffled).kind, judged(shuffled).sentence) == (verdict.kind, verdict.sentence)


@settings(deadline=None)  # figures of the power are searched once and then remembered
@given(all_results, st.sampled_from([0.01, 0.05, 0.2]), st.sampled_from([0.01, 0.05, 0.2]))
def test_a_verdict_survives_its_payload(results: list[Result], margin: float, alpha: float) -> None:
    verdict = session_verdict(results, roles=BOTH, rule=Rule.of(margin, alpha), differences=[BLOCKED])

    assert SessionVerdict.from_payload(verdict.to_payload()) == verdict


def test_the_thought_of_an_answer_that_ended_early_is_not_compared() -> None:
    def thought(role: Role, tokens: int, *, early: bool = False) -> Observation:
        one = reply("x", thinking_tokens=tokens, total=tokens + 1)
        return Observation("t", role, Status.OK, (), (replace(one, finish="early") if early else one,))

    whole = [(thought(Role.BASELINE, 300), thought(Role.CANDIDATE, 600))] * 3
    early = (thought(Role.BASELINE, 300, early=True), thought(Role.CANDIDATE, 600))

    assert thinking_inflation(whole) is not None
    assert thinking_inflation([early] * 3) is None
    assert thinking_inflation([*whole, early]) == thinking_inflation(whole)


def test_what_a_server_does_not_tell_is_no_difference_that_was_seen() -> None:
    hidden = Difference(
        "not told", "explains", "the candidate's server does not tell its chat template", ("attribution",)
    )

    assert judged([ASKED, LOST], hidden).sentence.endswith(
        "; the files may also differ in what their servers do not tell, so the recipe need not be the cause"
    )
    assert "also differ in chat template, so" in judged([ASKED, LOST], EXPLAINS, hidden).sentence


def test_what_was_allowed_is_named_once() -> None:
    allowed = Difference("not told", "blocks", "x", ("quality",), allowed=True)

    assert judged([ASKED], allowed, allowed).sentence.endswith("; compared in spite of not told (--quant-allow)")
