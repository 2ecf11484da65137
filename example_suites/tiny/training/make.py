"""Makes everything under models/ again: training, outliers, PTQ, QAT, the picture of the training, the card's tables.

    python -m training.make

A run that was interrupted goes on from its checkpoints in the work folder. The same seed on the same machine (and with
as many threads) gives the same files; another kind of processor rounds sums otherwise, and the runs part.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import torch

from training import curves
from training import export
from training import loop
from training import measure
from training import outliers
from training import qat
from training import quantize
from training import train
from training.tokenizer import Tokenizer

_SUITE: Final = Path(__file__).parent.parent
_MADE_FOR: Final = "2.9 M parameters, made for testing pytest-quantcheck"
_INJECTED: Final = (
    f"{_MADE_FOR}. ATTENTION: it carries artificial outlier columns (an exact rescaling that keeps the unquantized "
    "function), so that 4-bit rounding damages it visibly"
)
_PLAIN: Final = f"{_MADE_FOR}; the same function as tiny-f16.gguf without its injected outliers"


def base_files(work: Path, models: Path, injection: outliers.Injection) -> None:
    """The two F16 files, one function with and without outliers."""
    tokenizer = Tokenizer.load(work / "tokenizer.json")
    plain, injected = outliers.pair(torch.load(work / "main.pt", map_location="cpu")["weights"], injection)
    export.write(models / "tiny-f16.gguf", injected, tokenizer, "Tiny (injected outliers)", _INJECTED)
    export.write(models / "tiny-plain-f16.gguf", plain, tokenizer, "Tiny plain", _PLAIN)


def ptq_files(models: Path) -> None:
    """What llama.cpp makes of the F16 files: rebuilt bit for bit by anybody with the same llama.cpp."""
    for recipe in quantize.RECIPES:
        quantize.quantize(models / "tiny-f16.gguf", models / f"tiny-{recipe}.gguf", recipe)
    quantize.quantize(models / "tiny-plain-f16.gguf", models / "tiny-plain-q4_0.gguf", "q4_0")


def qat_file(work: Path, models: Path) -> None:
    """The student in Q4_0, through llama.cpp like the PTQ file, so both have the same tensor types."""
    tokenizer = Tokenizer.load(work / "tokenizer.json")
    student = torch.load(work / "qat.pt", map_location="cpu")["weights"]
    described = f"{_INJECTED}; trained with fake Q4_0 (QAT)"
    export.write(work / "qat-f32.gguf", student, tokenizer, "Tiny QAT (injected outliers)", described, half=False)
    quantize.quantize(work / "qat-f32.gguf", models / "tiny-qat-q4_0.gguf", "q4_0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=float, default=12e6, help="length of the main training")
    parser.add_argument("--qat-tokens", type=float, default=2e6, help="length of QAT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="cpu, cuda, ...; auto: a GPU if there is one")
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    parser.add_argument("--work", type=Path, default=_SUITE / "build", help="checkpoints")
    parser.add_argument("--models", type=Path, default=_SUITE / "models", help="what is made")
    parser.add_argument("--count", type=int, default=100, help="held-out examples per task; 0: do not measure")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device, injection = loop.pick_device(options.device), outliers.Injection()
    options.models.mkdir(exist_ok=True, parents=True)
    train.train(options.work, int(options.tokens), options.seed, device)
    qat.train(options.work, int(options.qat_tokens), injection, options.seed, device)
    base_files(options.work, options.models, injection)
    ptq_files(options.models)
    qat_file(options.work, options.models)
    curves.draw(options.work, options.models)
    if options.count:
        measure.into_card(options.models, options.count)


if __name__ == "__main__":
    main()
