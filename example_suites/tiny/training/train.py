"""Main training. `python -m training.make` runs it; its schedule is in tokens, its data follow from the seed.

One thread is the default: for a model of this size more threads mostly wait, and the other cores stay free.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import tasks
import torch
import torch.nn.functional as F
from torch import Tensor

from training import data
from training import loop
from training import model
from training.optimizer import Optimizer
from training.tokenizer import Tokenizer
from training.tokenizer import learn

_FLOOR: Final = 0.02
_ADAM_RATE: Final = 2e-3
_MUON_RATE: Final = 0.02
LOOKED_AT = {"short": 24, "long": 6}


def learn_tokenizer(path: Path, seed: int) -> Tokenizer:
    """The tokenizer of earlier work in this folder, or a new one from 20,000 training examples."""
    if not path.exists():
        rng = random.Random(seed)
        examples = (tasks.generate(rng.choice(tasks.TASKS), "train", rng.getrandbits(48)) for _ in range(20000))
        learn("".join(data.render(example)) for example in examples).save(path)
    return Tokenizer.load(path)


def scores_of(weights: model.Weights, batch: data.Batch, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Scores over the vocabulary at the batch's scored positions."""
    with model.half(batch.ids.device):
        return model.logits(weights, model.hidden_states(weights, batch.ids, batch.scored, rope)).float()


@torch.no_grad()
def exact_matches(weights: model.Weights, tokenizer: Tokenizer, rope: tuple[Tensor, Tensor]) -> dict[str, float]:
    """For each task the share of held-out answers right in every token, given the right tokens before it.

    A cheap look; with `task at once` without thinking. Other seeds than those of the measuring command.
    """
    found: dict[str, float] = {}
    rng, device = random.Random(0), rope[0].device
    for task in tasks.TASKS:
        examples = [
            tasks.generate(task, "heldout", seed) for seed in range(LOOKED_AT["long" if "long" in task else "short"])
        ]
        for thinking in (True, False) if task in tasks.UNTHINKING else (True,):
            pool = sorted((data.sequence(tokenizer, one, thinking) for one in examples), key=lambda one: len(one.ids))
            right = 0
            for start in range(0, len(pool), 8 if "long" not in task else 1):
                part = pool[start : start + (8 if "long" not in task else 1)]
                batch = data.batch(part, tokenizer.end_of_text, rng, prompt_share=0.0).to(device)
                missed = scores_of(weights, batch, rope).argmax(-1) != batch.targets
                right += len(part) - len(set((batch.scored[missed] // batch.ids.shape[1]).tolist()))
            found[task if thinking else f"{task} at once"] = right / len(pool)
    return found


def train(work: Path, tokens: int, seed: int = 0, device: torch.device | None = None) -> Path:
    """Trains on so many tokens, those of earlier, interrupted runs included, and returns the checkpoint."""
    device = device or torch.device("cpu")
    torch.set_flush_denormal(True)
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = learn_tokenizer(work / "tokenizer.json", seed)
    weights = {
        name: weight.to(device).requires_grad_(True)
        for name, weight in model.initial(torch.Generator().manual_seed(seed)).items()
    }
    rope = model.rotation(data.LONGEST, device)
    job = loop.Job(
        name="main",
        seed=seed,
        tokens=tokens,
        floor=_FLOOR,
        weights=weights,
        optimizer=Optimizer(weights, _ADAM_RATE, _MUON_RATE, decay=0.01),
        rounds=lambda number, progress: data.round_of(tokenizer, ["main", seed], number, progress),
        loss=lambda batch: F.cross_entropy(scores_of(weights, batch, rope), batch.targets),
        look=lambda: exact_matches(weights, tokenizer, rope),
    )
    return loop.run(job, work)
