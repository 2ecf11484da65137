"""The main job on the bundled models: the example suite, run as the README runs it."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.second_run import differences

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "example_suites" / "tiny"


@dataclass(frozen=True)
class Finished:
    result: pytest.RunResult
    report: dict[str, Any]

    @property
    def words(self) -> Counter[str]:
        return Counter(pair["verdict"]["word"] for pair in self.report["pairs"])


def compare(pytester: pytest.Pytester, model: str, baseline: str, *args: str, suite: Path = SUITE) -> Finished:
    path = pytester.path / "report.json"
    result = pytester.runpytest(
        str(suite), "--rootdir", str(SUITE), "-c", "/dev/null", "-p", "no:randomly", "-p", "no:cacheprovider",
        f"--quant-model={SUITE / 'models' / model}", f"--quant-baseline={SUITE / 'models' / baseline}",
        f"--quant-report={path}", *args,
    )  # fmt: skip
    return Finished(result, json.loads(path.read_text(encoding="ascii")))


def test_qat_against_ptq_of_the_same_format_loses_nothing(pytester: pytest.Pytester) -> None:
    done = compare(pytester, "tiny-qat-q4_0.gguf", "tiny-q4_0.gguf")

    assert done.result.ret == 0
    assert done.report["verdict"]["kind"] == "no-regression"
    assert done.words["improved"] > 5 * done.words["regressed"]
    done.result.stdout.fnmatch_lines(["NO REGRESSION: 0 lost and * won of * samples; *", "Next: *"])


@pytest.mark.parametrize(
    ("model", "baseline", "answer"),
    [("tiny-qat-q4_0.gguf", "tiny-q4_0.gguf", "no-regression"), ("tiny-q4_0.gguf", "tiny-qat-q4_0.gguf", "regression")],
    ids=["qat", "ptq"],
)
def test_fidelity_to_the_unquantized_file(pytester: pytest.Pytester, model: str, baseline: str, answer: str) -> None:
    reference = f"--quant-reference={SUITE / 'models' / 'tiny-f16.gguf'}"
    done = compare(pytester, model, baseline, reference, "-k", "test_running_text or test_answers")

    verdict = done.report["verdict"]
    assert [one["answer"] for one in verdict["instruments"]] == [answer] * 2
    assert verdict["kind"] == ("regression" if answer == "regression" else "no-loss")
    assert done.result.ret == (answer == "regression")
    # most of what the damaged file lost, and the QAT file has back
    lost, kept = ("candidate", "baseline") if answer == "regression" else ("baseline", "candidate")
    for pair in done.report["pairs"]:
        kl = {role: [sum(chunk["kl"] for chunk in one["chunks"]) for one in pair[role]["fidelities"]] for role in pair
              if role in (lost, kept)}  # fmt: skip
        assert all(10 * near < far for near, far in zip(kl[kept], kl[lost], strict=True))
    done.result.stdout.fnmatch_lines(["reference  tiny-f16.gguf *", "transcripts *baseline *", "*reference *"])
    if answer == "no-regression":
        done.result.stdout.fnmatch_lines(["of the baseline's perplexity drop the candidate recovers *"])


@pytest.mark.once
def test_ptq_against_unquantized_names_regressions_with_both_answers(pytester: pytest.Pytester) -> None:
    done = compare(pytester, "tiny-q4_0.gguf", "tiny-f16.gguf")

    assert done.result.ret == 1
    assert done.report["verdict"]["kind"] == "regression"
    lost = [
        family["name"] for family in done.report["verdict"]["samples"]["families"] if family["answer"] == "regression"
    ]
    # the model card has the rates of each task; with sixteen cases only large losses can be told from chance
    assert len(lost) >= 2
    # requirements in full, samples by the first flips of each family
    done.result.stdout.fnmatch_lines(["REGRESSED: *", "  baseline *tokens*", "*", "  candidate *tokens*"])
    for name in lost:
        done.result.stdout.fnmatch_lines([f"lost in {name}", "  test_*", "    baseline *", "    candidate *"])
    flips = [pair for pair in done.report["pairs"] if pair["verdict"]["flip"]]
    sides = [pair[role] for pair in flips for role in ("baseline", "candidate")]
    assert all(side["choices" if "test_likelier" in side["pair"] else "replies"] for side in sides)


@pytest.mark.once
@pytest.mark.parametrize("dist", [(), ("-n2",)], ids=["plain", "n2"])
def test_a_file_against_itself(pytester: pytest.Pytester, dist: tuple[str, ...]) -> None:
    done = compare(pytester, "tiny-q4_0.gguf", "tiny-q4_0.gguf", *dist)

    assert done.result.ret == 0
    assert done.report["same_content"]
    # the damaged file starves on some of its own answers: with nothing on either side there is nothing to compare
    assert set(done.words) <= {"held", "inherited", "unscored"}
    assert all(pair["verdict"]["outcome"] in ("passed", "xfailed") for pair in done.report["pairs"])
    done.result.stdout.fnmatch_lines(["A/A, both files have the same content: NO REGRESSION: *"])
    loads = {name: role["use"]["loads"] for name, role in done.report["roles"].items()}
    # in one process the baseline comes back to be timed beside the candidate; workers that share a machine time nothing
    assert loads == {"baseline": 2, "candidate": 2 if dist else 1}
    measured = [one["check"] for one in done.report["verdict"]["instruments"]]
    assert sorted(measured) == ["fidelity", "fidelity", "memory", *([] if dist else ["speed"])]


def test_workers_change_no_verdict(pytester: pytest.Pytester) -> None:
    one = compare(pytester, "tiny-q4_0.gguf", "tiny-f16.gguf", "-k", "test_tool or test_form")
    two = compare(pytester, "tiny-q4_0.gguf", "tiny-f16.gguf", "-k", "test_tool or test_form", "-n2")

    def verdicts(done: Finished) -> dict[str, tuple[str, str]]:
        return {p["pair"]: (p["verdict"]["word"], p["candidate"]["replies"][0]["raw"]) for p in done.report["pairs"]}

    assert verdicts(one) == verdicts(two)


def test_starving_both_sides_is_no_regression_and_says_how_to_cure_it(pytester: pytest.Pytester) -> None:
    # the suite's own tests name the tokens that their answers may have
    sums = pytester.makepyfile("""
        import pytest

        @pytest.mark.quant_sample
        @pytest.mark.parametrize("a", range(20, 28))
        def test_sum(quant, a):
            assert quant.chat(f"What is {a} + 45?").text == str(a + 45)
    """)
    done = compare(pytester, "tiny-q8_0.gguf", "tiny-f16.gguf", "--quant-max-tokens=1", suite=sums)

    assert done.words["regressed"] == 0
    assert done.report["verdict"]["kind"] == "nothing-compared"
    assert done.result.ret == 1
    done.result.stdout.fnmatch_lines(["NO VERDICT: *", "Next: *raise --quant-max-tokens*"])

    cured = compare(pytester, "tiny-q8_0.gguf", "tiny-f16.gguf", "--quant-max-tokens=64", suite=sums)

    assert cured.words["unscored"] == 0
    assert cured.words["held"] > 0


def test_a_budget_that_starves_the_candidate_alone_is_a_finding(pytester: pytest.Pytester) -> None:
    """The damaged file goes on thinking where the other one is done within 24 tokens."""
    rest = pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize(("a", "b"), [(12, 4), (27, 11)])
        def test_rest(quant, a, b):
            assert quant.chat(f"{a} - {b} = ?").text == str(a - b)
    """)
    done = compare(pytester, "tiny-q4_0.gguf", "tiny-f16.gguf", "--quant-max-tokens=8", suite=rest)

    budget = [pair for pair in done.report["pairs"] if pair["verdict"]["budget"]]
    assert budget
    assert all(pair["verdict"]["outcome"] == "failed" for pair in budget)
    done.result.stdout.fnmatch_lines(["NO ANSWER: no answer within 32 tokens, 32 of them thinking; *"])
    assert done.result.ret == 1


@pytest.mark.once
def test_a_second_run_loads_no_model_and_says_the_same(pytester: pytest.Pytester) -> None:
    """Speed and memory are measured in every run; all else is kept, fidelity and the reference's part in it too."""
    options = ("--quant-cache=answers", "--quant-reference-store=stores", "-m", "not quant_speed and not quant_memory")
    reference = f"--quant-reference={SUITE / 'models' / 'tiny-f16.gguf'}"
    first, second = (compare(pytester, "tiny-qat-q4_0.gguf", "tiny-q4_0.gguf", reference, *options) for _ in range(2))

    assert first.report["roles"]["baseline"]["use"]["loads"] > 0
    assert {name: role["use"]["loads"] for name, role in second.report["roles"].items()} == {
        "baseline": 0,
        "candidate": 0,
    }
    assert differences(first.report, second.report) == []
    assert len(second.report["pairs"]) > 100


@pytest.mark.once
def test_the_suite_is_what_it_says(pytester: pytest.Pytester) -> None:
    done = compare(pytester, "tiny-f16.gguf", "tiny-f16.gguf")

    pairs = done.report["pairs"]
    assert len(pairs) >= 60
    assert {pair["marker"] for pair in pairs} >= {"constraint", "json", "tools", "recall", "choice", "speed"}
    assert sum(bool(pair["family"]) for pair in pairs) > len(pairs) / 2
    # the reference is worth comparing with
    assert done.words["held"] > 0.8 * len(pairs)
    assert set(done.words) <= {"held", "inherited"}
    replies = [reply for pair in pairs for reply in pair["candidate"]["replies"]]
    thinking = [reply["usage"]["thinking"] for reply in replies if reply["grammar"] is None]
    assert sum(tokens > 0 for tokens in thinking) > 0.9 * len(thinking)


@pytest.mark.once
def test_the_gate_can_fail_for_all_five_bad_candidates(pytester: pytest.Pytester) -> None:
    models = SUITE / "models"
    result = pytester.runpytest_subprocess(
        str(SUITE), "--rootdir", str(SUITE), "-c", "/dev/null", "-p", "no:randomly", "-p", "no:cacheprovider",
        f"--quant-model={models / 'tiny-qat-q4_0.gguf'}", f"--quant-baseline={models / 'tiny-q4_0.gguf'}",
        "--quant-selftest", "-k", "extract or thoughts or entry",
    )  # fmt: skip

    result.stdout.fnmatch_lines([f"  {kind} *caught (*" for kind in ("noise", "budget", "template", "swapped")])
    result.stdout.fnmatch_lines(["SELF-TEST PASSED: 5 of 5 bad candidates were caught"])
    assert result.ret == 0


def test_training_never_saw_a_held_out_case() -> None:
    """The suite's seeds are fixed in one place, and far from those that training and the model card use."""
    text = (SUITE / "suite.py").read_text(encoding="utf-8")

    assert re.search(r"^FIRST_SEED = 700_000$", text, re.MULTILINE)
