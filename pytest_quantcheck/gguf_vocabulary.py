"""What the vocabulary of a GGUF file is, by one walk over its arrays; the tokens themselves are not kept.

The rules are those of llama.cpp's vocabulary loader: llama_vocab::impl::load in src/llama-vocab.cpp (as of version
0.3.36 of llama-cpp-python).
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import BinaryIO
from typing import Final

from pytest_quantcheck.gguf_header import STRING
from pytest_quantcheck.gguf_header import GgufError
from pytest_quantcheck.gguf_header import Header
from pytest_quantcheck.gguf_header import Span
from pytest_quantcheck.gguf_header import numbers_at
from pytest_quantcheck.gguf_header import read_at
from pytest_quantcheck.records import Record
from pytest_quantcheck.thinking import FAMILIES

MAX_SPECIAL: Final = 512
"""Special tokens that are kept; those that the file names and those that end answers come first."""
MAX_TOKEN: Final = 128
"""Bytes of a token that can be special for its text."""
_SEARCHED: Final = 1 << 16
"""Characters of the chat template in which tokens are looked for; real templates have a tenth of it."""

TYPES: Final = {1: "NORMAL", 2: "UNKNOWN", 3: "CONTROL", 4: "USER_DEFINED", 5: "UNUSED", 6: "BYTE"}
_NORMAL, _BYTE = 1, 6

_DEFAULT_IDS: Final[dict[str, dict[str, int]]] = {
    # tokenizer.ggml.model: the special tokens that it has when the header names none
    "llama": {"bos": 1, "eos": 2, "unknown": 0},
    "bert": {"bos": 101, "unknown": 100, "seperator": 102, "padding": 0, "mask": 103},
    "gpt2": {"bos": 11, "eos": 11},
    "hybriddna": {"bos": 11, "eos": 11},
    "whitespace": {"bos": 11, "eos": 11},
    "t5": {"eos": 1, "unknown": 2, "padding": 0},
    "plamo2": {"bos": 1, "eos": 2, "unknown": 0, "padding": 3},
}
_WITHOUT_BOS: Final = frozenset({"chatglm-bpe", "glm4", "glm5"})
"""tokenizer.ggml.pre: BPE vocabularies that have no BOS unless the header names one."""
_NAMED: Final = {
    # the word in tokenizer.ggml.{word}_token_id, misspelt as there: what it is for
    "bos": "bos",
    "eos": "eos",
    "eot": "eot",
    "eom": "eom",
    "unknown": "unknown",
    "seperator": "separator",
    "padding": "pad",
    "mask": "mask",
    "fim_pre": "fim prefix",
    "fim_suf": "fim suffix",
    "fim_mid": "fim middle",
    "fim_pad": "fim pad",
    "fim_rep": "fim repository",
    "fim_sep": "fim separator",
}
_ENDS: Final = frozenset(
    (
        *("<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>"),
        *("<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<eos>"),
        *("<end_of_utterance>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~["),
    )
)
"""Tokens that end an answer in every vocabulary that has them."""
_FIM: Final = {
    "fim_pad": ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"),
    "fim_rep": ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"),
    "fim_sep": ("<|file_sep|>",),
}
"""Where the header names none, these texts are taken, and end answers too."""
_ADDS_BOS: Final = frozenset({"llama", "bert"})
_PRE_ADDS_BOS: Final = frozenset(
    (
        *("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"),
        *("tekken", "chameleon"),
    )
)
_BPE: Final = frozenset({"gpt2", "hybriddna", "whitespace"})

_MARKER: Final = re.compile(r"<[^<>\s]{1,100}>|\[/?[A-Z_]{2,}\]")
"""Text that looks like a token of meaning even where the vocabulary calls it an ordinary one."""
_U64: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class SpecialToken(Record):
    """One token that means something. ``type`` is what the file says: CONTROL, USER_DEFINED, NORMAL, ...

    ``uses`` are words such as 'bos', 'eos', 'pad' (the file names it so), 'end' (llama.cpp stops at it), 'template'
    (it stands in the chat template), 'thinking' and 'tool call' (a marker of a known template family).
    """

    id: int
    text: str
    type: str
    uses: tuple[str, ...]

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"uses": tuple}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a model card says of the vocabulary: see the fields of the same names there."""

    digest: str
    types_digest: str
    special: tuple[SpecialToken, ...]
    end_of_generation: tuple[str, ...]
    add_bos: bool | None
    add_space_prefix: bool | None
    bos: str
    eos: str


def read_vocabulary(file: BinaryIO, header: Header, template: str) -> Vocabulary:
    """The vocabulary of the file that the header was read from; GgufError for one that llama.cpp does not load either.

    A quarter of a second for 262k tokens, nearly all of it one walk over their lengths.
    """
    tokens = _span(header, "tokens", STRING)
    model, pre = (str(header.scalars.get(f"tokenizer.ggml.{key}", "")) for key in ("model", "pre"))
    if tokens is None or not tokens.length:
        return Vocabulary("", "", (), (), None, None, "", "")
    types_span = _span(header, "token_type", 4, 5, least=tokens.length)
    types = numbers_at(file, types_span) if types_span else ()
    data = read_at(file, tokens.offset, tokens.size)
    texts = _Texts(data, tokens.length, types, template)
    named = _named(header, model, pre, tokens.length)
    ends = _end_of_generation(texts, named)
    named_texts = {word: texts.of(named[word]) if word in named else "" for word in ("bos", "eos")}
    return Vocabulary(
        digest=_digest(file, header, ("tokens", "merges", "scores"), data),
        types_digest=_digest(file, header, ("token_type",)),
        special=_special(texts, named, ends),
        end_of_generation=tuple(texts.of(number) for number in ends),
        add_bos=_adds_bos(header, model, pre),
        add_space_prefix=_flag(header, "add_space_prefix", model == "llama"),
        **named_texts,
    )


def token_texts(file: BinaryIO, header: Header) -> list[bytes]:
    """All tokens by id, as they stand in the file: two vocabularies of different size are compared so."""
    tokens = _span(header, "tokens", STRING)
    if tokens is None:
        return []
    data = read_at(file, tokens.offset, tokens.size)
    return [data[begin:end] for begin, end in _places(data, tokens.length)]


class _Texts:
    """The tokens of a vocabulary that may mean something."""

    def __init__(self, data: bytes, count: int, types: Sequence[int | float], template: str) -> None:
        self._data = data
        self._types = types
        self._places = _places(data, count)
        searched = template[:_SEARCHED]
        marked = {marker.encode("utf-8", "replace") for marker in _MARKER.findall(searched)}
        wanted = {text.encode() for text in (*_MARKERS, *_ENDS, *(text for texts in _FIM.values() for text in texts))}
        wanted |= marked
        self.by_text = {
            data[begin:end]: number
            for number, (begin, end) in enumerate(self._places)
            if end - begin <= MAX_TOKEN and data[begin:end] in wanted
        }
        apart = {
            data[begin:end]: number
            for number, kind in enumerate(types[:count])
            if kind not in (_NORMAL, _BYTE)
            for begin, end in (self._places[number],)
            if 0 < end - begin <= MAX_TOKEN
        }
        inside = {number for text, number in self.by_text.items() if text in marked and self.type(number) != "BYTE"}
        self.in_template = inside | {apart[text] for text in _occurring(apart, searched.encode("utf-8", "replace"))}

    def of(self, number: int) -> str:
        begin, end = self._places[number]
        return self._data[begin:end][: 8 * MAX_TOKEN].decode("utf-8", "replace")

    def id(self, text: str) -> int | None:
        return self.by_text.get(text.encode())

    def type(self, number: int) -> str:
        return TYPES.get(int(self._types[number]), "UNDEFINED") if self._types else "NORMAL"


def _places(data: bytes, count: int) -> list[tuple[int, int]]:
    places: list[tuple[int, int]] = []
    add = places.append
    length = _U64.unpack_from
    at = 0
    for _ in range(count):
        begin = at + 8
        at = begin + length(data, at)[0]
        add((begin, at))
    return places


def _occurring(texts: dict[bytes, int], template: bytes) -> set[bytes]:
    """Those of the texts that stand somewhere in the template, in time that does not grow with their number."""
    lengths: dict[bytes, set[int]] = {}
    for text in texts:
        lengths.setdefault(text[:2], set()).add(len(text))
    found: set[bytes] = set()
    for at in range(len(template)):
        for length in lengths.get(template[at : at + 2], ()):
            if (piece := template[at : at + length]) in texts:
                found.add(piece)
        if template[at : at + 1] in texts:
            found.add(template[at : at + 1])
    return found


def _end_of_generation(texts: _Texts, named: dict[str, int]) -> list[int]:
    """Ids of the tokens at which llama.cpp stops, in order.

    The texts that always end, the ids that the header names, three kinds of fill-in-the-middle tokens; then two
    exceptions: '<|end|>' only ends a message where '<|return|>' and '<|call|>' end answers, '</s>' is ordinary text
    in Gemma 4 and PLaMo. (llama.cpp takes any one of several fill-in-the-middle texts; here it is the first id.)
    """
    ends = {number for text in _ENDS if (number := texts.id(text)) is not None}
    for word, candidates in _FIM.items():
        ids = [named[word]] if word in named else [n for n in map(texts.id, candidates) if n is not None]
        ends.update(sorted(ids)[:1])
    ends.update(named[word] for word in ("eos", "eot", "eom") if word in named)
    by_text = {texts.of(number): number for number in ends}
    present = by_text.keys()
    if "<|end|>" in present and present & {"<|call|>", "<|calls|>"} and present & {"<|return|>", "<|flush|>"}:
        ends.remove(by_text["<|end|>"])
    if "</s>" in present and present & {"<|tool_response>", "<|plamo:eos|>"}:
        ends.remove(by_text["</s>"])
    return sorted(ends)


def _special(texts: _Texts, named: dict[str, int], ends: list[int]) -> tuple[SpecialToken, ...]:
    uses: dict[int, dict[str, None]] = {}  # ordered by importance, since there is a limit

    def use(number: int | None, word: str) -> None:
        if number is not None:
            uses.setdefault(number, {})[word] = None

    for key, number in named.items():
        use(number, _NAMED[key])
    for number in ends:
        use(number, "end")
    for marker, word in _MARKERS.items():
        use(texts.id(marker), word)
    for number in sorted(texts.in_template):
        use(number, "template")
    kept = sorted(list(uses)[:MAX_SPECIAL])
    return tuple(SpecialToken(number, texts.of(number), texts.type(number), tuple(uses[number])) for number in kept)


def _markers() -> dict[str, str]:
    """The tokens of all template families that mark thoughts, calls and messages: what each is for."""
    found: dict[str, str] = {}

    def note(word: str, *markers: str | None) -> None:
        for marker in markers:
            for token in _MARKER.findall(marker or ""):
                found.setdefault(token, word)

    for family in FAMILIES:
        note("thinking", family.thought, family.close)
    for family in FAMILIES:
        for call in family.calls:
            note("tool call", call.open, call.close)
        if family.messages is not None:
            note("message", *family.messages.start, *family.messages.parts, family.messages.body, *family.messages.end)
    return found


_MARKERS: Final = _markers()


def _named(header: Header, model: str, pre: str, count: int) -> dict[str, int]:
    """Ids of the special tokens by the words of ``_NAMED``: the header's, else the tokenizer's defaults."""
    ids = {word: number for word, number in _DEFAULT_IDS.get(model, {}).items() if number < count}
    if model in _BPE and pre in _WITHOUT_BOS:
        ids.pop("bos", None)
    for word in _NAMED:
        number = header.scalars.get(f"tokenizer.ggml.{word}_token_id")
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < count:
            ids[word] = number
    return ids


def _adds_bos(header: Header, model: str, pre: str) -> bool:
    default = model in _ADDS_BOS or (model in _BPE and pre in _PRE_ADDS_BOS)
    # llama.cpp overrides files of Gemma 4 that say no (pull request 21500)
    forced = model == "gemma4" or (model in _BPE and pre in ("gemma4", "granite-embed-multi-311m"))
    return forced or _flag(header, "add_bos_token", default)


def _flag(header: Header, key: str, default: bool) -> bool:
    value = header.scalars.get(f"tokenizer.ggml.{key}")
    return value if isinstance(value, bool) else default


def _span(header: Header, key: str, *kinds: int, least: int = 0) -> Span | None:
    span = header.spans.get(f"tokenizer.ggml.{key}")
    if span is None:
        return None
    if span.kind not in kinds:
        raise GgufError(f"is damaged: tokenizer.ggml.{key} is an array of the wrong type")
    if span.length < least:
        raise GgufError(f"is damaged: tokenizer.ggml.{key} has {span.length} entries for {least} tokens")
    return span


def told_digests(arrays: Mapping[str, Sequence[Any]]) -> tuple[str, str] | None:
    """Digests of a vocabulary and of its types that somebody tells, not the file: those that `read_vocabulary` finds.

    None where they cannot be the file's: a token that is no text, or one that was not sent as it is.

    :param arrays: 'tokens', 'merges', 'scores' and 'token_type', as far as the file has them.
    """
    made = {}
    try:
        for key, values in arrays.items():
            kind, pack = _TOLD[key]
            made[key] = kind, len(values), b"".join(map(pack, values))
    except (AttributeError, TypeError, ValueError, struct.error):
        return None
    digests = []
    for keys in (("tokens", "merges", "scores"), ("token_type",)):
        digest = hashlib.blake2b(digest_size=16)
        for kind, length, data, key in ((*made[key], key) for key in keys if key in made):
            digest.update(_head(key, kind, length, len(data)))
            digest.update(data)
        digests.append(digest.hexdigest() if any(key in made for key in keys) else "")
    return digests[0], digests[1]


def _text_bytes(text: str) -> bytes:
    if "\ufffd" in text:  # bytes that are no UTF-8 were replaced on the way
        raise ValueError(text)
    data = text.encode()
    return _U64.pack(len(data)) + data


_TOLD: Final[dict[str, tuple[int, Callable[[Any], bytes]]]] = {
    # array -> the type of its elements in a GGUF file, and how one of them stands there
    "tokens": (STRING, _text_bytes),
    "merges": (STRING, _text_bytes),
    "scores": (6, struct.Struct("<f").pack),
    "token_type": (5, struct.Struct("<i").pack),
}


def _head(key: str, kind: int, length: int, size: int) -> bytes:
    return f"{key} {kind} {length} {size}\0".encode()


def _digest(file: BinaryIO, header: Header, keys: Sequence[str], first: bytes = b"") -> str:
    """Of the arrays of these keys, byte for byte; '' when there are none. ``first`` are the bytes of the first one."""
    digest = hashlib.blake2b(digest_size=16)
    spans = {key: span for key in keys if (span := header.spans.get(f"tokenizer.ggml.{key}"))}
    for number, (key, span) in enumerate(spans.items()):
        digest.update(_head(key, span.kind, span.length, span.size))
        digest.update(first if first and not number else read_at(file, span.offset, span.size))
    return digest.hexdigest() if spans else ""
