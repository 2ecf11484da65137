"""Measures GGUF files through llama.cpp: size, bits per weight, perplexity, greedy pass rate by task.

python -m training.measure                                  # every file, tables into models/README.md
python -m training.measure models/tiny-f16.gguf --count 20  # one file, tables on the screen
python -m training.measure models/tiny-f16.gguf models/tiny-plain-f16.gguf --same
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gguf
import numpy as np
import numpy.typing as npt
import tasks

from training import judge
from training.runner import Runner

Floats = npt.NDArray[np.float64]

FILES: Final = (
    "tiny-f16", "tiny-q8_0", "tiny-q4_k_m", "tiny-q4_0", "tiny-qat-q4_0", "tiny-plain-f16", "tiny-plain-q4_0"
)  # fmt: skip
_FIRST_SEED: Final = 2 * 10**6
_MARKS: Final = ("<!-- measured -->", "<!-- end of measured -->")


@dataclass(frozen=True)
class Measured:
    """All about one file: pass rates with and without thinking, and what each text cost it."""

    name: str
    megabytes: float
    bits_per_weight: float
    thinking: dict[str, float]
    at_once: dict[str, float]
    losses: Floats
    """Negative log-likelihood of each text, summed over its tokens."""
    tokens: int

    @property
    def perplexity(self) -> float:
        return float(np.exp(self.losses.sum() / self.tokens))


def bits_per_weight(path: Path) -> float:
    tensors = gguf.GGUFReader(path).tensors
    return 8 * sum(int(one.n_bytes) for one in tensors) / sum(int(one.n_elements) for one in tensors)


def _log_softmax(scores: Floats) -> Floats:
    scores = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))


def _text(runner: Runner, seed: int) -> str:
    """A held-out conversation with its wanted answer; the long texts, mere chance for the most part, are left out."""
    short = [task for task in tasks.TASKS if not task.endswith("_long")]
    example = tasks.generate(short[seed % len(short)], "heldout", 10**6 + seed)
    return f"{runner.render(example)}<think>{example.thinking}</think>{example.answer}<|im_end|>"


def text_losses(runner: Runner, count: int) -> tuple[Floats, int]:
    """Of held-out conversations, each from its beginning: windows that start inside one would measure the cut."""
    losses, tokens = [], 0
    for seed in range(count):
        ids = runner.tokenize(_text(runner, seed))
        scores = _log_softmax(runner.logits(ids[:-1]).astype(np.float64))
        losses.append(-float(scores[np.arange(len(ids) - 1), ids[1:]].sum()))
        tokens += len(ids) - 1
    return np.array(losses), tokens


def pass_rate(runner: Runner, task: str, count: int, thinking: bool) -> float:
    """Per cent; the seeds are the same for all files, with and without thinking."""
    examples = [tasks.generate(task, "heldout", _FIRST_SEED + seed) for seed in range(count)]
    return 100 * sum(judge.passes(one, runner.answer(runner.render(one, thinking))) for one in examples) / count


def measure(path: Path, count: int) -> Measured:
    runner = Runner(path)
    rates = [
        {task: pass_rate(runner, task, count, thinking) for task in asked}
        for thinking, asked in ((True, tasks.TASKS), (False, tasks.UNTHINKING))
    ]
    losses, tokens = text_losses(runner, 2 * count)
    runner.close()
    return Measured(path.stem, path.stat().st_size / 1e6, bits_per_weight(path), rates[0], rates[1], losses, tokens)


def recovered(reference: Measured, ptq: Measured, qat: Measured) -> str:
    """The share of the drop in log perplexity that QAT has back; the interval is a bootstrap over the conversations."""
    drops = np.stack([ptq.losses - reference.losses, qat.losses - reference.losses])
    chance = np.random.default_rng(0).integers(drops.shape[1], size=(10_000, drops.shape[1]))
    low, high = (100 * float(np.quantile(_share(drops[:, chance].sum(-1)), level)) for level in (0.025, 0.975))
    return (
        f"Of the drop in log perplexity from {reference.name} to {ptq.name}, {qat.name} recovers "
        f"**{100 * float(_share(drops.sum(-1))):.1f} %** (95 % interval {low:.1f} to {high:.1f}, bootstrap over "
        f"{drops.shape[1]} conversations)."
    )


def _share(drops: Floats) -> Floats:
    return np.asarray(1 - drops[1] / drops[0])


def difference(left: Path, right: Path, count: int) -> str:
    """How far two files compute the same function: logits, and the probabilities made of them."""
    runners = Runner(left), Runner(right)
    largest, divergence, places, same = 0.0, 0.0, 0, 0
    for seed in range(count):
        ids = runners[0].tokenize(_text(runners[0], seed))
        first, second = (runner.logits(ids).astype(np.float64) for runner in runners)
        largest = max(largest, float(np.abs(first - second).max()))
        first, second = _log_softmax(first), _log_softmax(second)
        divergence += float((np.exp(first) * (first - second)).sum())
        same += int((first.argmax(axis=1) == second.argmax(axis=1)).sum())
        places += len(ids)
    for runner in runners:
        runner.close()
    return (
        f"{places} positions: largest difference of a logit {largest:.2g}, mean KL divergence "
        f"{divergence / places:.2g}, same most likely token at {100 * same / places:.2f} %"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rates(rates: dict[str, float]) -> list[str]:
    return [f"{rate:.0f}" for rate in [*rates.values(), sum(rates.values()) / len(rates)]]


def report(rows: Sequence[Measured]) -> str:
    """Both tables, and what QAT recovers if its three files are among the rows."""
    sizes = [[row.name, f"{row.megabytes:.2f}", f"{row.bits_per_weight:.2f}", f"{row.perplexity:.4f}"] for row in rows]
    parts = [
        "With thinking, % right:",
        _table(
            ["file", "MB", "bits per weight", "perplexity", *tasks.TASKS, "mean"],
            [[*size, *_rates(row.thinking)] for size, row in zip(sizes, rows, strict=True)],
        ),
        "Without thinking (`enable_thinking=false`), % right:",
        _table(["file", *tasks.UNTHINKING, "mean"], [[row.name, *_rates(row.at_once)] for row in rows]),
    ]
    found = {row.name: row for row in rows}
    if {"tiny-f16", "tiny-q4_0", "tiny-qat-q4_0"} <= found.keys():
        parts.append(recovered(found["tiny-f16"], found["tiny-q4_0"], found["tiny-qat-q4_0"]))
    return "\n\n".join(parts)


def into_card(models: Path, count: int) -> None:
    """Measures the files and puts the result between the card's two marks."""
    rows = []
    for name in FILES:
        rows.append(measure(models / f"{name}.gguf", count))
        print(name, *_rates(rows[-1].thinking), "| at once", *_rates(rows[-1].at_once), flush=True)
    card = models / "README.md"
    text = card.read_text(encoding="utf-8") if card.exists() else ""
    head, _, rest = text.partition(_MARKS[0])
    marked = f"{head}{_MARKS[0]}\n{report(rows)}\n{_MARKS[1]}{rest.partition(_MARKS[1])[2]}"
    card.write_text(marked, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*", help="without any: all files of models/, into the model card")
    parser.add_argument("--count", type=int, default=100, help="held-out examples per task")
    parser.add_argument("--same", action="store_true", help="compare the logits of two files instead")
    options = parser.parse_args()
    if options.same:
        left, right = options.files
        print(difference(left, right, options.count))
    elif options.files:
        print(report([measure(path, options.count) for path in options.files]))
    else:
        into_card(Path(__file__).parent.parent / "models", options.count)


if __name__ == "__main__":
    main()
