"""How often the verdict on speed is right where the truth is known: simulated runs, the plugin's own rule.

    python -m benchmarks.speed_rates [--replicates 4000] [--write]

``--write`` puts the table into docs/explanation/speed.md; everything is seeded.

The world: a run's decode and prefill speeds are 100 tok/s times noise (log-normal, one draw each) times what the
machine does at that moment to both. The machine is even, or loses 12 % in ten runs and goes on so, or carries another
load that comes and goes (AR(1), 5 %), or stops for a moment in one run of twelve (a spike that halves the speed), or is
cold in each model's first run, as if nobody had warmed it up. A slower candidate decodes slower in every run. The
plugin measures in blocks of four (B C C B), five pairs, or ten where one model's own runs differ much, and gives one
verdict on decode, prefill and time to first token together. Beside it the usual design: the same number of runs, first
one model, then the other, decode alone, compared by a pooled t interval with the same margin; there the 12 % are lost
over the whole session.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from statistics import variance
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.simulation import tell
from pytest_quantcheck.benches import Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.records import Answer
from pytest_quantcheck.speed_rules import MARGINS
from pytest_quantcheck.speed_rules import combined
from pytest_quantcheck.speed_rules import comparisons
from pytest_quantcheck.speed_rules import is_restless
from pytest_quantcheck.statistics import t_quantile

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "speed.md"
BEGIN: Final = "<!-- rates: made by python -m benchmarks.speed_rates --write -->\n"
END: Final = "<!-- end of rates -->\n"
SPEED: Final = 100.0
MARGIN: Final = MARGINS["decode"]
PAIRS: Final = 5

Floats = npt.NDArray[np.float64]
Disturb = Callable[[np.random.Generator, int], Floats]
"""What happens to the speed in so many runs one after the other, as logs."""


def nothing(_chance: np.random.Generator, runs: int) -> Floats:
    """An even machine."""
    return np.zeros(runs)


def load(chance: np.random.Generator, runs: int) -> Floats:
    """Another load comes and goes: AR(1) with a correlation of 0.8 and 5 % standard deviation."""
    state, states = chance.normal(0, 0.05), []
    for _ in range(runs):
        state = 0.8 * state + chance.normal(0, 0.05 * np.sqrt(1 - 0.8**2))
        states.append(state)
    return np.array(states)


def spikes(chance: np.random.Generator, runs: int) -> Floats:
    """One run of twelve has half the speed."""
    return np.log(np.where(chance.random(runs) < 1 / 12, 0.5, 1.0))


@dataclass(frozen=True)
class Machine:
    """A machine: what disturbs it, how much it loses in ten runs, and how much slower each model's first run is."""

    disturb: Disturb = nothing
    ramp: float = 0.0
    cold: float = 0.0

    def logs(self, chance: np.random.Generator, runs: int) -> Floats:
        """The speed in so many runs."""
        return np.asarray(self.disturb(chance, runs) + np.log(1 - self.ramp) * np.arange(runs) / 9)


MACHINES: Final = {
    "even": Machine(),
    "loses 12 %": Machine(ramp=0.12),
    "another load comes and goes (5 %)": Machine(load),
    "stops for a moment in one run of twelve": Machine(spikes),
    "is 15 % slower in each model's first run": Machine(cold=0.15),
}


@dataclass(frozen=True)
class Rates:
    """Shares of the replicates."""

    regression: float
    no_regression: float


def in_turn(chance: np.random.Generator, machine: Machine, pairs: int, noise: float, loss: float) -> Duel:
    """One simulated duel that nothing warmed up."""
    order = ("BCCB" * pairs)[: 2 * pairs]
    logs = machine.logs(chance, len(order))
    logs[:2] += np.log(1 - machine.cold)
    speeds = SPEED * np.exp(logs + chance.normal(0, noise, (2, len(order))))
    speeds[0, [who == "C" for who in order]] *= 1 - loss
    sides: dict[str, list[Bench]] = {"B": [], "C": []}
    for who, decode, prefill in zip(order, *speeds.tolist(), strict=True):
        sides[who].append(Bench((prefill,), (decode,), 512, 128, (512 / prefill,)))
    return Duel(tuple(sides["B"]), tuple(sides["C"]), order)


def adaptive(chance: np.random.Generator, machine: Machine, noise: float, loss: float) -> Answer:
    """The plugin's answer: twice as many pairs where the first ones are restless, as `duels.duel` has it."""
    made = in_turn(chance, machine, 2 * PAIRS, noise, loss)
    first = Duel(made.baseline[:PAIRS], made.candidate[:PAIRS], made.order[: 2 * PAIRS])
    return combined(comparisons(made if is_restless(first) else first))


def in_blocks(chance: np.random.Generator, machine: Machine, runs: int, noise: float, loss: float) -> Answer:
    """All of one model, then all of the other; the difference of the mean logs with a pooled t interval."""
    scaled = Machine(machine.disturb, 1 - (1 - machine.ramp) ** (9 / (2 * runs - 1)))
    logs = scaled.logs(chance, 2 * runs) + chance.normal(0, noise, 2 * runs)
    logs[[0, runs]] += np.log(1 - machine.cold)
    logs[runs:] += np.log(1 - loss)
    old, new = logs[:runs].tolist(), logs[runs:].tolist()
    mean = fmean(new) - fmean(old)
    half = t_quantile(0.95, 2 * runs - 2) * ((variance(old) + variance(new)) / 2 * 2 / runs) ** 0.5
    if mean + half < 0 and mean <= np.log(1 - MARGIN):
        return "regression"
    return "no-regression" if mean - half > np.log(1 - MARGIN) else "cannot-tell"


def rates(decide: Callable[[np.random.Generator], Answer], replicates: int, seed: str) -> Rates:
    """How often an answer comes."""
    chance = np.random.default_rng(zlib.crc32(seed.encode()))
    answers = [decide(chance) for _ in range(replicates)]
    return Rates(answers.count("regression") / replicates, answers.count("no-regression") / replicates)


def our_rates(machine: str, noise: float, loss: float, *, replicates: int) -> Rates:
    """The plugin's."""
    seed = f"ours {machine} {noise} {loss}"
    return rates(lambda chance: adaptive(chance, MACHINES[machine], noise, loss), replicates, seed)


def block_rates(machine: str, noise: float, *, runs: int, replicates: int) -> Rates:
    """Those of the usual design where there is no difference."""
    seed = f"blocks {machine} {noise} {runs}"
    return rates(lambda chance: in_blocks(chance, MACHINES[machine], runs, noise, 0.0), replicates, seed)


def table(replicates: int) -> str:
    """As Markdown."""
    lines = [
        f"{replicates:,} simulated sessions a figure; margin 5 %.",
        "",
        "| machine | noise of a run | false regression, one model after the other (5 runs; 10 runs) "
        "| false regression, in turn | 'no regression' when there is none | found: a loss of 10 % | of 20 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for machine in MACHINES:
        for noise in (0.02, 0.05):
            blocks = [block_rates(machine, noise, runs=runs, replicates=replicates) for runs in (5, 10)]
            none, ten, twenty = (our_rates(machine, noise, loss, replicates=replicates) for loss in (0.0, 0.1, 0.2))
            shares = [none.regression, none.no_regression, ten.regression, twenty.regression]
            contrast = "; ".join(f"{one.regression:.3f}" for one in blocks)
            told = " | ".join(f"{share:.3f}" for share in shares)
            lines.append(f"| {machine} | {100 * noise:.0f} % | {contrast} | {told} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate, print, and write if asked."""
    tell("How often the verdict on speed is right", table, 4000, PAGE, BEGIN, END)


if __name__ == "__main__":
    main()
