"""Memory through whole pytest runs."""

from __future__ import annotations

from typing import Any

from pytest_quantcheck import Buffers
from pytest_quantcheck import Memory
from tests.plugin.conftest import Gate

SUITE = """
import pytest

@pytest.mark.quant_memory(weights="6 MB", fits="12 MB")
def test_fits(quant):
    pass

def test_body(quant):
    memory = quant.memory()
    assert memory.figures.total < memory.peak
"""


def memory(weights: int, **more: Any) -> dict[str, Any]:
    taken = Buffers(weights, 2_000_000, 3_000_000, 10_000)
    usual: dict[str, Any] = {
        "measured_context": 4096,
        "peak": 70_000_000,
        "mapped": True,
        "largest_context": 2048,
        "trained_context": 8192,
    }
    return Memory(4096, "f16", taken, taken, **usual | more).to_payload()


def test_a_file_that_needs_more_is_a_regression(gate: Gate) -> None:
    gate.pytester.makepyfile(SUITE)
    gate.answers({"memory": memory(5_000_000)}, {"memory": memory(8_000_000)})

    outcome = gate.run()

    assert outcome.result.ret == 1
    assert outcome.words == {"test_fits": "regressed", "test_body": "held"}
    outcome.result.stdout.fnmatch_lines(
        [
            "*REGRESSED: memory 1 -> 0 (weights 8.00 MB over 6.00 MB; weights 8.00 MB + KV 2.00 MB + compute 3.00 MB + "
            "output 10.00 kB = 13.01 MB at 4096 tokens (KV type f16) over 12.00 MB; "
            "the largest context that fits has 2048 tokens; "
            "against the baseline weights +3.00 MB, +30.0 % in all: more than 3 % more)*",
            "memory * context * weights * KV * compute * sum * measured * peak *",
            "baseline * 4096 f16 * 5.00 MB * 2.00 MB * 3.00 MB * 10.01 MB * 10.01 MB * 70.00 MB",
            "candidate * 4096 f16 * 8.00 MB * 2.00 MB * 3.00 MB * 13.01 MB * 13.01 MB * 70.00 MB",
            "REGRESSION: 1 requirement lost *",
        ]
    )
    said = " ".join(str(outcome.result.stdout).split())
    assert "candidate at 4096 tokens, budget 12.00 MB: the largest context that fits has 2048 tokens" in said
    assert ". Memory: regression " in said
    [answer] = outcome.report["verdict"]["instruments"]
    assert (answer["check"], answer["answer"]) == ("memory", "regression")
    found = {pair["pair"].split("::")[-1]: pair["candidate"]["memory"] for pair in outcome.report["pairs"]}
    assert [found[name]["budget"] for name in ("test_fits", "test_body")] == [12_000_000, None]


def test_the_same_file_is_no_regression_and_more_samples_ask_once(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE)
    plain_gate.answers({"memory": memory(5_000_000)}, {"memory": memory(5_000_000)})

    outcome = plain_gate.run("--quant-samples=3")

    assert outcome.result.ret == 0
    assert outcome.words == {"test_fits": "held", "test_body": "held"}
    outcome.result.stdout.fnmatch_lines(["*Memory: no regression"])


def test_an_engine_that_cannot_tell_skips_and_its_row_is_left_out(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE)
    plain_gate.answers({"memory": memory(5_000_000)}, {})

    outcome = plain_gate.run("-rs")

    outcome.result.stdout.fnmatch_lines(["SKIPPED*this engine cannot do it: this scripted engine has no memory"])
    outcome.result.stdout.no_fnmatch_line("candidate * 4096 f16 *")


def test_a_context_that_was_not_loaded_has_no_measured_sum(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE.partition("def test_body")[0].replace('fits="12 MB"', "context=8192"))
    other = memory(5_000_000, measured_context=2048, notes=["the cache is a guess"])
    plain_gate.answers({"memory": other}, {"memory": other})

    outcome = plain_gate.run("--quant-summary=summary.md")

    outcome.result.stdout.fnmatch_lines(
        ["candidate * 4096 f16 * 10.01 MB * - * 70.00 MB", "candidate: the cache is a guess"]
    )
    assert "| memory | context |" in (plain_gate.pytester.path / "summary.md").read_text(encoding="utf-8")


def test_a_wrong_limit_is_a_usage_error(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(SUITE.replace("12 MB", "12 parsecs"))
    plain_gate.answers({}, {})

    outcome = plain_gate.run()

    assert outcome.result.ret == 4
    outcome.result.stderr.fnmatch_lines(["*quant_memory(weights=..., fits=...): fits='12 parsecs'; allowed: a number*"])


def test_a_body_that_misspells_a_figure_is_broken(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile("def test_body(quant):\n    assert quant.memory().peek")
    plain_gate.answers({"memory": memory(5_000_000)}, {"memory": memory(5_000_000)})

    outcome = plain_gate.run()

    assert outcome.words == {"test_body": "unscored"}
    outcome.result.stdout.fnmatch_lines(["E *AttributeError: 'Memory' object has no attribute 'peek'*"])
