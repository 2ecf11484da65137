"""Files that are of use only beside a language model: projectors (mmproj) and drafters, and whether they fit it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_header import GgufError
from pytest_quantcheck.gguf_header import Header
from pytest_quantcheck.gguf_header import opened
from pytest_quantcheck.gguf_header import read_header
from pytest_quantcheck.gguf_vocabulary import token_texts
from pytest_quantcheck.records import Record
from pytest_quantcheck.text import one_line
from pytest_quantcheck.text import short

_KINDS: Final = {"vision": "images", "audio": "audio"}
_WIDTH_TENSORS: Final[dict[str, tuple[str, int]]] = {
    # projector type: the tensor whose dimension counts, and which one (clip_n_mmproj_embd in tools/mtmd/clip.cpp)
    **dict.fromkeys(("gemma3", "gemma3nv"), ("mm.input_projection.weight", 0)),
    **dict.fromkeys(("gemma4v", "gemma4uv", "gemma4a", "gemma4ua"), ("mm.input_projection.weight", 1)),
    **dict.fromkeys(("mlp", "pixtral", "lightonocr", "dots_ocr", "lfm2", "kimivl", "phi4"), ("mm.2.weight", 1)),
    # these add as many widths again as there are deepstack layers, and so does the model
    **dict.fromkeys(("qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger", "exaone4_5"), ("mm.2.weight", 1)),
    **dict.fromkeys(("internvl", "nemotron_v2_vl"), ("mm.model.mlp.3.weight", 1)),
    **dict.fromkeys(("idefics3", "llama4"), ("mm.model.fc.weight", 1)),
}
_TARGET_WIDTHS: Final = {
    # architecture of a drafter that reads the model's hidden states: the key that tells their width
    "eagle3": "eagle3.target_hidden_size",
    "dflash": "dflash.embedding_length",
    "gemma4-assistant": "gemma4-assistant.embedding_length_out",
}
_MOST_TOKENS_APART: Final = 128
"""SPEC_VOCAB_MAX_SIZE_DIFFERENCE in common/speculative.cpp: padding differs between sizes of one model family."""
_FIRST_COMPARED: Final = 5
"""SPEC_VOCAB_CHECK_START_TOKEN_ID: the first few tokens may differ."""


@dataclass(frozen=True, slots=True)
class Projector(Record):
    """One mmproj file: it turns images or audio into embeddings of ``width`` numbers for a language model.

    ``kind`` is llama.cpp's name of the projector, ``takes`` are 'images' and 'audio'; sizes are in bytes. ``certain``:
    the width is that of the tensor which llama.cpp compares, not a number in the header; old converters wrote others.
    """

    path: str
    kind: str
    takes: tuple[str, ...]
    width: int | None
    file_bytes: int
    certain: bool = False

    @property
    def file_name(self) -> str:
        """The last part of the path."""
        return Path(self.path).name

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"takes": tuple}


class Unknown(str):
    """Why nobody knows before loading whether two files fit."""

    __slots__ = ()


def read_projector(path: str | Path) -> Projector | None:
    """What an mmproj file says of itself; None when it is something else; GgufError when it is no sound GGUF file."""
    header = read_header(path)
    if header.scalars.get("general.architecture") != "clip" and header.scalars.get("general.type") != "mmproj":
        return None
    takes = [kind for kind in _KINDS if header.scalars.get(f"clip.has_{kind}_encoder") is True]
    kinds = (header.scalars.get(f"clip.{part}projector_type") for part in ("", "vision.", "audio."))
    kind = next((value for value in kinds if isinstance(value, str)), "")
    of_tensor = _tensor_width(header, kind)
    width = _header_width(header) if of_tensor is None else of_tensor
    takes_words = tuple(_KINDS[kind] for kind in takes)
    return Projector(str(path), one_line(kind, 60), takes_words, width, header.file_bytes, of_tensor is not None)


def is_drafter(card: ModelCard) -> bool:
    """Whether the file can do nothing but draft for another model (EAGLE, DFlash, Gemma 4's assistants)."""
    return card.architecture in _TARGET_WIDTHS


def fits_projector(card: ModelCard, projector: Projector) -> str:
    """'' when the projector makes embeddings of the model's width, else one sentence; llama.cpp refuses such a pair.

    The sentence is `Unknown` when a file does not tell its width, or only by a header that may be wrong.
    """
    if projector.width is None or card.embedding_length is None:
        silent = projector.file_name if projector.width is None else card.file_name
        return Unknown(
            f"{silent} does not tell its embedding width, so nobody knows before loading whether the two fit."
        )
    if projector.width == card.embedding_length:
        return ""
    if not projector.certain:
        return Unknown(
            f"{projector.file_name} says that it makes embeddings of {projector.width} numbers and {card.file_name} "
            f"takes {card.embedding_length}; its tensors decide when the first image comes."
        )
    return (
        f"{projector.file_name} makes embeddings of {projector.width} numbers and {card.file_name} takes "
        f"{card.embedding_length}: it was made for a model of another size."
    )


def fits_drafter(card: ModelCard, drafter: ModelCard) -> str:
    """'' when the drafter can draft for the model, else one sentence.

    An ordinary model drafts for one with the same tokens (common_speculative_are_compatible in llama.cpp's
    common/speculative.cpp); drafters that read hidden states must be made for their width. Both files are read again
    where their vocabularies differ a little; GgufError when that fails. `Unknown` when a file does not tell its width.
    """
    if card.served:  # its vocabulary is at hand for nobody
        return Unknown(f"{card.file_name} is behind a server, so nobody knows before loading whether they fit.")
    key = _TARGET_WIDTHS.get(drafter.architecture)
    if key is not None:
        return _fits_width(card, drafter, drafter.metadata.get(key))
    if not card.vocabulary_digest or not drafter.vocabulary_digest:
        silent = card if not card.vocabulary_digest else drafter
        return f"{silent.file_name} has no vocabulary, so nothing can be drafted with it."
    if card.tokenizer != drafter.tokenizer:
        return _differ(card, drafter, "tokenizers", card.tokenizer, drafter.tokenizer)
    if card.add_bos != drafter.add_bos or (card.add_bos and card.bos != drafter.bos):
        return _differ(card, drafter, "starts of a text", *map(_start, (card, drafter)))
    if card.vocabulary_digest == drafter.vocabulary_digest:
        return ""
    if abs((card.vocabulary or 0) - (drafter.vocabulary or 0)) > _MOST_TOKENS_APART:
        return _differ(card, drafter, "vocabularies", f"{card.vocabulary} tokens", f"{drafter.vocabulary}")
    for number, (mine, theirs) in enumerate(zip(_tokens(card), _tokens(drafter), strict=False)):
        if number >= _FIRST_COMPARED and mine != theirs:
            shown = (short(token.decode("utf-8", "replace")) for token in (mine, theirs))
            return _differ(card, drafter, "vocabularies", f"token {number} is {next(shown)}", next(shown))
    return ""


def _fits_width(card: ModelCard, drafter: ModelCard, width: object) -> str:
    if not isinstance(width, int) or card.embedding_length is None:
        silent = card if isinstance(width, int) else drafter
        return Unknown(
            f"{silent.file_name} does not tell its embedding width, so nobody knows before loading whether they fit."
        )
    if width == card.embedding_length:
        return ""
    return (
        f"{drafter.file_name} drafts from hidden states of {width} numbers and {card.file_name} has "
        f"{card.embedding_length}: it was made for another model."
    )


def _differ(card: ModelCard, drafter: ModelCard, what: str, mine: str, theirs: str) -> str:
    return (
        f"{drafter.file_name} cannot draft for {card.file_name}, for their {what} differ: {mine} in the model, "
        f"{theirs} in the drafter."
    )


def _start(card: ModelCard) -> str:
    return short(card.bos) if card.add_bos else "nothing"


def _tokens(card: ModelCard) -> list[bytes]:
    with opened(card.path) as file:
        return token_texts(file, read_header(card.path))


def _tensor_width(header: Header, kind: str) -> int | None:
    name, axis = _WIDTH_TENSORS.get(kind, ("", 0))
    for tensor in header.tensors:
        if tensor.name == name and len(tensor.shape) > axis:
            return tensor.shape[axis]
    return None


def _header_width(header: Header) -> int | None:
    for part in _KINDS:
        width = header.scalars.get(f"clip.{part}.projection_dim")
        if isinstance(width, int) and not isinstance(width, bool) and width > 0:
            return width
    return None


__all__ = ["GgufError", "Projector", "Unknown", "fits_drafter", "fits_projector", "is_drafter", "read_projector"]
