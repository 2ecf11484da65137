"""What a server keeps to itself rules out what a difference in it would, unless one server decides it for both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.engines.server.dialect import served_card
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.records import Role
from pytest_quantcheck.rows import KINDS
from pytest_quantcheck.rows import Difference
from pytest_quantcheck.untold import untold

FILE = read_card(Path(__file__).parents[2] / "example_suites" / "tiny" / "models" / "tiny-q4_0.gguf")
KNOWN = replace(FILE, served=True)
FULL = Conditions(context=4096, kv_type="f16", flash_attention="on", system="CPU")


def found(
    old: ModelCard,
    new: ModelCard,
    mine: Conditions = FULL,
    theirs: Conditions = FULL,
    *,
    alike: bool | None = None,
) -> dict[str, Difference]:
    sides = {Role.BASELINE: mine, Role.CANDIDATE: theirs}
    cards = {Role.BASELINE: old, Role.CANDIDATE: new}
    return {one.level: one for one in untold(cards, sides, prompts_alike=alike)}


def test_files_tell_everything() -> None:
    assert found(FILE, FILE, Conditions(), Conditions()) == {}
    assert found(KNOWN, KNOWN) == {}


@pytest.mark.parametrize(
    ("field", "words", "kinds"),
    [
        ("kv_type", "the type of its KV cache", KINDS),
        ("flash_attention", "flash attention", KINDS),
        ("context", "its context", ("quality", "distribution", "speed", "memory")),
        (
            "system",
            "its instruction sets, devices and threads",
            ("quality", "distribution", "speed", "attribution"),
        ),
    ],
)
def test_a_hidden_condition_blocks_what_another_one_would(field: str, words: str, kinds: tuple[str, ...]) -> None:
    nothing: dict[str, Any] = {field: None if field == "context" else ""}
    silent = replace(FULL, **nothing)

    one = found(KNOWN, KNOWN, theirs=silent)["blocks"]

    assert one.text == f"the candidate's server does not tell {words}: whether it is the other side's, nobody can see"
    assert one.kinds == kinds


def test_a_hidden_vocabulary_blocks_until_both_sides_read_the_same_tokens() -> None:
    silent = replace(KNOWN, vocabulary_digest="")

    assert found(FILE, silent)["blocks"].kinds == ("quality", "distribution", "attribution")
    assert found(FILE, silent, alike=False).keys() == {"blocks"}
    harmless = found(FILE, silent, alike=True)
    assert harmless.keys() == {"informs"}
    assert harmless["informs"].kinds == ()


def test_a_hidden_template_and_hidden_types_only_explain() -> None:
    silent = replace(KNOWN, chat_template=None, tensor_table_digest="")

    one = found(silent, KNOWN)["explains"]

    assert one.kinds == ("attribution",)
    assert one.text.startswith("the baseline's server does not tell its chat template or the types of its tensors: ")


def test_what_one_server_decides_for_both_cannot_differ() -> None:
    hidden = replace(FULL, kv_type="", decided_by={"kv_type": "http://a"})

    assert found(KNOWN, KNOWN, hidden, hidden) == {}
    assert found(KNOWN, KNOWN, hidden, replace(hidden, decided_by={"kv_type": "http://b"})).keys() == {"blocks"}
    assert found(KNOWN, KNOWN, hidden, replace(hidden, decided_by={})).keys() == {"blocks"}
    assert found(FILE, KNOWN, FULL, hidden).keys() == {"blocks"}  # nobody decides a file's but the run


def test_with_nothing_to_compare_nothing_is_ruled_out() -> None:
    card = served_card("http://h#m", "m (h)")

    assert list(untold({Role.CANDIDATE: card}, {Role.CANDIDATE: Conditions()})) == []
