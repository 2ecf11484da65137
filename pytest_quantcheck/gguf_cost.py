"""What one decoded token reads, by the header alone: weights, keys and values.

Decoding is bound by memory traffic on most machines, so two files that read as many bytes should decode as fast; what
differs beyond that is owed to the kernels of their types. docs/explanation/model-cards.md tells the rule.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO
from typing import Final

from pytest_quantcheck.gguf_header import STRING
from pytest_quantcheck.gguf_header import Header
from pytest_quantcheck.gguf_header import Tensor
from pytest_quantcheck.gguf_header import numbers_at
from pytest_quantcheck.records import Record

MAX_LAYERS: Final = 1024
"""llama.cpp itself has room for 512 (LLAMA_MAX_LAYERS)."""

EMBEDDING: Final = "token_embd.weight"
OUTPUT: Final = "output.weight"
ROWS: Final = ("per_layer_token_embd.", "position_embd.", "token_types.")
"""Tables of which a token reads one row (GET_ROWS)."""
_NOT_DECODING: Final = ("enc.", "cls.", "mm.", "v.", "a.", "mtp.", "nextn.", "d2t")
"""The encoder, classifier heads, projectors, layers that only predict further tokens."""
_BLOCK: Final = re.compile(r"(?:dec\.)?blk\.(\d+)\.(.*)")
_EXPERTS: Final = re.compile(r"_(?:ch)?exps\.")
_KEYS_AND_VALUES: Final = re.compile(r"attn_(?:k|v|k_norm|v_norm)\.")

_WINDOWS: Final[dict[str, tuple[int, bool, int | None]]] = {
    # architecture without a pattern in its header: every how many layers one sees all, whether that is the first of
    # them, and the window where the header does not say (src/models/*.cpp: load_swa_pattern)
    "afmoe": (4, False, None),
    "cohere2": (4, False, None),
    "cohere2moe": (4, True, None),
    "exaone-moe": (4, False, 128),
    "exaone4": (4, False, 4096),
    "gemma2": (2, False, 4096),
    "gemma3": (6, False, None),
    "gemma3n": (5, False, None),
    "gpt-oss": (2, False, None),
    "laguna": (4, True, None),
    "llama4": (4, False, 8192),
    "mellum": (4, False, None),
    "muse-glimmer": (4, False, None),
    "olmo2": (4, False, None),
    "plamo3": (8, False, None),
    "smallthinker": (4, True, 4096),
}
_FIXED_WINDOWS: Final = frozenset({"llama4", "smallthinker"})
"""Their window does not depend on the header's number, but 0 there switches it off."""
_PATTERNS: Final = _WINDOWS.keys() | {
    *("dflash", "dots3note", "gemma4", "gemma4-assistant", "granite-swa", "maple", "mimo2", "spark2_5", "step35")
}
"""Architectures that obey the header's pattern; all others ignore windows, whatever the header says."""
_LINEAR: Final = {"minimax-01": 8, "qwen35": 4, "qwen35moe": 4, "qwen3next": 4, "qwen4exp": 4}
"""Every how many layers one has attention; the others have a state of fixed size."""
RECURRENT: Final = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
ENCODERS: Final = frozenset(
    {
        *("bert", "dream", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "llada", "llada-moe"),
        *("modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "rnd1", "wavtokenizer-dec"),
    }
)
"""Architectures that read a whole text at once and keep nothing of it (llama_model::create_memory)."""
_NO_CACHE_FROM: Final = {"gemma3n": 20}
"""The first layer that reuses the keys and values of an earlier one."""


@dataclass(frozen=True, slots=True)
class KvLayers(Record):
    """Layers that keep keys and values alike: numbers that one layer keeps of one token, and its window in tokens."""

    layers: int
    key_width: int
    value_width: int
    window: int | None = None


def decode_bytes(header: Header, architecture: str, tensors: Iterable[Tensor]) -> int:
    """Bytes of stored weights that one decoded token reads.

    All of a tensor counts but: of a token embedding that is no output matrix too, and of other tables of rows, nothing
    (one row); of experts the share that is used; nothing of layers that only predict further tokens (MTP), of encoders,
    projectors and classifiers, and of keys and values in layers that reuse an earlier layer's.
    """
    rows = list(tensors)
    count = _integer(header, f"{architecture}.expert_count")
    used = _integer(header, f"{architecture}.expert_used_count")
    share = (min(used, count), count) if used and count else (1, 1)
    layers, cached = _layers(header, architecture), _cached_layers(header, architecture)
    tied = all(tensor.name != OUTPUT for tensor in rows)

    def read(tensor: Tensor) -> int:
        name = tensor.name
        if name.startswith((*ROWS, *_NOT_DECODING)) or (name == EMBEDDING and not tied):
            return 0
        if block := _BLOCK.fullmatch(name):
            layer, part = int(block[1][:9]), block[2]
            if layer >= layers or ".nextn." in name or (layer >= cached and _KEYS_AND_VALUES.match(part)):
                return 0
            if _EXPERTS.search(part):
                return tensor.bytes * share[0] // share[1]
        return tensor.bytes

    return sum(map(read, rows))


def kv_layers(file: BinaryIO, header: Header, architecture: str) -> tuple[KvLayers, ...]:
    """What the layers keep of each token; () where the header does not tell, or where no layer keeps anything.

    Widths and windows follow llama_hparams and src/models/*.cpp; multi-head latent attention keeps no values, for they
    are a part of its keys (llama_kv_cache: has_v). States of fixed size are not counted.
    """
    blocks = _integer(header, f"{architecture}.block_count") or 0
    count = min(_layers(header, architecture), blocks)
    if not 0 < blocks <= MAX_LAYERS or architecture in RECURRENT | ENCODERS:
        return ()

    def numbers(key: str, default: int | None = None) -> list[int] | None:
        """One number a layer; None when there are none, or not one for each layer (llama.cpp refuses such a file)."""
        span = header.spans.get(f"{architecture}.{key}")
        if span is None:
            value = _integer(header, f"{architecture}.{key}")
            value = default if value is None else value
            return None if value is None else [value] * blocks
        if span.kind == STRING or span.length != blocks:
            return None
        found = [int(value) for value in numbers_at(file, span)]
        return found if all(0 <= value < 1 << 32 for value in found) else None

    heads = numbers("attention.head_count")
    kv_heads = numbers("attention.head_count_kv")
    if kv_heads is None and f"{architecture}.attention.head_count_kv" not in header.spans:
        kv_heads = heads
    first = next((number for number in heads or () if number), 0)
    embedding = _integer(header, f"{architecture}.embedding_length") or 0
    default = embedding // first if first else 0
    key, value = (_integer(header, f"{architecture}.attention.{kind}_length") or default for kind in ("key", "value"))
    if kv_heads is None or not key or not value:
        return ()
    key_swa, value_swa = (
        _integer(header, f"{architecture}.attention.{kind}_length_swa") or full
        for kind, full in (("key", key), ("value", value))
    )
    if f"{architecture}.attention.key_length_mla" in header.scalars:
        value = value_swa = 0
    sees_window, window = _windowed(header, architecture, numbers, count)
    linear = _linear(header, architecture, numbers)
    groups: Counter[tuple[int, int, int | None]] = Counter()
    for layer in range(min(count, _cached_layers(header, architecture))):
        if linear(layer) or not kv_heads[layer]:
            continue
        widths = (key_swa, value_swa, window) if sees_window(layer) else (key, value, None)
        groups[kv_heads[layer] * widths[0], kv_heads[layer] * widths[1], widths[2]] += 1
    return tuple(KvLayers(layers, *group) for group, layers in groups.items())


_Numbers = Callable[[str], list[int] | None]


def _windowed(
    header: Header, architecture: str, numbers: _Numbers, count: int
) -> tuple[Callable[[int], bool], int | None]:
    """Which layers see a window only, and how many tokens it has."""
    period, dense_first, default = _WINDOWS.get(architecture, (0, False, None))
    said = _integer(header, f"{architecture}.attention.sliding_window")
    window = default if said is None or (said and architecture in _FIXED_WINDOWS) else said
    if architecture == "lfm2" and window:
        return lambda layer: True, window
    if architecture not in _PATTERNS or not window or (architecture == "exaone4" and count != 64):
        return lambda layer: False, None
    key = "attention.sliding_window_pattern"
    if f"{architecture}.{key}" in header.spans:
        pattern = numbers(key)
        return (lambda layer: bool(pattern and pattern[layer])), window
    period = _integer(header, f"{architecture}.{key}") or period
    if not period:
        return lambda layer: False, None
    return lambda layer: layer % period != (0 if dense_first else period - 1), window


def _linear(header: Header, architecture: str, numbers: _Numbers) -> Callable[[int], bool]:
    """Which layers have no attention although the header gives them heads."""
    period = _LINEAR.get(architecture)
    if period is None:
        return lambda layer: False
    if (said := numbers("attention.recurrent_layers")) is not None:
        return lambda layer: bool(said[layer])
    interval = _integer(header, f"{architecture}.full_attention_interval") or period
    return lambda layer: (layer + 1) % interval != 0


def _layers(header: Header, architecture: str) -> int:
    """Layers that every token passes; those above only predict further tokens."""
    blocks = _integer(header, f"{architecture}.block_count")
    if blocks is None:
        return 1 << 32
    # a drafter may consist of such layers alone
    return max(0, blocks - (_integer(header, f"{architecture}.nextn_predict_layers") or 0)) or blocks


def _cached_layers(header: Header, architecture: str) -> int:
    """Layers that have keys and values of their own; those above reuse them."""
    blocks = _integer(header, f"{architecture}.block_count") or 0
    shared = _integer(header, f"{architecture}.attention.shared_kv_layers") if architecture == "gemma4" else None
    return max(0, blocks - shared) if shared is not None else _NO_CACHE_FROM.get(architecture, 1 << 32)


def _integer(header: Header, key: str) -> int | None:
    value = header.scalars.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
