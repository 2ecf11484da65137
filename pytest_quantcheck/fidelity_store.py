"""Files that keep a reference's log-probabilities: what such a file says of itself, read without NumPy.

Two formats: our own, which docs/explanation/fidelity-store.md describes, and the one that llama-perplexity writes with
``--kl-divergence-base`` (tools/perplexity/perplexity.cpp). What a record holds is the engine's business
(engines/kept.py).
"""

from __future__ import annotations

import array
import json
import os
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import BinaryIO
from typing import Final
from typing import get_args

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.fidelity import Part
from pytest_quantcheck.text import digest
from pytest_quantcheck.text import short

MAGIC: Final = b"qc-logp\n"
VERSION: Final = 1
BASE_MAGIC: Final = b"_logits_"
WHOLE_UP_TO: Final = 4096
"""Tokens of a vocabulary that is kept whole."""
TOP: Final = 1024
"""Likeliest tokens that are kept at each position of a larger vocabulary."""

_SIZES: Final = struct.Struct("<II")
"""After the magic: bytes of the header and their CRC-32."""
_BASE_SIZES: Final = struct.Struct("<Iii")
_CRC: Final = 4
_MOST_HEADER: Final = 64 << 20
_MOST_VOCABULARY: Final = 1 << 24
_ALIGNED: Final = 64
_PARTS: Final = get_args(Part)


class StoreError(EngineRefused):
    """The file is none that keeps log-probabilities, or is damaged, or belongs to another model or text."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens that a model reads from an empty cache, and which of them are scored.

    :param spans: (start, stop, part): the tokens from ``start`` up to ``stop`` are scored; ascending, none is empty.
        Nothing predicts the first token, so no span begins at 0.
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int, Part], ...]

    @property
    def scored(self) -> tuple[int, ...]:
        """The scored tokens' places, ascending."""
        return tuple(at for start, stop, _ in self.spans for at in range(start, stop))


@dataclass(frozen=True, slots=True)
class StoreHeader:
    """What a store says of itself.

    :param vocabulary: tokens of the vocabulary; ``vocabulary_digest`` is that of the model card, '' where unknown.
    :param kept: tokens whose log-probability is kept at each position; all of them where it equals ``vocabulary``.
    :param asked: `request_digest` of what was scored, '' where unknown.
    :param reference: the model's file name, or the store's own where nobody says.
    :param base: whether llama-perplexity wrote it; then the first token of each passage is not yet the BOS that a model
        may want there.
    :param start: offset of the first record.
    """

    vocabulary: int
    kept: int
    window: int
    passages: tuple[Passage, ...]
    vocabulary_digest: str = ""
    asked: str = ""
    reference: str = ""
    reference_fingerprint: str = ""
    build: str = ""
    template: str = ""
    base: bool = False
    start: int = 0

    @property
    def whole(self) -> bool:
        """Whether every token's log-probability is kept."""
        return self.kept == self.vocabulary

    @property
    def record_bytes(self) -> int:
        """Bytes of one scored position."""
        if self.base:
            return 2 * (2 * ((self.vocabulary + 1) // 2) + 4)
        return 4 + 4 * self.kept if self.whole else 12 + 8 * self.kept

    @property
    def file_bytes(self) -> int:
        """Bytes of the whole file."""
        records = sum(stop - start for passage in self.passages for start, stop, _ in passage.spans)
        return self.start + records * self.record_bytes + (0 if self.base else _CRC * len(self.passages))

    def encoded(self) -> bytes:
        """The file's beginning, up to its first record."""
        said = {
            "version": VERSION,
            "vocabulary": self.vocabulary,
            "kept": self.kept,
            "window": self.window,
            **{name: getattr(self, name) for name in _TEXTS},
            "passages": [{"ids": passage.ids, "spans": passage.spans} for passage in self.passages],
        }
        header = json.dumps(said, separators=(",", ":")).encode()
        header += b" " * (-(len(MAGIC) + _SIZES.size + len(header)) % _ALIGNED)
        if len(header) > _MOST_HEADER:
            raise StoreError(f"the text has too many tokens for one store: its header would take {len(header)} bytes")
        return MAGIC + _SIZES.pack(len(header), zlib.crc32(header)) + header


_TEXTS: Final = ("vocabulary_digest", "asked", "reference", "reference_fingerprint", "build", "template")


def request_digest(request: FidelityRequest) -> str:
    """Equal for requests that score the same text or conversations with the same window."""
    window = 0 if request.conversations else request.window
    return digest([request.text, request.conversations, window])


def is_store(path: str | Path) -> bool:
    """Whether the file begins as one of the two formats does; False for what cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) in (MAGIC, BASE_MAGIC)
    except OSError:
        return False


def read_store_header(path: str | Path) -> StoreHeader:
    """What the file says of itself, its length checked. StoreError, one line, for anything but a sound store."""
    try:
        with open(path, "rb") as file:
            return header_of(file)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from None
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from None


def header_of(file: BinaryIO) -> StoreHeader:
    """The same of an open file; the messages do not name it. OSError where it cannot be read."""
    magic = file.read(len(MAGIC))
    if magic == MAGIC:
        header = _own(file)
    elif magic == BASE_MAGIC:
        header = _base(file)
    else:
        raise StoreError("is no file of a reference's log-probabilities")
    size = os.fstat(file.fileno()).st_size
    if size != header.file_bytes:
        how = "truncated" if size < header.file_bytes else "too long"
        raise StoreError(f"is {how}: {size} bytes instead of {header.file_bytes}")
    return header


def _own(file: BinaryIO) -> StoreHeader:
    sizes = file.read(_SIZES.size)
    length, crc = _SIZES.unpack(sizes) if len(sizes) == _SIZES.size else (_MOST_HEADER + 1, 0)
    data = file.read(length) if length <= _MOST_HEADER else b""
    if len(data) != length or zlib.crc32(data) != crc:
        raise StoreError("is damaged: its header is not what was written")
    try:
        said = json.loads(data)
        version = said["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StoreError("is damaged: its header is no description of a store") from None
    if version != VERSION:
        raise StoreError(
            f"has format version {short(version)}, this version of the plugin reads {VERSION}; make it anew"
        )
    return _checked(said, len(MAGIC) + _SIZES.size + length)


def _checked(said: dict[str, Any], start: int) -> StoreHeader:
    """A header in which nothing is left to be wrong."""
    try:
        texts: dict[str, Any] = {name: _text(said[name]) for name in _TEXTS}
        vocabulary = _number(said["vocabulary"], 1, _MOST_VOCABULARY)
        return StoreHeader(
            vocabulary=vocabulary,
            kept=_number(said["kept"], 1, vocabulary),
            window=_number(said["window"], 0, _MOST_HEADER),
            passages=tuple(_passage(passage, vocabulary) for passage in _list(said["passages"])),
            start=start,
            **texts,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"is damaged: its header is no description of a store ({short(str(error))})") from None


def _passage(said: Any, vocabulary: int) -> Passage:
    ids = tuple(_number(token, 0, vocabulary - 1) for token in _list(said["ids"]))
    spans: list[tuple[int, int, Part]] = []
    after = 1
    for begin, end, part in _list(said["spans"]):
        start = _number(begin, after, len(ids) - 1)
        after = _number(end, start + 1, len(ids))
        if part not in _PARTS:
            raise ValueError(f"part {short(part)}")
        spans.append((start, after, part))
    return Passage(ids, tuple(spans))


def _number(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{short(value)} where a number from {least} to {most} belongs")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{short(value)} where a text belongs")
    return value


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list) or not value:
        raise TypeError(f"{short(value)} where a list belongs")
    return value


def _base(file: BinaryIO) -> StoreHeader:
    """llama-perplexity's file: u32 n_ctx, i32 n_vocab, i32 n_chunk, the tokens of all chunks, then the records.

    It does not say which model wrote it. Its chunks are scored from the middle on (perplexity.cpp: ``first``).
    """
    sizes = file.read(_BASE_SIZES.size)
    window, vocabulary, chunks = _BASE_SIZES.unpack(sizes) if len(sizes) == _BASE_SIZES.size else (0, 0, 0)
    if not (3 <= window <= _MOST_HEADER and 1 <= vocabulary <= _MOST_VOCABULARY and chunks >= 1):
        raise StoreError("is damaged: llama-perplexity's sizes at its beginning make no sense")
    start = len(BASE_MAGIC) + _BASE_SIZES.size
    count = window * chunks
    tokens = array.array("i")
    if 4 * count > _MOST_HEADER or tokens.itemsize != 4:
        raise StoreError(f"holds {count} tokens, which is more than can be read")
    data = file.read(4 * count)
    if len(data) != 4 * count:
        raise StoreError("is truncated: its tokens are missing")
    tokens.frombytes(data)
    if sys.byteorder == "big":
        tokens.byteswap()
    if min(tokens) < 0 or max(tokens) >= vocabulary:
        raise StoreError("is damaged: it holds tokens outside of its own vocabulary")
    spans: tuple[tuple[int, int, Part], ...] = ((window // 2 + 1, window, "text"),)
    return StoreHeader(
        vocabulary=vocabulary,
        kept=vocabulary,
        window=window,
        passages=tuple(Passage(tuple(tokens[at : at + window]), spans) for at in range(0, count, window)),
        reference=Path(str(file.name)).name,
        base=True,
        start=start + len(data),
    )
