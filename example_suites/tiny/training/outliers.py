"""Injects outlier columns by an exact rescaling that does not change the function.

Models of this size have no outlier channels and shrug off 4-bit rounding. Large models do have them, and they are
what makes naive 4-bit rounding lossy: one large weight in a block of 32 sets the step for the other 31. Here such
columns are made: the input channel i of a matrix is divided by s where it is produced (a norm's weight or the
rows of the matrix before) and multiplied by s where it is used (column i). With s a power of two nothing is rounded
by this. It is artificial, could be undone exactly by folding the factors back, and every file says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Final
from typing import NamedTuple

import torch
from torch import Tensor

from training.model import SHAPE
from training.model import Weights

BLOCK: Final = 32


class Dose(NamedTuple):
    """How much larger an outlier column is, a power of two, and the share of blocks of 32 columns that get one."""

    strength: float
    coverage: float


@dataclass(frozen=True)
class Injection:
    """A dose by the place where a channel is produced.

    attn_norm feeds attn_q, attn_k and attn_v; attn_v feeds attn_output; ffn_norm feeds ffn_gate and ffn_up; ffn_up
    feeds ffn_down.
    """

    doses: Mapping[str, Dose] = field(
        default_factory=lambda: {
            "attn_norm": Dose(16, 0.75), "attn_v": Dose(16, 0.75), "ffn_norm": Dose(16, 0.75), "ffn_up": Dose(16, 0.75)
        }
    )  # fmt: skip
    seed: int = 0


def _factors(width: int, dose: Dose, generator: torch.Generator) -> Tensor:
    """One factor per channel: the strength at one random place in each chosen block, one elsewhere."""
    blocks = width // BLOCK
    chosen = torch.rand(blocks, generator=generator) < dose.coverage
    places = torch.arange(blocks) * BLOCK + torch.randint(BLOCK, (blocks,), generator=generator)
    factors = torch.ones(width)
    factors[places[chosen]] = dose.strength
    return factors


def scales(injection: Injection) -> dict[str, Tensor]:
    """For every weight that changes, what each of its elements is multiplied with (a power of two)."""
    generator = torch.Generator().manual_seed(injection.seed)
    shape, found = SHAPE, dict[str, Tensor]()
    attention, kv = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    for layer in range(shape.layers):
        block = f"blk.{layer}."

        def factors(place: str, width: int) -> Tensor:
            return _factors(width, injection.doses[place], generator)

        norm = factors("attn_norm", shape.width)
        found[f"{block}attn_norm.weight"] = 1 / norm
        for user, rows in (("attn_q", attention), ("attn_k", kv), ("attn_v", kv)):
            found[f"{block}{user}.weight"] = norm.expand(rows, -1).clone()
        # A value channel is read by all query heads of its group, so its factor appears once per head.
        value = factors("attn_v", kv)
        found[f"{block}attn_v.weight"] /= value[:, None]
        heads = value.view(shape.kv_heads, 1, -1).expand(-1, shape.heads // shape.kv_heads, -1).reshape(-1)
        found[f"{block}attn_output.weight"] = heads.expand(shape.width, -1).clone()
        norm = factors("ffn_norm", shape.width)
        found[f"{block}ffn_norm.weight"] = 1 / norm
        for user in ("ffn_gate", "ffn_up"):
            found[f"{block}{user}.weight"] = norm.expand(shape.hidden, -1).clone()
        up = factors("ffn_up", shape.hidden)
        found[f"{block}ffn_up.weight"] /= up[:, None]
        found[f"{block}ffn_down.weight"] = up.expand(shape.width, -1).clone()
    return found


def pair(weights: Weights, injection: Injection) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The plain and the injected weights, both exact in F16 (norms in F32) and one the exact rescaling of the other.

    Rounding to F16 comes first, then both are taken from the rounded weights: the two files hold the same function.
    """
    factors = scales(injection)
    plain, injected = {}, {}
    for name, weight in weights.items():
        factor = factors.get(name, torch.ones_like(weight))
        rounded = (weight.half().float() * factor).half().float() if weight.ndim == 2 else weight * factor
        injected[name], plain[name] = rounded, rounded / factor
    return plain, injected
