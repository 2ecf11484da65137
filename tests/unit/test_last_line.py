"""The last line: one line of compact JSON whatever happened."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_quantcheck.reports.last_line import PREFIX
from pytest_quantcheck.reports.last_line import last_line
from tests.ledgers import add
from tests.ledgers import card
from tests.ledgers import every_end
from tests.ledgers import ledger

ENDS = every_end()
KEYS = [
    *("kind", "exit", "pairs", "requirements_lost", "requirements_gained"),
    *("samples_scored", "samples_lost", "samples_won", "points", "low", "high", "unfair"),
]


def read(line: str) -> dict[str, Any]:
    assert line.startswith(PREFIX)
    assert line.isprintable()
    assert line.isascii()
    value: dict[str, Any] = json.loads(line.removeprefix(PREFIX), parse_constant=pytest.fail)
    assert line == PREFIX + json.dumps(value, separators=(",", ":"))
    return value


@pytest.mark.parametrize("name", ENDS)
def test_every_end_has_its_line(name: str) -> None:
    made = ENDS[name]

    said = read(last_line(made, 4 if name == "refused" else 1))

    assert list(said) == [*KEYS, *made.roles]
    assert said["kind"] == ("refused" if name == "refused" else made.verdict().kind)
    assert said["exit"] == (4 if name == "refused" else 1)
    assert said["unfair"] == (["silent thinking"] if name == "unfair" else [])
    last = made.roles[-1]
    assert said[last] == (None if name == "refused" else f"{last}.gguf")


def test_requirements_and_samples_are_counted_apart() -> None:
    made = ledger()
    for number in range(20):
        add(made, f"test_sum[{number}]", float(number != 3), float(number > 2), family="sums")
    add(made, "test_lost", 1.0, 0.0)
    add(made, "test_won", 0.0, 1.0)
    add(made, "test_also_won", 0.0, 1.0)
    add(made, "test_alone", None, 1.0)

    said = read(last_line(made, 1))

    samples = made.verdict().samples
    assert samples is not None
    assert said == {
        "kind": "regression",
        "exit": 1,
        "pairs": 23,
        "requirements_lost": 1,
        "requirements_gained": 2,
        "samples_scored": 20,
        "samples_lost": 3,
        "samples_won": 1,
        "points": -10.0,
        "low": round(100 * samples.everything.low, 2),
        "high": round(100 * samples.everything.high, 2),
        "unfair": [],
        "baseline": "baseline.gguf",
        "candidate": "candidate.gguf",
    }


def test_without_scored_samples_there_are_no_points() -> None:
    said = read(last_line(ENDS["regression"], 1))

    assert (said["samples_scored"], said["points"], said["low"], said["high"]) == (0, None, None, None)


def test_a_usage_error_that_only_pytest_knows_of_is_refused_too() -> None:
    assert read(last_line(ENDS["regression"], 4))["kind"] == "refused"


def test_a_hostile_file_name_stays_in_the_line() -> None:
    made = ledger()
    made.cards = {role: card("x\n\x1b[31m\udcff\u2028") for role in made.cards}
    add(made, "test_x", 1.0, 1.0)

    assert read(last_line(made, 0))["candidate"] == "x\n\x1b[31m�\u2028.gguf"
