"""Quantization-aware training: fake Q4_0 with straight-through gradients, taught by the unquantized model.

The student computes with weights rounded exactly as llama.cpp rounds them; gradients pass the rounding unchanged. It
learns the teacher's distribution (KL divergence), not the data's: what is to be kept is the model's behaviour. Both
start from the weights with the injected outliers, those that naive rounding damages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from training import data
from training import loop
from training import model
from training import outliers
from training.optimizer import Optimizer
from training.tokenizer import Tokenizer
from training.train import scores_of

_RATE: Final = 6e-4
_FLOOR: Final = 0.01


def rounded_q4_0(weight: Tensor) -> Tensor:
    """What is left of the weights after Q4_0: blocks of 32, an F16 step from the largest weight, 16 levels.

    The same operations in the same order as ggml, so that the result is equal bit for bit.
    """
    blocks = weight.detach().reshape(-1, 32)
    largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    step = largest / -8
    inverse = torch.where(step == 0, torch.zeros_like(step), 1 / step)
    levels = (blocks * inverse + 8.5).trunc().clamp(max=15) - 8
    return (levels * step.half().float()).view_as(weight)


def fake_quantized(weights: model.Weights) -> dict[str, Tensor]:
    """Rounded matrices whose gradient goes straight to the weights themselves; norms stay as they are."""
    return {
        name: weight + (rounded_q4_0(weight) - weight).detach() if weight.ndim == 2 else weight
        for name, weight in weights.items()
    }


def divergence(
    teacher: model.Weights, student: model.Weights, batch: data.Batch, rope: tuple[Tensor, Tensor]
) -> Tensor:
    """Mean KL(teacher || student) over the batch's scored positions."""
    with torch.no_grad():
        wanted = scores_of(teacher, batch, rope).log_softmax(-1)
    given = scores_of(student, batch, rope).log_softmax(-1)
    return (wanted.exp() * (wanted - given)).sum(-1).mean()


def _round(tokenizer: Tokenizer, seed: object, number: int) -> list[data.Batch]:
    """The mixture of the end of the main training, which has the long texts; half of the prompts count."""
    return data.round_of(tokenizer, seed, number, 1.0, prompt_share=0.5)


def train(
    work: Path, tokens: int, injection: outliers.Injection, seed: int = 0, device: torch.device | None = None
) -> Path:
    """Trains the student on so many tokens; its weights are saved before rounding."""
    device = device or torch.device("cpu")
    torch.set_flush_denormal(True)
    tokenizer = Tokenizer.load(work / "tokenizer.json")
    main = torch.load(work / "main.pt", map_location="cpu")["weights"]
    teacher = {name: weight.to(device) for name, weight in outliers.pair(main, injection)[1].items()}
    student = {name: weight.clone().requires_grad_(True) for name, weight in teacher.items()}
    rope = model.rotation(data.LONGEST, device)
    checks = [batch.to(device) for batch in _round(tokenizer, ["qat check", seed], 0)[::3]]

    @torch.no_grad()
    def look() -> dict[str, float]:
        rounded = fake_quantized(student)
        found = [divergence(teacher, rounded, batch, rope).item() for batch in checks]
        return {"KL divergence": sum(found) / len(found)}

    job = loop.Job(
        name="qat",
        seed=seed,
        tokens=tokens,
        floor=_FLOOR,
        weights=student,
        optimizer=Optimizer(student, _RATE),
        rounds=lambda number, _: _round(tokenizer, ["qat", seed], number),
        loss=lambda batch: divergence(teacher, fake_quantized(student), batch, rope),
        look=look,
    )
    return loop.run(job, work)
