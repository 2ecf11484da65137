"""Projectors and drafters that the user named: refused where they cannot serve, said where nobody knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck import Role
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.named_companions import named_differences
from pytest_quantcheck.options import WrongValue
from pytest_quantcheck.settings import Settings
from tests import ggufs
from tests.builders import card


@pytest.fixture
def cards(tmp_path: Path) -> dict[Role, ModelCard]:
    """Two models 32 numbers wide with eight tokens."""
    names = {Role.BASELINE: "old.gguf", Role.CANDIDATE: "new.gguf"}
    return {role: read_card(ggufs.write_small_header(tmp_path / name)) for role, name in names.items()}


def told(cards: dict[Role, ModelCard], **named: tuple[Path, ...]) -> list[tuple[str, str, str]]:
    files: dict[str, Any] = {option: tuple(map(str, files)) for option, files in named.items()}
    found = named_differences(Settings(model="new", baseline="old", **files), cards)
    return [(one.row, one.level, one.text) for one in found]


def refused(cards: dict[Role, ModelCard], **named: tuple[Path, ...]) -> tuple[str, str]:
    with pytest.raises(WrongValue) as caught:
        told(cards, **named)
    return caught.value.option, str(caught.value)


def test_what_fits_is_no_news(cards: dict[Role, ModelCard], tmp_path: Path) -> None:
    projector = ggufs.write_random_mmproj(tmp_path / "p.gguf", width=32)
    drafter = ggufs.write_small_header(tmp_path / "d.gguf")

    assert told(cards) == []
    assert told(cards, mmproj=(projector,), draft=(drafter,)) == []


def test_a_projector_of_another_width(cards: dict[Role, ModelCard], tmp_path: Path) -> None:
    projector = ggufs.write_random_mmproj(tmp_path / "p.gguf", width=64)

    option, why = refused(cards, mmproj=(projector,))

    assert option == "mmproj"
    assert why.startswith("p.gguf makes embeddings of 64 numbers and old.gguf takes 32: it was made for a model of ")


@pytest.mark.parametrize("wrong", [Role.BASELINE, Role.CANDIDATE])
def test_each_side_is_checked_with_its_own(cards: dict[Role, ModelCard], tmp_path: Path, wrong: Role) -> None:
    good = ggufs.write_random_mmproj(tmp_path / "good.gguf", width=32)
    bad = ggufs.write_random_mmproj(tmp_path / "bad.gguf", width=64)

    _, why = refused(cards, mmproj=(bad, good) if wrong is Role.BASELINE else (good, bad))

    assert f"and {cards[wrong].file_name} takes 32" in why


@pytest.mark.parametrize("option", ["mmproj", "draft"])
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("missing", ": does not exist"),
        ("truncated", "truncated"),
        ("no GGUF", "not a GGUF"),
        ("folder", "is a directory"),
    ],
)
def test_no_sound_file(cards: dict[Role, ModelCard], tmp_path: Path, option: str, how: str, why: str) -> None:
    file = tmp_path / "x.gguf"
    if how == "truncated":
        ggufs.truncate(ggufs.write_random_mmproj(file) if option == "mmproj" else ggufs.write_random_llama(file), 0.5)
    elif how == "no GGUF":
        file.write_bytes(b"words" * 99)
    elif how == "folder":
        file.mkdir()

    name, said = refused(cards, **{option: (file,)})

    assert name == option
    assert said.startswith(f"{file}: ")
    assert why in said


def test_the_wrong_kind_of_file(cards: dict[Role, ModelCard], tmp_path: Path) -> None:
    model = ggufs.write_small_header(tmp_path / "m.gguf")
    projector = ggufs.write_random_mmproj(tmp_path / "p.gguf", width=32)
    audio = ggufs.write_header(tmp_path / "a.gguf", {"general.architecture": "clip", "clip.has_audio_encoder": True})

    assert refused(cards, mmproj=(model,))[1].endswith(
        "m.gguf: is no projector: name the mmproj file that was published with the model"
    )
    assert "p.gguf: " in refused(cards, draft=(projector,))[1]
    assert "mmproj" in refused(cards, draft=(projector,))[1]
    assert refused(cards, mmproj=(audio,))[1].endswith(
        "a.gguf: takes audio only; what quant.chat can give a model besides text are images"
    )


def test_a_drafter_with_another_vocabulary(cards: dict[Role, ModelCard], tmp_path: Path) -> None:
    drafter = ggufs.write_small_header(tmp_path / "d.gguf", {"tokenizer.ggml.model": "llama"})

    option, why = refused(cards, draft=(drafter,))

    assert option == "draft"
    assert why.startswith("d.gguf cannot draft for old.gguf, for their tokenizers differ: ")


def test_what_nobody_knows_is_said(cards: dict[Role, ModelCard], tmp_path: Path) -> None:
    silent = ggufs.write_header(tmp_path / "p.gguf", {"general.architecture": "clip", "clip.has_vision_encoder": True})
    eagle = ggufs.write_header(tmp_path / "e.gguf", {"general.architecture": "eagle3"})

    found = told(cards, mmproj=(silent,), draft=(eagle,))

    assert [one[:2] for one in found] == [("projector", "informs"), ("drafter", "informs")]
    for _, _, text in found:
        assert "does not tell its embedding width, so nobody knows before loading whether the" in text


def test_a_server_or_a_double_cannot_be_checked(tmp_path: Path) -> None:
    far = {role: card("http://localhost:1") for role in (Role.BASELINE, Role.CANDIDATE)}
    projector = ggufs.write_random_mmproj(tmp_path / "p.gguf")
    drafter = ggufs.write_small_header(tmp_path / "d.gguf")

    found = told(far, mmproj=(projector,), draft=(drafter,))

    assert [one[:2] for one in found] == [("projector", "informs"), ("drafter", "informs")]
    assert refused(far, mmproj=(drafter,))[0] == "mmproj"


def test_a_file_for_each_side_is_told_unless_they_are_the_same(cards: dict[Role, ModelCard], tmp_path: Path) -> None:
    first = ggufs.write_random_mmproj(tmp_path / "p.gguf", width=32)
    (tmp_path / "sub").mkdir()
    second = ggufs.write_random_mmproj(tmp_path / "sub" / "p.gguf", width=32, seed=1)
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(first.read_bytes())
    drafters = [
        ggufs.write_small_header(tmp_path / f"d{number}.gguf", {"general.name": f"d{number}"}) for number in range(2)
    ]

    assert told(cards, mmproj=(first, copy)) == []
    [(row, level, text)] = told(cards, mmproj=(first, second))
    assert (row, level) == ("projector", "explains")
    assert text == f"{first} for the baseline, {second} for the candidate; answers to images may differ for that reason"
    [(row, level, text)] = told(cards, draft=(drafters[0], drafters[1]))
    assert (row, level) == ("drafter", "informs")
    assert (
        text == "d0.gguf for the baseline, d1.gguf for the candidate; they were checked and write none of these answers"
    )


def test_one_role_alone(cards: dict[Role, ModelCard], tmp_path: Path) -> None:
    projector = ggufs.write_random_mmproj(tmp_path / "p.gguf", width=32)
    alone = {Role.CANDIDATE: replace(cards[Role.CANDIDATE])}

    assert named_differences(Settings(model="new", mmproj=(str(projector),)), alone) == []
