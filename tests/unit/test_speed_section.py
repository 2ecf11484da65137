"""The speed section of the reports: rows, notes, and what a difference is owed to, from the cards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_quantcheck.benches import Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.gguf_card import KvLayers
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.records import Role
from pytest_quantcheck.reports.section import Section
from pytest_quantcheck.reports.sections import sections
from tests import ledgers

SCATTER = (1.0, 1.01, 0.99)


def side(decode: float, *, cold: float | None = None, depth: int = 0) -> tuple[Bench, ...]:
    made = [Bench((1234.5 * share,), (decode * share,), 512, 128, (0.5,), depth) for share in SCATTER]
    return (replace(made[0], cold_prefill_tok_s=cold), *made[1:])


def measured(old: float, new: float, **how: Any) -> Duel:
    given: dict[str, Any] = {"margins": {"decode": 0.05}, "copy_bytes_s": 300e9} | how
    return Duel(side(old, cold=99.0), side(new, cold=88.0), "BCCBBC", **given)


def run(*duels: Duel, kv_type: tuple[str, ...] = ("f16",)) -> Ledger:
    ledger = ledgers.ledger(kv_type=kv_type)
    cache = (KvLayers(10, 500_000, 500_000),)
    ledger.cards = {
        Role.BASELINE: ledgers.card("old", decode_bytes=6 * 10**9, kv_layers=cache, tensor_table_digest="a"),
        Role.CANDIDATE: ledgers.card(
            "new", decode_bytes=4 * 10**9, kv_layers=cache, tensor_table_digest="b", tensor_types={"Q6_K": 5}
        ),
    }
    for number, duel in enumerate(duels):
        pair = f"test_it.py::test_{number}"
        observation = replace(ledgers.observation(Role.CANDIDATE, pair, 1.0), duel=duel)
        ledgers.keep(ledger, ledgers.observation(Role.BASELINE, pair, 1.0), observation)
    return ledger


def section(ledger: Ledger) -> Section:
    [found] = sections(ledger)
    return found


def test_a_run_that_measured_no_speed_has_no_section() -> None:
    ledger = ledgers.ledger()
    ledgers.add(ledger, "test_it", 1.0, 1.0)
    assert sections(ledger) == []


def test_rows_and_notes_of_a_comparison() -> None:
    # 6 + 11.52 GB of keys and values against 4 + 11.52: x1.129
    found = section(run(measured(20.0, 22.58)))

    assert found.rows == [
        ["test_0", "decode tok/s, 512 + 128 tokens", "20", "22.58", "x1.13 (1.13 to 1.13)", "not slower"],
    ]
    assert found.notes == [
        "3 pairs of runs in turn (BCCBBC), both loaded at once; so many runs show a loss of: decode 0 %",
        "the first prompt after loading (cold), baseline and candidate: 99 and 88 tok/s; not counted above",
        "explained by bytes: the bytes that a token reads predict x1.13, measured x1.13",
        "baseline and candidate read 350 and 350 GB/s while decoding; plain copies move 300 GB/s",
    ]


def test_the_cache_counts_by_its_type_and_its_depth() -> None:
    def predicted(duel: Duel, **how: Any) -> str:
        return next(note for note in section(run(duel, **how)).notes if "predict" in note)

    deep = replace(measured(20.0, 30.0), candidate=side(30.0, depth=10_000))
    assert "predict x1.13, measured x1.5: x1.33 is left for the kernels of the types (Q6_K against Q4_0)" in predicted(
        measured(20.0, 30.0)
    )
    assert "predict x1.01" in predicted(deep)
    # a cache of 8.5 bits on both sides, then on the candidate's alone
    assert "predict x1.2," in predicted(measured(20.0, 30.0), kv_type=("q8_0",))
    assert "predict x1.73," in predicted(measured(20.0, 30.0), kv_type=("f16", "q8_0"))


def test_why_nobody_can_tell_once_for_all_figures_that_share_it() -> None:
    duel = measured(20.0, 30.0, margins={"decode": 0.05, "prefill": 0.05}, warnings=("it was hot",), reloaded=True)
    found = section(run(duel))

    assert [row[-1] for row in found.rows] == ["cannot tell", "cannot tell"]
    assert "decode, prefill: cannot tell: it was hot" in found.notes
    assert any("each loaded anew for each run" in note for note in found.notes)
    assert found.notes[-1] == (
        "to know more measure next: both files again, more often or on a steadier machine, and a PTQ file with the "
        "candidate's tensor types: it has the format without the recipe"
    )


def test_without_a_copy_speed_it_is_open_whether_memory_sets_the_pace() -> None:
    notes = section(run(measured(20.0, 22.58, copy_bytes_s=None))).notes
    assert any(note.endswith("whether memory sets the pace is open") for note in notes)
    assert notes[-1].endswith("no copy speed of the memory was measured")


def test_of_several_tests_every_note_names_its_own() -> None:
    found = section(run(measured(20.0, 20.0), measured(20.0, 10.0)))
    assert [row[-1] for row in found.rows] == ["not slower", "slower"]
    assert {note.partition(": ")[0] for note in found.notes} == {"test_0", "test_1"}


def test_what_was_measured_at_different_times_is_shown_and_not_compared() -> None:
    ledger = ledgers.ledger()
    old, new = (
        replace(ledgers.observation(role, "test_it", 1.0), bench=Bench((), (speed, speed + 2), 64, 16, (), 8))
        for role, speed in ((Role.BASELINE, 50.0), (Role.CANDIDATE, 30.0))
    )
    ledgers.keep(ledger, old, new)

    assert section(ledger).rows == [["test_it", "decode tok/s, 8 + 64 + 16 tokens", "51", "31", "-", ""]]
    assert not section(ledger).notes


@pytest.mark.parametrize("compared", [True, False])
def test_cards_that_say_nothing_are_owed_nothing(compared: bool) -> None:
    ledger = run(measured(20.0, 30.0))
    ledger.cards = {role: ledgers.card(role.value) for role in (Role if compared else [Role.CANDIDATE])}
    assert not any("predict" in note for note in section(ledger).notes)
