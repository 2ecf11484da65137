"""How much memory a model takes, by its header alone, as llama.cpp would allocate it. Pure.

The rules are those of llama-kv-cache.cpp, llama-kv-cache-iswa.cpp, llama-memory-recurrent.cpp, llama-context.cpp
(output_reserve) and llama-model-loader.cpp; docs/explanation/memory.md tells them in words.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from collections.abc import Sequence
from typing import Final

from pytest_quantcheck.engines.base import CHUNK
from pytest_quantcheck.engines.base import KV_TYPES
from pytest_quantcheck.engines.base import default_context
from pytest_quantcheck.ggml_types import GGML_TYPES
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_cost import EMBEDDING
from pytest_quantcheck.gguf_cost import ENCODERS
from pytest_quantcheck.gguf_cost import OUTPUT
from pytest_quantcheck.gguf_cost import RECURRENT
from pytest_quantcheck.gguf_cost import ROWS
from pytest_quantcheck.gguf_header import Tensor
from pytest_quantcheck.memory import Buffers

ROUNDING: Final = 256
"""llama.cpp rounds contexts, and the caches of sliding windows, up to a multiple of this."""

_ALL_RECURRENT: Final = RECURRENT | {"falcon-h1"}
_SOME_RECURRENT: Final = frozenset({"granitehybrid", "jamba", "lfm2", "lfm2moe", "qwen35", "qwen35moe", "qwen3next"})
"""Each layer of these has either attention or a state."""
_OTHER_CACHES: Final = frozenset(
    # caches of their own kind (indexers, compressed states), or states whose layers the scalars do not tell
    {
        *("bailingmoe3", "deepseek32", "deepseek4", "dots3note", "glm-dsa", "glm5-next", "hy_v4", "kimi-k3"),
        *("kimi-linear", "minimax-01", "minimax-m3", "nemotron_h", "nemotron_h_moe", "plamo2", "qwen4exp"),
    }
)

_AVX2: Final = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})
_AVX512: Final = frozenset({"Q2_K"})
_NEON: Final = frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "MXFP4", "Q8_0"})
_REPACKABLE: Final = _AVX2 | _AVX512 | _NEON
_OTHER_LAYOUTS: Final = frozenset({"AMX_INT8", "KLEIDIAI", "RISCV_V", "VXE"})
_ROWS_TOGETHER: Final = 8

SCRATCH: Final = 1 << 30
"""Room for what nobody asked llama.cpp: one model's compute buffers without its masks, and its vocabulary. A chunk of
512 tokens with one row of logits takes less, but for models with very wide layers."""
_MASKS: Final = 4 * CHUNK
"""Bytes of attention masks for one token of context: 16 bits for each token of a chunk, with a window and without."""


def rounded(context: int) -> int:
    """A context as llama.cpp makes it."""
    return -(-context // ROUNDING) * ROUNDING


def kv_bytes(card: ModelCard, context: int, kv_type: str) -> int | None:
    """Bytes of keys, values and recurrent states for one conversation; None where the header does not tell.

    Layers with a sliding window keep what they see and one chunk of new tokens. Flash attention is taken to be on, as
    it is wherever llama.cpp has it.
    """
    state = state_bytes(card)
    if card.architecture in ENCODERS:
        return 0
    if state is None or (not card.kv_layers and card.architecture not in RECURRENT):
        return None
    full = rounded(context)
    total = state
    for group in card.kv_layers:
        cells = full if group.window is None else rounded(min(full, group.window + CHUNK))
        total += group.layers * cells * (_row(group.key_width, kv_type) + _row(group.value_width, kv_type))
    return total


def state_bytes(card: ModelCard) -> int | None:
    """Bytes of the states of fixed size (32-bit floats) that recurrent layers keep; None where it takes more to tell.

    llama_hparams::n_embd_r and n_embd_s.
    """
    name = card.architecture
    if name in _OTHER_CACHES:
        return None
    if name not in _ALL_RECURRENT | _SOME_RECURRENT:
        return 0

    def number(key: str) -> int:
        value = card.metadata.get(f"{name}.{key}", 0)
        return value if isinstance(value, int) else 0

    layers = (card.block_count or 0) - number("nextn_predict_layers")
    if name in _SOME_RECURRENT:
        layers -= sum(group.layers for group in card.kv_layers)
    width = card.embedding_length or 0
    if head := number("wkv.head_size"):
        shifts = number("token_shift_count") or 2
        return 4 * layers * (shifts * width + width * head)
    if cache := number("shortconv.l_cache"):
        return 4 * layers * width * (cache - 1)
    inner, state = number("ssm.inner_size"), number("ssm.state_size")
    moving = (number("ssm.conv_kernel") - 1) * (inner + 2 * number("ssm.group_count") * state)
    return 4 * layers * (moving + state * inner) if inner else None


def held_weights(
    parts: Sequence[Sequence[Tensor]], repacked_types: Collection[str], *, offloaded: bool = False
) -> tuple[int, int]:
    """Bytes of weights as llama.cpp holds them, and how many of them it laid out anew for the processor.

    :param parts: the tensors of each file of the model; all are loaded, experts that are seldom used too.
    :param repacked_types: what `repacked_types` said of the processor. What is repacked is copied; of each file the
        stretch from the first to the last tensor that is not stays mapped.
    :param offloaded: all layers are on another device, which takes its own copy of an embedding that is the output too.
    """
    tied = all(tensor.name != OUTPUT for tensors in parts for tensor in tensors)

    def is_repacked(tensor: Tensor) -> bool:
        if tensor.type not in repacked_types or len(tensor.shape) < 2 or tensor.shape[1] % _ROWS_TOGETHER:
            return False
        return not tensor.name.startswith(ROWS) and (tied or tensor.name != EMBEDDING)

    if offloaded:
        twice = sum(t.bytes for tensors in parts for t in tensors if tied and t.name == EMBEDDING)
        return twice + sum(tensor.bytes for tensors in parts for tensor in tensors), 0
    copied = sum(tensor.bytes for tensors in parts for tensor in tensors if is_repacked(tensor))
    mapped = 0
    for tensors in parts:
        stays = [tensor for tensor in tensors if tensor.name == EMBEDDING or not is_repacked(tensor)]
        if stays:
            mapped += max(t.offset + t.bytes for t in stays) - min(t.offset for t in stays)
    return mapped + copied, copied


def repacked_types(system: str) -> frozenset[str] | None:
    """The types that the CPU backend lays out anew, from llama_print_system_info; None where that is not known.

    ggml_repack_get_optimal_repack_type in ggml-cpu/repack.cpp.
    """
    flags = set(re.findall(r"(\w+) = 1", system))
    if flags & _OTHER_LAYOUTS:
        return None
    if "REPACK" not in flags:
        return frozenset()
    if "NEON" in flags:
        return _NEON if flags & {"DOTPROD", "MATMUL_INT8"} else frozenset()
    return (_AVX2 if "AVX2" in flags else frozenset()) | (_AVX512 if "AVX512" in flags else frozenset())


def estimate(card: ModelCard, context: int, kv_type: str) -> Buffers:
    """What the header tells: all tensors, the cache, one row of logits. Compute buffers are llama.cpp's to say."""
    return Buffers(card.tensor_bytes, kv_bytes(card, context, kv_type), output=output_bytes(card))


def output_bytes(card: ModelCard) -> int | None:
    """One row of logits."""
    return None if card.vocabulary is None else 4 * card.vocabulary


def fits_together(sides: Sequence[tuple[ModelCard, int | None, str]], available: int) -> bool:
    """Whether several models can be loaded at once in ``available`` bytes; no where the header leaves it open.

    :param sides: of each model its card, the context in tokens and the type of its KV cache.

    Careful: what any processor may lay out anew counts twice, and each model gets masks and `SCRATCH`. A context of
    None is the engine's own choice.
    """
    need = 0
    for card, context, kv_type in sides:
        tokens = context or default_context(card.context_length)
        found = estimate(card, tokens, kv_type)
        if found.kv is None:
            return False
        copied = sum(size for name, size in card.tensor_types.items() if name in _REPACKABLE)
        need += found.total + copied + _MASKS * tokens + SCRATCH
    return need <= available


def _row(width: int, kv_type: str) -> int:
    """Bytes of ``width`` numbers in the cache."""
    _, block, size = GGML_TYPES[KV_TYPES[kv_type]]
    return -(-width // block) * size
