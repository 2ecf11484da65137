from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from typing import cast

import pytest

from pytest_quantcheck.sabotage import CHANGED
from pytest_quantcheck.selftest import Finding
from pytest_quantcheck.selftest import _options
from pytest_quantcheck.selftest import child_arguments
from pytest_quantcheck.selftest import conclusion
from pytest_quantcheck.selftest import judge
from pytest_quantcheck.selftest import passed
from pytest_quantcheck.settings import Settings


def report(kind: str, changed: int = 3, words: tuple[str, ...] = ("held",)) -> dict[str, Any]:
    pairs = [
        {
            "pair": f"test_{number}",
            "candidate": {"replies": ["some"] if word != "silent" else [], "choices": [], "embeddings": []},
            "verdict": {"word": word, "budget": word == "unscored"},
        }
        for number, word in enumerate(words)
    ]
    use = {"facts": {CHANGED: changed}}
    verdict = {"kind": kind, "sentence": f"{kind.upper()} it is"}
    return {"pairs": pairs, "verdict": verdict, "roles": {"candidate": {"use": use}}, "refusal": None}


@pytest.mark.parametrize(
    ("exit_status", "kind", "changed", "state"),
    [
        (1, "regression", 3, "caught"),
        (1, "unfair", 3, "caught"),
        (0, "no-loss", 3, "NOT CAUGHT"),
        (1, "failed", 3, "NOT CAUGHT"),
        (1, "crashed", 0, "NOT CAUGHT"),
        (1, "nothing-compared", 3, "NOT CAUGHT"),
        (1, "cannot-tell", 3, "NOT CAUGHT"),
        (0, "cannot-tell", 3, "NOT CAUGHT"),
        (1, "no-loss", 3, "NOT CAUGHT"),  # another test of the user's failed
        (0, "regression", 3, "NOT CAUGHT"),
        (1, "nothing-compared", 0, "not possible"),
        (0, "no-loss", 0, "not possible"),
        (2, "regression", 3, "did not run"),
        (5, "nothing-compared", 0, "did not run"),
    ],
)
def test_only_what_is_held_against_the_candidate_is_caught(
    exit_status: int, kind: str, changed: int, state: str
) -> None:
    assert judge("noise", exit_status, report(kind, changed)).state == state


def test_a_run_without_a_report_did_not_run() -> None:
    finding = judge("noise", 4, None)

    assert (finding.state, finding.said) == ("did not run", "pytest ended with exit status 4")
    refused = {**report("regression"), "verdict": None, "refusal": "--quant-model: gone"}
    assert judge("noise", 1, refused).said == "--quant-model: gone"


def test_which_tests_asked_and_which_lost_something() -> None:
    finding = judge("noise", 1, report("regression", words=("held", "regressed", "unscored", "silent", "inherited")))

    assert finding.asked == {"test_0", "test_1", "test_2", "test_4"}
    assert finding.failed == {"test_1", "test_2"}
    assert finding.said == "REGRESSION it is"


def test_what_is_missed_comes_with_advice() -> None:
    assert "quant_budget" in judge("thinking", 0, report("no-loss")).said
    assert "two different questions" in judge("swapped", 0, report("no-loss", 0)).said


@pytest.mark.parametrize(
    ("states", "good"),
    [
        (["caught"] * 5, True),
        (["caught"] * 4 + ["not possible"], True),
        (["not possible"] * 5, False),
        (["caught"] * 4 + ["NOT CAUGHT"], False),
        (["caught"] * 4 + ["did not run"], False),
    ],
)
def test_all_that_is_possible_must_be_caught(states: list[str], good: bool) -> None:
    findings = [Finding(f"kind {number}", state, "") for number, state in enumerate(states)]

    assert passed(findings) is good
    assert conclusion(findings)[-1].startswith("SELF-TEST PASSED" if good else "SELF-TEST FAILED")


def test_uninformative_tests_fail_for_none() -> None:
    every = frozenset(f"test_{number:02}" for number in range(14))
    findings = [
        Finding("noise", "caught", "", every, frozenset({"test_00"})),
        Finding("swapped", "caught", "", every, frozenset({"test_00", "test_05"})),
    ]

    said = " ".join(" ".join(conclusion(findings)).split())

    assert "uninformative: 12 of 14 tests" in said
    assert said.count("test_") == 10
    assert "test_05" not in said
    assert "and 2 more" in said
    assert "uninformative" not in " ".join(conclusion([Finding("noise", "caught", "", every, every)]))


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (["-x", "tests", "--lf", "-k", "sum"], ["tests", "-k", "sum", "OURS"]),
        (["--quant-selftest", "--quant-model=a", "-n2"], ["--quant-model=a", "-n2", "OURS"]),
        (["-q", "--", "--lf.py"], ["-q", "OURS", "--", "--lf.py"]),
        ([], ["OURS"]),
    ],
)
def test_the_user_s_own_command_with_our_options_last(given: list[str], made: list[str]) -> None:
    assert child_arguments(given, ["OURS"]) == made


def test_both_sides_of_a_spoilt_run_have_the_companions_of_its_file() -> None:
    config = cast("pytest.Config", SimpleNamespace(pluginmanager=SimpleNamespace(hasplugin=lambda _: False)))
    settings = Settings(model="new", baseline="old", mmproj=("a,b.gguf", "c.gguf"), draft=("d.gguf",))

    made = list(_options(config, settings, "old", "noise", Path(), Path("r.json")))

    assert [option for option in made if "mmproj" in option or "draft" in option] == ["--quant-mmproj=a,b.gguf"]
