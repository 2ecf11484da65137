"""Perplexity and KL divergence beside llama.cpp's own llama-perplexity: same files, same text, same window and threads.

    python -m benchmarks.fidelity_vs_llama_perplexity [--repeats N] [--chunks N] [--threads N] [--write]

llama-perplexity comes from the source of the installed llama-cpp-python (benchmarks/llama_tools.py). The text is what
the tiny model was trained to read, without control tokens, since llama-perplexity takes those for ordinary letters.
It is read in both ways that llama-perplexity knows: perplexity alone, and divergence from the unquantized file.

What has to agree, and how far it may differ:

* perplexity: the digits that llama-perplexity prints;
* KL divergence and same top token from llama-perplexity's own file: its printed digits, one token for the top;
* the same from our own store: what its 16-bit file can be off by. There a log-probability is off by half a step h of
  16/65535 nats at most, hence to first order a KL divergence by h * sum p|1 + log p/q| <= h * (1 + KL + sqrt(2 KL)),
  and the top token wherever the two likeliest lie in one step.

Throughput is that of reading and scoring, without loading, both by the clock of this program and in turn; the table has
the median of the ratios and their spread. Python and NumPy take some 50 MiB, which shows beside a tiny model; with a
large vocabulary less memory is demanded than llama-perplexity takes. Ends with exit status 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import pytest

from benchmarks.llama_tools import tools
from docs.blocks import replaced
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity_store import read_store_header
from tests import ggufs

_ROOT: Final = Path(__file__).parents[1]
PAGE: Final = _ROOT / "docs" / "explanation" / "fidelity-store.md"
BEGIN: Final = "<!-- agreement: made by python -m benchmarks.fidelity_vs_llama_perplexity --write -->\n"
END: Final = "<!-- end of agreement -->\n"
TINY: Final = _ROOT / "example_suites" / "tiny"
FILES: Final = ("tiny-f16.gguf", "tiny-q8_0.gguf", "tiny-q4_k_m.gguf", "tiny-q4_0.gguf")
"""The first one is the reference."""
WINDOW: Final = 512
_LAST_WORDS: Final = ("Final estimate", "Same top p:")
_HALF_STEP: Final = 16 / 65535 / 2
_LARGE: Final = 131_072
_LEAST_RATIO: Final = 1.0
"""Ours must be as fast: the median of the ratios of throughput, all files together."""
_CHARACTERS: Final = 2.1
"""Characters that make a token, about."""
_CONTROL: Final = re.compile(r"<\|[a-z_]+\|>|</?think>|</?tool_call>")


@dataclass
class Tool:
    """What llama-perplexity printed of one file, and how long it took."""

    perplexity: float = 0.0
    perplexity_kl: float = 0.0
    """The same as it prints it beside the divergence."""
    kl: float = 0.0
    same_top: float = 0.0
    seconds: list[float] = field(default_factory=list)
    seconds_kl: list[float] = field(default_factory=list)
    peak: int = 0


@dataclass
class Ours:
    """The same of our engine: against our store and against llama-perplexity's file."""

    store: Fidelity | None = None
    base: Fidelity | None = None
    seconds: list[float] = field(default_factory=list)
    seconds_kl: list[float] = field(default_factory=list)
    peak: int = 0


def text_of(chunks: int) -> str:
    """Plain text of the tiny model's world, about as much as makes this many windows."""
    sys.path.insert(0, str(TINY))
    tasks = import_module("tasks")
    parts: list[str] = []
    for seed in range(10**6):
        for task in tasks.TASKS:
            example = tasks.generate(task, "heldout", seed)
            said = [str(message["content"]) for message in example.messages]
            parts.append("\n".join([*said, example.thinking, example.answer]))
        if sum(map(len, parts)) > _CHARACTERS * WINDOW * chunks:
            break
    return _CONTROL.sub("", "\n".join(parts))


def run_tool(program: Path, model: Path, more: Sequence[str], threads: int, begins: str) -> tuple[str, float, int]:
    """Its output, the seconds from the line that ``begins`` names to its last result, its peak memory in bytes.

    It prints from a thread of its own, which at times it ends too early: then it is run again.
    """
    command = [str(program), "-m", str(model), "-c", str(WINDOW), "-t", str(threads), "-ngl", "0", *more]
    # threads wait as the engine's process makes them: spinning ones win on an idle machine and starve on a busy one
    environment = {**os.environ, "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None
    lines, start = [], 0.0
    for line in process.stdout:
        lines.append(line)
        if begins in line:
            start = time.perf_counter()
        last = time.perf_counter()
        if any(words in line for words in _LAST_WORDS):
            break
    lines += process.stdout.readlines()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not start:
        raise SystemExit(f"llama-perplexity failed: {' | '.join(lines[-3:])}")
    if not any(words in line for line in lines for words in _LAST_WORDS):
        return run_tool(program, model, more, threads, begins)
    return "".join(lines), last - start, usage.ru_maxrss * 1024


def large_vocabulary(folder: Path, threads: int) -> tuple[str, bool]:
    """Most memory of both with a large vocabulary, in words, and whether ours is less."""
    model, text = folder / "large.gguf", folder / "large.txt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ggufs, "VOCABULARY", _LARGE)
        ggufs.write_random_llama(model, weights="Q8_0")
    words = "the total value of the red number is on the name and for the owl. " * 120
    text.write_text(words, encoding="utf-8")
    program = tools("llama-perplexity") / "llama-perplexity"
    _, _, theirs = run_tool(program, model, ["-f", str(text)], threads, "tokenizing")
    engine = ProcessEngine(model, LoadSettings(WINDOW, 0, threads=threads))
    engine.fidelity(FidelityRequest("plain", words, write=str(folder / "large.store")))
    ours = engine.peak_memory or 0
    engine.close()
    said = f"{theirs >> 20} MiB in llama-perplexity, {ours >> 20} MiB here, a store being written"
    return f"Most memory with a vocabulary of {_LARGE:,} tokens (random weights, Q8_0): {said}.", ours < theirs


def number(output: str, words: str) -> float:
    """The figure that llama-perplexity prints after these words, its last one."""
    found = re.findall(rf"{re.escape(words)}\s*[:=]\s*(-?[\d.]+)", output)
    if not found:
        raise SystemExit(f"llama-perplexity printed no {words!r}: {output[-300:]}")
    return float(found[-1])


def timed(engine: ProcessEngine, request: FidelityRequest) -> tuple[Fidelity, float]:
    """What it answers and its seconds."""
    start = time.perf_counter()
    found = engine.fidelity(request)
    return found, time.perf_counter() - start


def sums(found: Fidelity) -> tuple[int, float, float, float]:
    """Tokens, perplexity, mean KL divergence, share of the same top token."""
    tokens = sum(chunk.tokens for chunk in found.chunks)
    nll = sum(chunk.nll for chunk in found.chunks)
    kl = sum(chunk.kl or 0.0 for chunk in found.chunks)
    same = sum(chunk.same_top or 0 for chunk in found.chunks)
    return tokens, math.exp(nll / tokens), kl / tokens, same / tokens


def close_calls(store: Path) -> float:
    """Share of the positions at which the 16-bit file may take another token for the likeliest."""
    header = read_store_header(store)
    assert header.whole
    data = np.memmap(store, "<f4", "r", header.start, (sum(len(p.scored) for p in header.passages), header.kept + 1))
    best = np.partition(data[:, 1:], -2, axis=1)[:, -2:]
    return float((best[:, 1] - best[:, 0] <= 2 * _HALF_STEP).mean())


def measure(folder: Path, repeats: int, chunks: int, threads: int) -> tuple[dict[str, Tool], dict[str, Ours], float]:
    """Everything, both programs in turn."""
    program = tools("llama-perplexity") / "llama-perplexity"
    text, store, base = folder / "text.txt", folder / "reference.qclogp", folder / "base.kld"
    engines = {name: ProcessEngine(TINY / "models" / name, LoadSettings(WINDOW, 0, threads=threads)) for name in FILES}
    words = text_of(chunks)
    text.write_text(words, encoding="utf-8")
    plain = ["-f", str(text)]
    with_base = ["--kl-divergence-base", str(base)]
    theirs = {name: Tool() for name in FILES}
    ours = {name: Ours() for name in FILES}
    run_tool(program, TINY / "models" / FILES[0], [*plain, *with_base], threads, "tokenizing")
    engines[FILES[0]].fidelity(FidelityRequest("plain", words, write=str(store)))
    for _ in range(repeats):
        for name in FILES:
            model, tool, engine, mine = TINY / "models" / name, theirs[name], engines[name], ours[name]
            engine.tokenize("loads it")
            output, seconds, _ = run_tool(program, model, plain, threads, "tokenizing")
            tool.perplexity = number(output, "PPL")
            tool.seconds.append(seconds)
            mine.seconds.append(timed(engine, FidelityRequest("plain", words))[1])
            mine.store, seconds = timed(engine, FidelityRequest("plain", store=str(store)))
            mine.seconds_kl.append(seconds)
            output, seconds, tool.peak = run_tool(program, model, [*with_base, "--kl-divergence"], threads, "computing")
            tool.seconds_kl.append(seconds)
            tool.perplexity_kl, tool.kl = number(output, "Mean PPL(Q)"), number(output, "Mean    KLD")
            tool.same_top = number(output, "Same top p") / 100
            mine.peak = engine.peak_memory or 0
    for name, engine in engines.items():
        ours[name].base = engine.fidelity(FidelityRequest("plain", store=str(base)))
        engine.close()
    return theirs, ours, close_calls(store)


@dataclass(frozen=True)
class Line:
    """One compared figure: as llama-perplexity has it, as we have it, how far they may differ."""

    file: str
    figure: str
    theirs: float
    ours: float
    limit: float
    digits: int

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the limit."""
        return abs(self.theirs - self.ours) <= self.limit

    def row(self) -> str:
        """One row of the table."""
        figures = f"{self.theirs:.{self.digits}f} | {self.ours:.{self.digits}f}"
        verdict = "yes" if self.agrees else "**no**"
        apart = f"{abs(self.theirs - self.ours):.1e} | {self.limit:.1e}"
        return f"| {self.file} | {self.figure} | {figures} | {apart} | {verdict} |"


def lines(theirs: dict[str, Tool], ours: dict[str, Ours], ties: float) -> list[Line]:
    """Every figure of every file."""
    found = []
    for name in FILES:
        tool, mine = theirs[name], ours[name]
        assert mine.store is not None
        assert mine.base is not None
        tokens, perplexity, kl, same = sums(mine.store)
        _, _, base_kl, base_same = sums(mine.base)
        file = name.removeprefix("tiny-").removesuffix(".gguf").upper()
        allowed = _HALF_STEP * (1 + kl + math.sqrt(2 * kl)) + 5e-7
        found += [
            Line(file, "perplexity", tool.perplexity, perplexity, 5.1e-5, 6),
            # summed there in single precision
            Line(file, "perplexity, beside KL", tool.perplexity_kl, perplexity, 5e-7 + 1e-6 * perplexity, 6),
            Line(file, "KL from its file", tool.kl, base_kl, 1e-6, 6),
            Line(file, "same top from its file", tool.same_top, base_same, 5.1e-6 + 1 / tokens, 5),
            Line(file, "KL from our store", tool.kl, kl, allowed, 6),
            Line(file, "same top from our store", tool.same_top, same, 5.1e-6 + ties, 5),
        ]
    return found


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """Our throughput over theirs: median and spread."""
    found = [a / b for a, b in zip(theirs, ours, strict=True)]
    return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def report(theirs: dict[str, Tool], ours: dict[str, Ours], ties: float, repeats: int) -> tuple[str, bool]:
    """The page's block, and whether every limit is kept."""
    store = ours[FILES[0]].store
    assert store is not None
    compared = lines(theirs, ours, ties)
    out = [
        f"{len(store.chunks)} windows of {WINDOW} tokens, half of each scored. The two likeliest tokens lie within",
        f"one step of the 16-bit file at {ties:.3%} of the positions.",
        "",
        "| file | figure | llama-perplexity | quantcheck | difference | allowed | agrees |",
        "|---|---|---:|---:|---:|---:|---|",
        *(line.row() for line in compared),
        "",
        f"Speed over llama-perplexity's, {repeats} runs in turn: median (smallest to largest); and most memory.",
        "",
        "| file | perplexity | with KL | llama-perplexity MiB | quantcheck MiB |",
        "|---|---:|---:|---:|---:|",
    ]
    every: list[float] = []
    for name in FILES:
        tool, mine = theirs[name], ours[name]
        file = name.removeprefix("tiny-").removesuffix(".gguf").upper()
        every += [a / b for a, b in zip(tool.seconds + tool.seconds_kl, mine.seconds + mine.seconds_kl, strict=True)]
        out.append(
            f"| {file} | {ratios(tool.seconds, mine.seconds)} | {ratios(tool.seconds_kl, mine.seconds_kl)} "
            f"| {tool.peak >> 20} | {mine.peak >> 20} |"
        )
    fast = median(every) >= _LEAST_RATIO
    out += ["", f"All together: {median(every):.2f}; at least {_LEAST_RATIO:.2f} is wanted."]
    return "\n".join(out), fast and all(line.agrees for line in compared)


def main() -> int:
    """Print the block; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--chunks", type=int, default=60, help="windows of text, about")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours, ties = measure(Path(folder), asked.repeats, asked.chunks, asked.threads)
        memory, less = large_vocabulary(Path(folder), asked.threads)
    block, kept = report(theirs, ours, ties, asked.repeats)
    block, kept = f"{block}\n\n{memory}", kept and less
    print(block)
    if asked.write:
        PAGE.write_text(replaced(PAGE.read_text("utf-8"), BEGIN, END, block), "utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
