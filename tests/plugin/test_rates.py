"""Whole pytest runs with scripted engines come to the verdict of the direct call, whatever the answers."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.verdict_rates import passes
from benchmarks.verdict_rates import verdict
from tests.plugin.conftest import Gate

pytestmark = pytest.mark.once

SUITE = """
import pytest

@pytest.mark.quant_sample(family="{family}")
@pytest.mark.parametrize("case", range({size}))
def test_{family}(quant, case):
    assert quant.chat(f"{family} {{case}}").text == "right"
"""
DROPS = (0.0, 0.0, 0.1, 0.3, 0.8)
SIZES = (6, 20, 40)
SEEDS = (1, 2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("drop", DROPS)
def test_a_run_says_what_the_direct_call_says(plain_gate: Gate, size: int, drop: float, seed: int) -> None:
    chance = np.random.default_rng([size, round(10 * drop), seed])
    old, new = (side.tolist() for side in passes(chance, (2 * size,), 1, drop, sampled=False))
    names = ["sums"] * size + ["dates"] * size
    prompts = [f"{name} {number % size}" for number, name in enumerate(names)]
    plain_gate.pytester.makepyfile(
        test_sums=SUITE.format(family="sums", size=size), test_dates=SUITE.format(family="dates", size=size)
    )
    words = {0: "wrong", 1: "right"}
    plain_gate.answers(
        {prompt: words[passed] for prompt, passed in zip(prompts, old, strict=True)},
        {prompt: words[passed] for prompt, passed in zip(prompts, new, strict=True)},
    )

    outcome = plain_gate.run()

    direct = verdict(old, new, 1, names)
    seen = outcome.report["verdict"]["samples"]
    assert outcome.kind == direct.answer
    assert outcome.result.ret == (direct.answer == "regression")
    assert seen["everything"]["chance"] == direct.everything.chance
    assert (seen["everything"]["low"], seen["everything"]["high"]) == (direct.everything.low, direct.everything.high)
    assert {family["name"]: family["answer"] for family in seen["families"]} == {
        family.name: family.answer for family in direct.families
    }


def test_the_runs_see_every_answer() -> None:
    """The cases above are worth something only if each answer occurs among them."""
    answers = set()
    for size in SIZES:
        for drop in DROPS:
            for seed in SEEDS:
                chance = np.random.default_rng([size, round(10 * drop), seed])
                old, new = (side.tolist() for side in passes(chance, (2 * size,), 1, drop, sampled=False))
                answers.add(verdict(old, new, 1, ["sums"] * size + ["dates"] * size).answer)
    assert len(SIZES) * len(DROPS) * len(SEEDS) >= 30
    assert answers == {"regression", "no-regression", "cannot-tell"}
