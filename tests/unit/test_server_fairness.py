"""What a server keeps to itself is unknown, and no difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_quantcheck.companions import Unknown
from pytest_quantcheck.companions import fits_drafter
from pytest_quantcheck.conditions import planned
from pytest_quantcheck.contest import both_fit
from pytest_quantcheck.file_differences import file_differences
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.pins import pin
from pytest_quantcheck.records import Role
from pytest_quantcheck.renderings import render_probes
from pytest_quantcheck.settings import Settings

MODELS = Path(__file__).parents[2] / "example_suites" / "tiny" / "models"
FILE = read_card(MODELS / "tiny-q4_0.gguf")
SETTINGS = Settings(model="a", baseline="b")


def served(**told: object) -> ModelCard:
    """A card of a server that tells nothing but this."""
    silent = ModelCard("http://h#m", "m (h)", "", 0, 0, 0, {}, None, None, None, None, None, {}, served=True)
    return replace(silent, **told)  # type: ignore[arg-type]


def rows(old: ModelCard, new: ModelCard) -> set[str]:
    return {one.row for one in file_differences(old, new)}


def test_what_is_not_told_is_no_difference() -> None:
    assert rows(FILE, served()) == rows(served(), FILE) == set()
    assert rows(served(), served(chat_template="x", architecture="llama", parameters=5)) == set()
    # the same silence of a file is one
    assert "architecture" in rows(FILE, replace(served(), served=False))


def test_what_both_tell_is_compared() -> None:
    assert "architecture" in rows(FILE, served(architecture="gemma4"))
    assert rows(FILE, served(chat_template="another")) == {"chat template"}
    assert rows(FILE, served(chat_template=(FILE.chat_template or "").rstrip("\n"))) == set()
    assert rows(FILE, replace(FILE, served=True, context_length=17)) == set()
    assert "tensor types" in rows(FILE, replace(read_card(MODELS / "tiny-f16.gguf"), served=True))


@pytest.mark.parametrize("turned", [False, True])
def test_a_template_in_another_language_is_not_compared_and_not_pinned(turned: bool) -> None:
    told = served(chat_template="{{ .Prompt }}", template_is_go=True)
    (one,) = file_differences(*((FILE, told) if turned else (told, FILE)), renderings=render_probes([told, FILE]))

    side = "candidate" if turned else "baseline"
    assert one.text.startswith(f"the {side}'s chat template is in Ollama's own language, so nobody can compare it")
    assert "pin-template" not in one.text
    assert one.level == "explains"


@pytest.mark.parametrize("thinks", [True, None])
def test_a_template_that_is_none_of_jinjas_is_not_rendered(thinks: bool | None) -> None:
    told = served(chat_template="{{ .Prompt }}", template_is_go=True, thinks=thinks)
    first, second, third = render_probes([told, FILE, told])

    assert (first.texts, first.errors, first.thinking_default) == ({}, {}, thinks)
    assert second == render_probes([FILE])[0]
    assert third == first


def test_a_model_that_thinks_by_itself_gets_the_budget_of_one() -> None:
    assert pin(SETTINGS, {Role.BASELINE: served(thinks=True)}).max_tokens == 8192


def test_whether_a_silent_servers_embeddings_are_tied_nobody_knows() -> None:
    told = {name: getattr(FILE, name) for name in ("parameters", "vocabulary", "embedding_length")}

    assert rows(FILE, served(**told)) == set()


def test_how_a_server_loaded_is_not_planned() -> None:
    pins = pin(SETTINGS, {})
    side = planned(Role.CANDIDATE, SETTINGS, pins, served())

    assert (side.kv_type, side.gpu_layers, side.threads) == ("", "", None)
    facts = {"context": None, "threads": None, "kv_type": ""}
    file = planned(Role.BASELINE, SETTINGS, replace(pins, context=512), FILE)
    assert (file.context, file.threads) == (512, 1)
    assert (file.with_facts(facts).context, file.with_facts(facts).threads) == (None, None)


def test_the_context_is_what_the_smaller_server_has() -> None:
    cards = {Role.BASELINE: replace(FILE, context_length=4096), Role.CANDIDATE: served(context_length=1024)}

    pins = pin(SETTINGS, cards)

    assert (pins.context, pins.context_limit_by) == (1024, "the candidate's server has")
    assert pins.reasons["context"] == "all that the candidate's server has"


def test_a_served_model_takes_no_memory_here() -> None:
    large = replace(FILE, tensor_bytes=1 << 40)

    assert not both_fit([(large, "f16")], 512, is_on_gpu=False, available=1 << 30)
    assert both_fit([(replace(large, served=True), "f16")], 512, is_on_gpu=False, available=1 << 30)


@pytest.mark.parametrize(("old", "new", "same"), [("ab", "ab", True), ("ab", "cd", False), ("", "", False)])
def test_one_content_behind_two_addresses_is_known_by_its_fingerprint(old: str, new: str, same: bool) -> None:
    ledger = Ledger(SETTINGS)
    ledger.cards = {Role.BASELINE: served(fingerprint=old), Role.CANDIDATE: served(fingerprint=new)}

    assert ledger.same_content() is same


def test_whether_a_drafter_fits_a_served_model_nobody_knows() -> None:
    assert isinstance(fits_drafter(replace(FILE, served=True), FILE), Unknown)
