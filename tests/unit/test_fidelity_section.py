"""The table of measured fidelity and its notes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity_rules import Mean
from pytest_quantcheck.fidelity_words import number
from pytest_quantcheck.fidelity_words import perplexity
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.reports.fidelity import fidelity_section
from pytest_quantcheck.reports.section import Section
from tests import ledgers


def found(drop: float, *, spread: float = 0.1, units: int = 40, **more: Any) -> Fidelity:
    """Tokens that are ``drop`` nats less likely than the reference finds them, and as far from it."""
    drops = [100 * drop * (1 + spread * (-1) ** number) for number in range(units)]
    chunks = tuple(Chunk("text", 100, 200 + own, 200.0, abs(own), 95) for own in drops)
    usual: dict[str, Any] = {"asked": "a", "covered": 1.0, "reference": "f16.gguf", "reference_fingerprint": "f"}
    return Fidelity("stories", chunks, kl_tail={"text": {"99": 1.25}}, **{**usual, **more})


def section(old: Fidelity | None, new: Fidelity, *, answer: Any = "no-regression") -> Section:
    made = ledgers.ledger(compared=old is not None)
    score = Score("fidelity", 1.0, "stories: KL and so on", answer=answer if old is not None else "")
    sides = [
        None if one is None else Observation("test_x", role, Status.OK, (score,), fidelities=(one,))
        for role, one in ((Role.BASELINE, old), (Role.CANDIDATE, new))
    ]
    assert sides[1] is not None
    ledgers.keep(made, sides[0], sides[1], marker="fidelity")
    shown = fidelity_section(made)
    assert shown is not None
    return shown


def test_a_row_for_each_side_and_for_the_reference() -> None:
    shown = section(found(0.05), found(0.01))

    assert shown.rows == [
        ["stories", "baseline", "7.768 ± 0.010", "0.0500 ± 0.0013", "1.25", "95.0 %", "40"],
        ["", "candidate", "7.4633 ± 0.0020", "0.01000 ± 0.00027", "1.25", "95.0 %", "40"],
        ["", "reference", "7.389 ± 0", "", "", "", "40"],
    ]
    assert shown.notes[1:] == ["of the baseline's perplexity drop the candidate recovers 80 % (80 to 80) in stories"]


def test_without_a_reference_or_a_baseline() -> None:
    alone = replace(found(0.01), covered=None, reference="", kl_tail={})
    bare = replace(alone, chunks=tuple(Chunk("text", one.tokens, one.nll) for one in alone.chunks))

    assert section(None, bare).rows == [["stories", "candidate", "7.4633 ± 0.0020", "-", "-", "-", "40"]]
    assert len(section(bare, bare).notes) == 1
    assert "KL divergence" not in section(bare, bare).notes[0]
    assert [row[1] for row in section(None, found(0.01)).rows] == ["candidate", "reference"]
    assert fidelity_section(ledgers.ledger()) is None


def test_each_side_has_its_own_reference() -> None:
    shown = section(found(0.05, reference="old.gguf", reference_fingerprint="o"), found(0.01))

    assert [row[1] for row in shown.rows] == ["baseline", "candidate", "baseline's reference", "reference"]
    assert len(shown.notes) == 1


@pytest.mark.parametrize(
    ("old", "new", "more", "note"),
    [
        (0.05, -0.01, {}, "recovers 120 % (120 to 120) in stories"),
        (0.05, 0.2, {}, "recovers nothing in stories, where it lost more"),
        (
            0.05,
            0.01,
            {"units": 10},
            "recovers an unknown share in stories (its drop may be chance, or there are too few",
        ),
        (0.001, 0.001, {"spread": 30}, "recovers an unknown share in stories (its drop may be chance"),
        (0.05, 0.01, {"covered": 0.994}, "is a lower bound: of the reference's probability 99.4 % or more is kept"),
    ],
)
def test_notes(old: float, new: float, more: dict[str, Any], note: str) -> None:
    assert note in "\n".join(section(found(old, **more), found(new, **more)).notes)


def test_nothing_is_said_of_what_is_as_good_as_all() -> None:
    assert "lower bound" not in "\n".join(section(found(0.05), found(0.01, covered=0.9999)).notes)


def test_why_nobody_can_tell_stands_below() -> None:
    assert (
        "cannot tell in test_x: stories: KL and so on" in section(found(0.05), found(0.01), answer="cannot-tell").notes
    )


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        (Mean(0.123456, 0.01, 30), "0.123 ± 0.017"),
        (Mean(0.000221, 0.00004, 30), "0.000221 ± 0.000068"),
        (Mean(123.4, 20, 30), "123 ± 34"),
        (Mean(0.5, 0.0, 30), "0.5 ± 0"),
        (Mean(0.5, math.inf, 1), "0.5"),
        (Mean(1e-9, 1e-12, 30), "1e-09 ± 1.7e-12"),
    ],
)
def test_as_many_digits_as_the_interval_allows(mean: Mean, words: str) -> None:
    assert number(mean) == words


def test_a_perplexity_beyond_all_numbers() -> None:
    assert perplexity(Mean(1000.0, 1.0, 30)) == "inf"
