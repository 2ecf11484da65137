"""The loop that the main training and QAT share: rounds of batches, a schedule in tokens, exact resumption.

After every round the state goes to disk. Everything that decides the weights is in it or follows from the seed and
the number of the round, so a run that was killed ends with the same weights as one that was not.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final
from typing import Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from training.data import Batch

_LOOKS: Final = 20


class Stepper(Protocol):
    """An optimiser; `factor` scales its learning rates."""

    def step(self, factor: float) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def load(self, state: dict[str, Any]) -> None: ...


@dataclass
class Job:
    """What is trained, on what, for how long, and what is looked at on the way."""

    name: str
    seed: int
    tokens: int
    floor: float
    """What is left of the learning rate at the end of its cosine."""
    weights: dict[str, Tensor]
    optimizer: Stepper
    rounds: Callable[[int, float], list[Batch]]
    """The batches of a round, by its number and the progress from 0 to 1."""
    loss: Callable[[Batch], Tensor]
    look: Callable[[], dict[str, float]]

    @property
    def settings(self) -> dict[str, int]:
        return {"seed": self.seed, "tokens": self.tokens}


def pick_device(name: str) -> torch.device:
    """The device of this name; 'auto' is a GPU if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def run(job: Job, work: Path) -> Path:
    """Trains to the end, from the checkpoint of an earlier start if there is one; returns the checkpoint's path."""
    path = work / f"{job.name}.pt"
    device = next(iter(job.weights.values())).device
    number, tokens, rows = 0, 0, list[dict[str, float]]()
    if path.exists():
        number, tokens, rows = _resume(job, path, device)
    else:
        rows.append({"tokens": 0} | job.look())
    with tqdm(total=job.tokens, initial=tokens, desc=job.name, unit="tok", unit_scale=True) as bar:
        while tokens < job.tokens:
            losses: list[Tensor] = []
            for batch in job.rounds(number, tokens / job.tokens):
                loss = job.loss(batch.to(device))
                loss.backward()  # type: ignore[no-untyped-call]
                progress = min(1.0, tokens / job.tokens)
                job.optimizer.step(job.floor + (1 - job.floor) * 0.5 * (1 + math.cos(math.pi * progress)))
                losses.append(loss.detach())
                tokens += batch.tokens
                bar.update(batch.tokens)
            number += 1
            row = {"tokens": tokens, "loss": torch.stack(losses).mean().item()}
            bar.set_postfix(loss=f"{row['loss']:.4f}")
            if len(rows) <= _LOOKS * tokens // job.tokens or tokens >= job.tokens:
                rows.append(row | job.look())
                _write(work / f"{job.name}.csv", rows)
            _save(job, path, {"round": number, "tokens": tokens, "rows": rows})
    return path


def _resume(job: Job, path: Path, device: torch.device) -> tuple[int, int, list[dict[str, float]]]:
    state: dict[str, Any] = torch.load(path, map_location=device)
    if state["settings"] != job.settings:
        raise SystemExit(f"{path} is of another run ({state['settings']}): give another --work, or delete it")
    for name, weight in job.weights.items():
        weight.data.copy_(state["weights"][name])
    job.optimizer.load(state["optimizer"])
    return state["round"], state["tokens"], state["rows"]


def _save(job: Job, path: Path, state: dict[str, Any]) -> None:
    weights = {name: weight.detach() for name, weight in job.weights.items()}
    new = path.with_suffix(".new")
    torch.save(state | {"settings": job.settings, "weights": weights, "optimizer": job.optimizer.state()}, new)
    new.replace(path)


def _write(path: Path, rows: list[dict[str, float]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.8g}" for name, value in row.items()} for row in rows)
