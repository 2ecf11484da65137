"""The qwen3 architecture in plain PyTorch, as a function of a dictionary of weights under their GGUF names.

A function and not a module: fake quantization and outlier injection are then maps from weights to weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Shape:
    """Sizes of the model; every matrix row is a multiple of 256, so no quantization type has to fall back."""

    vocabulary: int = 2048
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 64
    hidden: int = 512
    context: int = 8192
    rope_base: float = 10000.0
    epsilon: float = 1e-6


SHAPE: Final = Shape()


def tensor_shapes(shape: Shape = SHAPE) -> dict[str, tuple[int, ...]]:
    """Name and size of every weight (the output head is the embedding)."""
    attention, kv = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    sizes: dict[str, tuple[int, ...]] = {"token_embd.weight": (shape.vocabulary, shape.width)}
    for layer in range(shape.layers):
        block = {
            "attn_norm": (shape.width,),
            "attn_q": (attention, shape.width),
            "attn_k": (kv, shape.width),
            "attn_v": (kv, shape.width),
            "attn_q_norm": (shape.head_width,),
            "attn_k_norm": (shape.head_width,),
            "attn_output": (shape.width, attention),
            "ffn_norm": (shape.width,),
            "ffn_gate": (shape.hidden, shape.width),
            "ffn_up": (shape.hidden, shape.width),
            "ffn_down": (shape.width, shape.hidden),
        }
        sizes |= {f"blk.{layer}.{name}.weight": size for name, size in block.items()}
    return sizes | {"output_norm.weight": (shape.width,)}


def initial(generator: torch.Generator, shape: Shape = SHAPE) -> dict[str, Tensor]:
    """Random weights: norms are one, what writes into the residual stream starts at zero."""
    weights: dict[str, Tensor] = {}
    for name, size in tensor_shapes(shape).items():
        if len(size) == 1:
            weights[name] = torch.ones(size)
        elif "attn_output" in name or "ffn_down" in name:
            weights[name] = torch.zeros(size)
        else:
            weights[name] = torch.randn(size, generator=generator) * (0.05 if "embd" in name else size[1] ** -0.5)
    return weights


def rotation(length: int, device: torch.device, shape: Shape = SHAPE) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, [length, head_width]: NEOX halves, as llama.cpp does for qwen3."""
    frequencies = shape.rope_base ** (-torch.arange(0, shape.head_width, 2) / shape.head_width)
    angles = torch.outer(torch.arange(length), frequencies).repeat(1, 2)
    return angles.cos().to(device), angles.sin().to(device)


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cosine.to(x.dtype) + torch.cat((-right, left), dim=-1) * sine.to(x.dtype)


def half(device: torch.device) -> AbstractContextManager[None]:
    """Matrix products in bfloat16 on a GPU; on most CPUs that is many times slower than float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def hidden_states(
    weights: Weights, ids: Tensor, scored: Tensor, rope: tuple[Tensor, Tensor], shape: Shape = SHAPE
) -> Tensor:
    """Final normalised states at the flat positions `scored` of ids [batch, length]; padding goes to the right.

    The last layer's second half is computed for those positions alone: a tenth of the whole work is spared.
    """
    batch, length = ids.shape
    cosine, sine = (part[:length] for part in rope)

    def norm(x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), weights[name].to(x.dtype), shape.epsilon)

    def heads(x: Tensor, count: int) -> Tensor:
        return x.view(batch, length, count, shape.head_width).transpose(1, 2)

    x = F.embedding(ids, weights["token_embd.weight"])
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        y = norm(x, block + "attn_norm.weight")
        query = heads(F.linear(y, weights[block + "attn_q.weight"]), shape.heads)
        key = heads(F.linear(y, weights[block + "attn_k.weight"]), shape.kv_heads)
        value = heads(F.linear(y, weights[block + "attn_v.weight"]), shape.kv_heads)
        query = _rotate(norm(query, block + "attn_q_norm.weight"), cosine, sine)
        key = _rotate(norm(key, block + "attn_k_norm.weight"), cosine, sine)
        groups = shape.heads // shape.kv_heads
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        y = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        y = y.transpose(1, 2).reshape(batch, length, -1)
        if layer == shape.layers - 1:
            x, y = x.flatten(0, 1)[scored], y.flatten(0, 1)[scored]
        x = x + F.linear(y, weights[block + "attn_output.weight"])
        y = norm(x, block + "ffn_norm.weight")
        gate = F.silu(F.linear(y, weights[block + "ffn_gate.weight"]))
        x = x + F.linear(gate * F.linear(y, weights[block + "ffn_up.weight"]), weights[block + "ffn_down.weight"])
    return norm(x, "output_norm.weight")


def logits(weights: Weights, states: Tensor) -> Tensor:
    """Scores over the vocabulary."""
    return F.linear(states, weights["token_embd.weight"])
