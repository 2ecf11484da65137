"""Makers of GGUF files whose memory is not that of a plain model: experts, windows, embeddings of each layer."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import gguf
import numpy as np

from tests.ggufs import VOCABULARY
from tests.ggufs import add_tokenizer
from tests.ggufs import add_value
from tests.ggufs import finish
from tests.ggufs import write_random_bert
from tests.ggufs import write_random_mamba

WIDTH: Final = 256
HEADS: Final = 4
KV_HEADS: Final = 2
HEAD: Final = 64
HIDDEN: Final = 512
TRAINED: Final = 8192

Shapes = Mapping[str, tuple[int, ...]]


def write_moe(path: Path, *, layers: int = 2, experts: int = 8, weights: str = "F16") -> Path:
    """Qwen3-MoE: ``experts`` experts of which two are used, with a router; an output matrix of its own."""
    hidden = 256
    keys = {"expert_count": experts, "expert_used_count": 2, "expert_feed_forward_length": hidden}
    block = _attention(HEAD, KV_HEADS, HEAD) | {
        "ffn_gate_inp": (experts, WIDTH),
        "ffn_gate_exps": (experts, hidden, WIDTH),
        "ffn_up_exps": (experts, hidden, WIDTH),
        "ffn_down_exps": (experts, WIDTH, hidden),
    }
    return _write(path, "qwen3moe", keys, [block] * layers, {"output": (VOCABULARY, WIDTH)}, weights)


def write_sliding(
    path: Path, *, layers: int = 6, window: int = 512, weights: str = "F16", architecture: str = "gemma3"
) -> Path:
    """Gemma 3: five layers of six see a window only; the embedding is the output too. 'gemma-embedding' is its
    encoder, which keeps nothing."""
    keys = {"attention.sliding_window": window}
    block = _attention(HEAD, KV_HEADS, HEAD) | _feed_forward() | _gemma_norms()
    return _write(path, architecture, keys, [block] * layers, {}, weights)


def write_per_layer(path: Path, *, layers: int = 6, shared: int = 3, window: int = 512, weights: str = "F16") -> Path:
    """Gemma 4: an embedding for each layer, wider heads where a layer sees all, and the last ``shared`` without a cache
    of their own."""
    wide, each = 2 * HEAD, 64
    pattern = [(layer + 1) % 3 != 0 for layer in range(layers)]
    keys = {
        "attention.sliding_window": window,
        "attention.shared_kv_layers": shared,
        "attention.key_length": wide,
        "attention.value_length": wide,
        "attention.key_length_swa": HEAD,
        "attention.value_length_swa": HEAD,
        "embedding_length_per_layer_input": each,
        "rope.dimension_count_swa": HEAD,
        "rope.dimension_count": wide,
    }
    blocks = []
    for sees_window in pattern:
        head = HEAD if sees_window else wide
        block = _attention(head, KV_HEADS, head) | _feed_forward() | _gemma_norms()
        block |= {"inp_gate": (each, WIDTH), "proj": (WIDTH, each), "post_norm": (WIDTH,)}
        blocks.append(block)
    more = {
        "per_layer_token_embd": (VOCABULARY, each * layers),
        "per_layer_model_proj": (each * layers, WIDTH),
        "per_layer_proj_norm": (each,),
        "rope_freqs": (wide // 2,),
    }
    return _write(path, "gemma4", keys, blocks, more, weights, pattern)


def _attention(head: int, kv_heads: int, norm: int) -> dict[str, tuple[int, ...]]:
    return {
        "attn_norm": (WIDTH,),
        "attn_q": (HEADS * head, WIDTH),
        "attn_k": (kv_heads * head, WIDTH),
        "attn_v": (kv_heads * head, WIDTH),
        "attn_output": (WIDTH, HEADS * head),
        "attn_q_norm": (norm,),
        "attn_k_norm": (norm,),
        "ffn_norm": (WIDTH,),
    }


def _feed_forward() -> dict[str, tuple[int, ...]]:
    return {"ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH), "ffn_down": (WIDTH, HIDDEN)}


def _gemma_norms() -> dict[str, tuple[int, ...]]:
    return {"post_attention_norm": (WIDTH,), "post_ffw_norm": (WIDTH,)}


def _write(
    path: Path,
    architecture: str,
    keys: Mapping[str, int],
    blocks: Sequence[Shapes],
    more: Shapes,
    weights: str,
    pattern: Sequence[bool] = (),
) -> Path:
    random = np.random.default_rng(0)
    kind = gguf.GGMLQuantizationType[weights]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Random")
    writer.add_context_length(TRAINED)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(len(blocks))
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    defaults = {"attention.key_length": HEAD, "attention.value_length": HEAD}
    for key, value in (defaults | dict(keys)).items():
        add_value(writer, f"{architecture}.{key}", value)
    if pattern:
        writer.add_sliding_window_pattern(pattern)
    add_tokenizer(writer)
    tensors = {"token_embd": (VOCABULARY, WIDTH), **more, "output_norm": (WIDTH,)}
    for number, block in enumerate(blocks):
        tensors |= {f"blk.{number}.{name}": shape for name, shape in block.items()}
    for name, shape in tensors.items():
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", np.ones(shape, dtype=np.float32))
            continue
        matrix = random.standard_normal(shape, dtype=np.float32) / np.float32(shape[-1] ** 0.5)
        writer.add_tensor(f"{name}.weight", gguf.quants.quantize(matrix, kind), raw_dtype=kind)
    finish(writer)
    return path


Case = tuple[str, int | None, str]
"""A model's name, a context (None: the engine's choice), a type of the cache."""

MAKERS: Final[dict[str, Callable[[Path], Path]]] = {
    "moe": write_moe,
    "moe-q4": lambda path: write_moe(path, weights="Q4_0"),
    "sliding": write_sliding,
    "sliding-q4": lambda path: write_sliding(path, weights="Q4_0"),
    "per-layer": write_per_layer,
    "per-layer-q4": lambda path: write_per_layer(path, weights="Q4_0"),
    "embedding": lambda path: write_sliding(path, architecture="gemma-embedding"),
    "bert": lambda path: write_random_bert(path, width=256),
    "mamba": write_random_mamba,
}
CASES: Final[tuple[Case, ...]] = (
    ("tiny-f16", None, "f16"),
    ("tiny-q8_0", 1000, "q8_0"),
    ("tiny-q4_0", 300, "f16"),
    ("tiny-q4_k_m", 4096, "q4_0"),
    ("moe", 1000, "f16"),
    ("moe", 8192, "q8_0"),
    ("moe-q4", 4096, "f32"),
    ("sliding", 300, "f16"),  # below the window
    ("sliding", 1000, "f16"),
    ("sliding", 8192, "f16"),
    ("sliding-q4", 8192, "q8_0"),
    ("per-layer", 300, "f16"),
    ("per-layer", 8192, "f16"),
    ("per-layer-q4", 8192, "q4_0"),
    ("embedding", 512, "f16"),
    ("bert", None, "f16"),
    ("mamba", 2000, "f16"),
)
"""What is held against llama.cpp's own account; names without a maker are bundled models."""
