"""Every row of the table in docs/explanation/verdicts.md through whole pytest runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from tests.plugin.conftest import DIED
from tests.plugin.conftest import HUNG
from tests.plugin.conftest import REFUSED
from tests.plugin.conftest import Gate

# three facts make partial scores; 'other' is held, so that a run always compares something
SUITE = """
import pytest

@pytest.mark.quant_recall(expect=["red", "green", "blue"], min_score=0.9)
def test_it(quant):
    quant.chat("colours?", max_tokens=6)

def test_other(quant):
    assert quant.chat("other?").text == "same"
"""
ALL, TWO, ONE, NONE = "red green blue", "red green", "red", "nothing"
STARVED = "<think> " + "hm " * 30
TRUNCATED = "red green blue " * 10


@dataclass(frozen=True)
class Row:
    name: str
    old: str | None
    new: str
    word: str
    outcome: str
    exit: int


ROWS = [
    Row("held", ALL, ALL, "held", "passed", 0),
    Row("improved", NONE, ALL, "improved", "passed", 0),
    Row("improved, still failing", ONE, TWO, "improved", "xfailed", 0),
    Row("regressed", ALL, NONE, "regressed", "failed", 1),
    Row("regressed to partial", ALL, TWO, "regressed", "failed", 1),
    Row("regressed below the floor", TWO, ONE, "regressed", "failed", 1),
    Row("inherited", NONE, NONE, "inherited", "xfailed", 0),
    Row("inherited, partial", TWO, TWO, "inherited", "xfailed", 0),
    Row("candidate starved", ALL, STARVED, "unscored", "failed", 1),
    Row("candidate truncated", ALL, TRUNCATED, "unscored", "failed", 1),
    Row("candidate starved, baseline wrong", NONE, STARVED, "unscored", "failed", 1),
    Row("both starved", STARVED, STARVED, "unscored", "xfailed", 0),
    Row("starved against truncated", STARVED, TRUNCATED, "unscored", "xfailed", 0),
    Row("baseline starved, candidate right", STARVED, ALL, "unscored", "passed", 0),
    Row("baseline starved, candidate wrong", STARVED, NONE, "unscored", "xfailed", 0),
    Row("candidate died", ALL, DIED, "unscored", "errors", 1),
    Row("candidate hung", NONE, HUNG, "unscored", "errors", 1),
    Row("candidate refused", STARVED, REFUSED, "unscored", "errors", 1),
    Row("both died", DIED, DIED, "unscored", "errors", 1),
    Row("baseline died, candidate right", DIED, ALL, "unpaired", "passed", 1),
    Row("baseline died, candidate wrong", DIED, NONE, "unpaired", "failed", 1),
    Row("no baseline, right", None, ALL, "unpaired", "passed", 0),
    Row("no baseline, wrong", None, NONE, "unpaired", "failed", 1),
    Row("no baseline, starved", None, STARVED, "unpaired", "failed", 1),
    Row("no baseline, died", None, DIED, "unscored", "errors", 1),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_row_of_the_table(plain_gate: Gate, row: Row) -> None:
    plain_gate.pytester.makepyfile(SUITE)
    plain_gate.answers({"colours?": row.old, "other?": "same"}, {"colours?": row.new, "other?": "same"})

    outcome = plain_gate.run(baseline=row.old is not None)

    assert outcome.words["test_it"] == row.word
    counts = {"passed": 1}
    counts[row.outcome] = counts.get(row.outcome, 0) + 1
    outcome.result.assert_outcomes(**counts)
    assert outcome.result.ret == row.exit
    assert outcome.report["exit_status"] == row.exit


def test_all_rows_in_one_run(gate: Gate) -> None:
    rows = [row for row in ROWS if row.old is not None]
    tests = [
        f"""
@pytest.mark.quant_recall(expect=["red", "green", "blue"], min_score=0.9)
def test_{number}(quant):
    quant.chat("{row.name}", max_tokens=6)
"""
        for number, row in enumerate(rows)
    ]
    gate.pytester.makepyfile("import pytest\n" + "".join(tests))
    gate.answers({row.name: row.old for row in rows}, {row.name: row.new for row in rows})

    outcome = gate.run()

    assert outcome.words == {f"test_{number}": row.word for number, row in enumerate(rows)}
    outcome.result.assert_outcomes(**Counter(row.outcome for row in rows))
    assert outcome.result.ret == 1


def test_a_regression_shows_both_answers_and_no_traceback(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile("def test_sum(quant):\n    assert quant.chat('2+2?').text == '4'\n")
    plain_gate.answers({"2+2?": "<think>easy</think>4"}, {"2+2?": "five\x1b[31m"})

    outcome = plain_gate.run()

    text = outcome.result.stdout.str()
    outcome.result.stdout.fnmatch_lines(
        [
            "*REGRESSED: assertions 1 -> 0 (*test_a_regression*.py:2: assert 'five*' == '4'*",
            "*baseline*4 tokens (3 thinking), ok:*",
            "*'4'",
            "*candidate*1 tokens (0 thinking), ok:*",
            r"*'five\x1b[[]31m'",
        ]
    )
    assert "pytest_quantcheck/" not in text
    assert "full-trace" not in text
    assert "\x1b[31mfive" not in text


def test_an_engine_failure_shows_its_last_words(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile("def test_sum(quant):\n    quant.chat('2+2?')\n")
    plain_gate.answers({"2+2?": "4"}, {"2+2?": DIED})

    outcome = plain_gate.run()

    outcome.result.stdout.fnmatch_lines(["*no answer from the engine: last words of llama.cpp"])
    assert "pytest_quantcheck/" not in outcome.result.stdout.str()


def test_a_swallowed_engine_failure_is_still_an_error(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        def test_sum(quant):
            try:
                quant.chat('2+2?')
            except Exception:
                pass
        """
    )
    plain_gate.answers({"2+2?": "4"}, {"2+2?": DIED})

    outcome = plain_gate.run()

    assert outcome.words == {"test_sum": "unscored"}
    outcome.result.assert_outcomes(errors=1)


@pytest.mark.parametrize(
    "body", ["assert nonsense", "import no_such_module", "quant.chat('2+2?').txet", "quant.caht('2+2?')"]
)
def test_a_broken_test_is_never_inherited(plain_gate: Gate, body: str) -> None:
    """A typo fails on both sides alike; calling that 'inherited' would turn the gate green by silence."""
    plain_gate.pytester.makepyfile(f"def test_sum(quant):\n    {body}\n")
    plain_gate.answers({"2+2?": "4"}, {"2+2?": "4"})

    outcome = plain_gate.run()

    outcome.result.assert_outcomes(failed=1)
    assert outcome.result.ret == 1


def test_without_a_baseline_the_tests_own_traceback_shows(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile("def test_sum(quant):\n    assert quant.chat('2+2?').json == 4\n")
    plain_gate.answers({}, {"2+2?": "four"})

    outcome = plain_gate.run(baseline=False)

    outcome.result.stdout.fnmatch_lines([">*assert quant.chat('2+2?').json == 4", "E*AssertionError: *JSON*"])
    assert "pytest_quantcheck/" not in outcome.result.stdout.str()


def test_tolerance_allows_a_drop_of_the_named_check_only(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.quant_tolerance(recall=0.4)
        @pytest.mark.quant_recall(expect=["red", "green", "blue"], min_score=0.1)
        def test_allowed(quant):
            quant.chat("colours?")

        @pytest.mark.quant_tolerance(json=0.4)
        @pytest.mark.quant_recall(expect=["red", "green", "blue"], min_score=0.1)
        def test_not_allowed(quant):
            quant.chat("colours?")
        """
    )
    plain_gate.answers({"colours?": ALL}, {"colours?": TWO})

    assert plain_gate.run().words == {"test_allowed": "held", "test_not_allowed": "regressed"}


def test_a_skip_is_a_skip_on_both_sides(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile("import pytest\ndef test_no(quant):\n    pytest.skip('not today')\n")
    plain_gate.answers({}, {})

    plain_gate.run().result.assert_outcomes(skipped=2)


def test_a_failing_fixture_of_the_baseline_does_not_fail_the_run_by_itself(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def thing(quant_model):
            if quant_model.role == "baseline":
                raise RuntimeError("no thing")

        def test_it(quant, thing):
            assert quant.chat("2+2?").text == "4"
        """
    )
    plain_gate.answers({"2+2?": "4"}, {"2+2?": "4"})

    outcome = plain_gate.run()

    assert outcome.words == {"test_it": "unpaired"}
    assert outcome.kind == "nothing-compared"
    assert outcome.result.ret == 1


def test_xfail_marks_of_the_user_are_respected(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.xfail(strict=True, reason="known loss")
        def test_it(quant):
            assert quant.chat("2+2?").text == "4"

        def test_other(quant):
            assert quant.chat("2+2?")
        """
    )
    plain_gate.answers({"2+2?": "4"}, {"2+2?": "5"})

    outcome = plain_gate.run()

    outcome.result.assert_outcomes(passed=1, xfailed=1)


def test_parameters_called_like_roles_stay_apart(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("word", ["baseline", "candidate"])
        def test_word(quant, word):
            assert quant.chat(word).text == word
        """
    )
    answers = {"baseline": "baseline", "candidate": "wrong"}
    plain_gate.answers({"baseline": "wrong", "candidate": "candidate"}, answers)

    alone = plain_gate.run(baseline=False)
    paired = plain_gate.run()

    assert list(alone.words) == ["test_word[baseline]", "test_word[candidate]"]
    assert paired.words == {"test_word[baseline]": "improved", "test_word[candidate]": "regressed"}


def test_starving_against_a_dead_baseline_is_no_regression(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile("def test_it(quant):\n    quant.chat('x', max_tokens=3)\n")
    plain_gate.answers({"x": DIED}, {"x": STARVED})

    outcome = plain_gate.run()

    assert outcome.kind == "crashed"
    assert outcome.result.ret == 1


def test_a_loss_between_identical_files_is_called_chance(plain_gate: Gate) -> None:
    """Different answers from the same bytes: the run fails, but nobody should blame the quantization."""
    old, new = (plain_gate.pytester.path / name for name in ("old", "new"))
    old.write_bytes(b"same")
    new.write_bytes(b"same")
    plain_gate.pytester.makepyfile("def test_it(quant):\n    assert quant.chat('x').text == 'y'\n")
    plain_gate.answers({"x": "y"}, {"x": "z"})

    outcome = plain_gate.run()

    outcome.result.stdout.fnmatch_lines(["A/A, both files have the same content: REGRESSION: 1 requirement lost*"])


def test_a_test_of_the_model_itself_needs_no_question(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        "def test_it(quant_model):\n    assert quant_model.card.name == quant_model.engine._name"
    )
    plain_gate.answers({}, {})
    outcome = plain_gate.run()
    assert outcome.result.ret == 0
    assert outcome.words == {"test_it": "held"}
