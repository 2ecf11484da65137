from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.companions import GgufError
from pytest_quantcheck.companions import Projector
from pytest_quantcheck.companions import Unknown
from pytest_quantcheck.companions import fits_drafter
from pytest_quantcheck.companions import fits_projector
from pytest_quantcheck.companions import is_drafter
from pytest_quantcheck.companions import read_projector
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from tests import ggufs


def card_of(path: Path, architecture: str = "llama", **values: Any) -> ModelCard:
    keys = {key.replace("__", "."): value for key, value in values.items()}
    return read_card(ggufs.write_header(path, {"general.architecture": architecture, **keys}))


@pytest.fixture
def model(tmp_path: Path) -> ModelCard:
    return read_card(ggufs.write_random_llama(tmp_path / "model.gguf"))


def projector(path: Path, kind: str, values: dict[str, Any], tensors: dict[str, Any] | None = None) -> Projector:
    header = {"general.architecture": "clip", "clip.projector_type": kind, **values}
    made = read_projector(ggufs.write_header(path, header, tensors))
    assert made is not None
    return made


def test_a_projector_of_the_models_width_fits(model: ModelCard, tmp_path: Path) -> None:
    made = read_projector(ggufs.write_random_mmproj(tmp_path / "mmproj.gguf"))

    assert made is not None
    assert (made.kind, made.takes, made.width, made.file_name) == ("gemma3", ("images",), 256, "mmproj.gguf")
    assert made.file_bytes == (tmp_path / "mmproj.gguf").stat().st_size
    assert fits_projector(model, made) == ""


def test_a_projector_for_another_size(model: ModelCard, tmp_path: Path) -> None:
    made = read_projector(ggufs.write_random_mmproj(tmp_path / "mmproj.gguf", width=64))

    assert made is not None
    assert fits_projector(model, made) == (
        "mmproj.gguf makes embeddings of 64 numbers and model.gguf takes 256: it was made for a model of another size."
    )


@pytest.mark.parametrize(
    ("kind", "values", "tensors", "width"),
    [
        ("unheard-of", {"clip.vision.projection_dim": 256}, {}, 256),
        ("voxtral", {"clip.audio.projection_dim": 256}, {}, 256),
        ("qwen3vl_merger", {"clip.vision.projection_dim": 1}, {"mm.2.weight": ("F32", (64, 256))}, 256),
        ("internvl", {"clip.vision.projection_dim": 1}, {"mm.model.mlp.3.weight": ("F32", (64, 256))}, 256),
        ("idefics3", {"clip.vision.projection_dim": 1}, {"mm.model.fc.weight": ("F32", (64, 256))}, 256),
        # the tensor counts, as it does in llama.cpp: old converters wrote CLIP's own width into the header
        ("mlp", {"clip.vision.projection_dim": 768}, {"mm.2.weight": ("F32", (64, 256))}, 256),
        ("gemma3", {"clip.vision.projection_dim": 1}, {"mm.input_projection.weight": ("F32", (256, 64))}, 256),
        ("gemma4v", {}, {"mm.input_projection.weight": ("F32", (64, 256))}, 256),
        ("mlp", {"clip.vision.projection_dim": "wide"}, {}, None),
        ("mlp", {}, {"mm.2.weight": ("F32", (64,))}, None),
    ],
)
def test_the_width_of_a_projector(
    kind: str, values: dict[str, Any], tensors: dict[str, Any], width: int | None, tmp_path: Path
) -> None:
    made = projector(tmp_path / "a.gguf", kind, values, tensors or None)

    assert (made.width, made.certain) == (width, bool(tensors) and width is not None)


def test_a_silent_projector_may_or_may_not_fit(model: ModelCard, tmp_path: Path) -> None:
    said = fits_projector(model, projector(tmp_path / "p.gguf", "mlp", {}))

    assert isinstance(said, Unknown)
    assert said == "p.gguf does not tell its embedding width, so nobody knows before loading whether the two fit."


def test_a_header_alone_may_be_wrong(model: ModelCard, tmp_path: Path) -> None:
    said = fits_projector(model, projector(tmp_path / "p.gguf", "unheard-of", {"clip.vision.projection_dim": 64}))

    assert isinstance(said, Unknown)
    assert said == (
        "p.gguf says that it makes embeddings of 64 numbers and model.gguf takes 256; "
        "its tensors decide when the first image comes."
    )


def test_other_files_are_no_projectors(model: ModelCard, tmp_path: Path) -> None:
    assert read_projector(model.path) is None
    with pytest.raises(GgufError, match=r"^does not exist$"):
        read_projector(tmp_path / "nowhere.gguf")


def vocabulary(tokens: list[str], **more: Any) -> dict[str, Any]:
    return {"tokenizer__ggml__model": "gpt2", "tokenizer__ggml__tokens": tokens, **more}


WORDS = [f"word{number}" for number in range(300)]


@pytest.mark.parametrize(
    ("tokens", "more", "said"),
    [
        (WORDS, {}, ""),
        (WORDS, {"tokenizer__ggml__scores": [0.0] * 300}, ""),
        # padded to another size
        ([*WORDS, *(f"pad{number}" for number in range(128))], {}, ""),
        (["other", *WORDS[1:]], {}, ""),
        ([*WORDS, *(f"pad{number}" for number in range(129))], {}, "vocabularies differ: 300 tokens in the model, 429"),
        ([*WORDS[:-1], "other"], {}, "vocabularies differ: token 299 is 'word299' in the model, 'other' in the"),
        (WORDS, {"tokenizer__ggml__model": "llama"}, "tokenizers differ: gpt2 in the model, llama in the drafter."),
        (
            WORDS,
            {"tokenizer__ggml__add_bos_token": True, "tokenizer__ggml__bos_token_id": 7},
            "starts of a text differ: nothing in the model, 'word7' in the drafter.",
        ),
    ],
)
def test_an_ordinary_drafter_needs_the_same_tokens(
    tokens: list[str], more: dict[str, Any], said: str, tmp_path: Path
) -> None:
    card = card_of(tmp_path / "model.gguf", **vocabulary(WORDS))
    drafter = card_of(tmp_path / "drafter.gguf", **{**vocabulary(tokens), **more})

    answer = fits_drafter(card, drafter)

    assert not is_drafter(drafter)
    assert bool(answer) == bool(said)
    assert said in answer
    if said:
        assert answer.startswith("drafter.gguf cannot draft for model.gguf, for their ")
        assert answer.endswith(".")


def test_a_drafter_without_a_vocabulary(model: ModelCard, tmp_path: Path) -> None:
    said = fits_drafter(model, card_of(tmp_path / "drafter.gguf"))

    assert said == "drafter.gguf has no vocabulary, so nothing can be drafted with it."


@pytest.mark.parametrize(
    ("architecture", "key"),
    [
        ("eagle3", "target_hidden_size"),
        ("dflash", "embedding_length"),
        ("gemma4-assistant", "embedding_length_out"),
    ],
)
def test_a_drafter_of_hidden_states_needs_their_width(
    architecture: str, key: str, model: ModelCard, tmp_path: Path
) -> None:
    def drafter(**values: Any) -> ModelCard:
        return card_of(tmp_path / "drafter.gguf", architecture, **values)

    assert is_drafter(drafter())
    assert fits_drafter(model, drafter(**{f"{architecture}__{key}": 256})) == ""
    assert fits_drafter(model, drafter(**{f"{architecture}__{key}": 64})) == (
        "drafter.gguf drafts from hidden states of 64 numbers and model.gguf has 256: it was made for another model."
    )
    assert not isinstance(fits_drafter(model, drafter(**{f"{architecture}__{key}": 64})), Unknown)
    assert isinstance(fits_drafter(model, drafter()), Unknown)
    assert fits_drafter(model, drafter()).startswith("drafter.gguf does not tell its embedding width")
