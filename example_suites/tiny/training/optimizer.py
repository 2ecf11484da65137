"""Muon for the hidden matrices, AdamW for embedding and norms (Muon learns about twice as fast per token here)."""

from __future__ import annotations

from typing import Any
from typing import Final

import torch
from torch import Tensor

_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
_WARM_UP: Final = 50


def orthogonalised(gradients: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration on a stack of matrices, towards singular values of one."""
    a, b, c = _COEFFICIENTS
    # bfloat16 is exact enough, and fast on a GPU only.
    x: Tensor = gradients.to(torch.bfloat16) if gradients.is_cuda else gradients
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(gradients.dtype)


class Muon:
    """Momentum, orthogonalised: every direction of a matrix moves at the same speed. Same sizes are done together."""

    def __init__(self, weights: list[Tensor], weight_decay: float = 0.02) -> None:
        self._groups: dict[tuple[int, ...], list[Tensor]] = {}
        for weight in weights:
            self._groups.setdefault(tuple(weight.shape), []).append(weight)
        self.momentum = {
            size: torch.zeros(len(group), *size, device=group[0].device) for size, group in self._groups.items()
        }
        self._decay = weight_decay

    @torch.no_grad()
    def step(self, rate: float, momentum: float) -> None:
        for size, group in self._groups.items():
            gradient = torch.stack([weight.grad for weight in group if weight.grad is not None])
            buffer = self.momentum[size].lerp_(gradient, 1 - momentum)
            update = orthogonalised(gradient.lerp(buffer, momentum)) * max(1.0, size[0] / size[1]) ** 0.5
            for weight, change in zip(group, update, strict=True):
                weight.mul_(1 - rate * self._decay).sub_(change, alpha=rate)


class Optimizer:
    """AdamW, and Muon for the hidden matrices if it has a rate; `factor` scales both rates (the schedule)."""

    def __init__(
        self, weights: dict[str, Tensor], adam_rate: float, muon_rate: float = 0.0, decay: float = 0.0
    ) -> None:
        hidden = [name for name, weight in weights.items() if name.startswith("blk.") and weight.ndim == 2]
        hidden = hidden if muon_rate else []
        self._all, self._rates = list(weights.values()), (muon_rate, adam_rate)
        self.muon = Muon([weights[name] for name in hidden])
        others = [weight for name, weight in weights.items() if name not in hidden]
        self.adam = torch.optim.AdamW(others, lr=adam_rate, betas=(0.9, 0.98), weight_decay=decay, fused=True)
        self.steps = 0

    def step(self, factor: float) -> None:
        torch.nn.utils.clip_grad_norm_(self._all, 1.0)
        self.steps += 1
        factor *= min(1.0, self.steps / _WARM_UP)
        self.muon.step(self._rates[0] * factor, 0.85 + 0.10 * min(1.0, self.steps / 300))
        for group in self.adam.param_groups:
            group["lr"] = self._rates[1] * factor
        self.adam.step()
        for weight in self._all:
            weight.grad = None

    def state(self) -> dict[str, Any]:
        return {"muon": self.muon.momentum, "adam": self.adam.state_dict(), "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        self.muon.momentum, self.steps = state["muon"], state["steps"]
        self.adam.load_state_dict(state["adam"])
