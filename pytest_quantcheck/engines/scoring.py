"""Sums over the scored tokens of passages, beside a reference's store. Runs inside the engine's own process only."""

from __future__ import annotations

import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from typing import Final

import numpy as np

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.bounds import Progress
from pytest_quantcheck.engines.decoder import DAMAGED
from pytest_quantcheck.engines.forward import Forward
from pytest_quantcheck.engines.kept import Doubles
from pytest_quantcheck.engines.kept import Floats
from pytest_quantcheck.engines.kept import Ids
from pytest_quantcheck.engines.kept import Records
from pytest_quantcheck.engines.kept import log_softmax
from pytest_quantcheck.engines.store_file import StoreReader
from pytest_quantcheck.engines.store_file import StoreWriter
from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity import Part
from pytest_quantcheck.fidelity_store import Passage
from pytest_quantcheck.text import digest

BLOCK: Final = 1 << 18
"""Numbers that are worked on at a time: 1 MiB stays in a processor's cache."""

_TAIL: Final = (50.0, 90.0, 99.0, 99.9, 100.0)


@dataclass(frozen=True, slots=True)
class _Block:
    """Some positions of one passage of a group; ``kept`` are their records in the store, None without one."""

    passage: int
    logits: Floats
    targets: Ids
    kept: Records | None


def measure(
    request: FidelityRequest,
    passages: Sequence[Passage],
    forward: Forward,
    progress: Progress,
    *,
    reader: StoreReader | None = None,
    writer: StoreWriter | None = None,
) -> Fidelity:
    """Read every passage and reduce each block of logits where it is made.

    EngineRefused for a model that computes no numbers, StoreError for a store that turns out to be damaged.
    """
    chunks: list[Chunk] = []
    tails: dict[Part, list[Doubles]] = {}
    covered: list[Doubles] = []

    def close(group: _Group) -> None:
        for columns, passage in zip(group.joined(), group.passages, strict=True):
            lengths = [stop - start for start, stop, _ in passage.spans]
            part_of = np.repeat([part for *_, part in passage.spans], lengths)
            for part in dict.fromkeys(part for *_, part in passage.spans):
                own = {name: column[part_of == part] for name, column in columns.items()}
                chunks.append(_chunk(part, own))
                if "kl" in own:
                    tails.setdefault(part, []).append(own["kl"])
            covered.extend([columns["covered"]] if "covered" in columns else [])
        progress("", group.first + len(group.passages), len(passages))

    with ThreadPoolExecutor(_workers()) as pool:
        # what one step found is reduced while llama.cpp reads the next one; two steps are in memory, never more
        waiting: _Step | None = None
        for step in _steps(request, passages, forward, reader, writer, pool):
            if waiting is not None:
                waiting.collect(writer, progress, close)
            waiting = step
        if waiting is not None:
            waiting.collect(writer, progress, close)
    header = reader.header if reader is not None else None
    return Fidelity(
        name=request.name,
        chunks=tuple(chunks),
        prompt=digest([passage.ids for passage in passages]),
        window=header.window if header is not None else 0 if request.conversations else request.window,
        kl_tail={part: _percentiles(np.concatenate(found)) for part, found in tails.items()},
        covered=float(np.concatenate(covered).mean()) if covered else None,
        reference=header.reference if header is not None else "",
        reference_fingerprint=header.reference_fingerprint if header is not None else "",
    )


def _alike(numbered: Sequence[tuple[int, Passage]]) -> Sequence[tuple[int, Passage]]:
    """The first passage and those after it that are scored at the same places: they can be read side by side."""
    first = numbered[0][1]
    same = [(len(passage.ids), passage.spans) == (len(first.ids), first.spans) for _, passage in numbered]
    return numbered[: same.index(False) if False in same else len(same)]


@dataclass(frozen=True, slots=True)
class _Group:
    """Passages that are read side by side, the number of the first one, and what was found of each so far."""

    first: int
    passages: Sequence[Passage]
    found: list[list[dict[str, Any]]]

    def joined(self) -> list[dict[str, Any]]:
        """What is known of each scored token of each passage, by name."""
        return [{name: np.concatenate([block[name] for block in one]) for name in one[0]} for one in self.found]


@dataclass(frozen=True, slots=True)
class _Step:
    """The blocks of one step at work, in order."""

    group: _Group
    blocks: Sequence[Future[tuple[int, dict[str, Any], Records | None]]]
    is_last: bool
    """Whether the group's passages end with it."""

    def collect(self, writer: StoreWriter | None, progress: Progress, close: Callable[[_Group], None]) -> None:
        """Take in what the blocks come to."""
        for block in self.blocks:
            number, found, records = block.result()
            self.group.found[number].append(found)
            if writer is not None and records is not None:
                writer.add(self.group.first + number, records)
            progress("")
        if self.is_last:
            close(self.group)


def _steps(
    request: FidelityRequest,
    passages: Sequence[Passage],
    forward: Forward,
    reader: StoreReader | None,
    writer: StoreWriter | None,
    pool: ThreadPoolExecutor,
) -> Iterator[_Step]:
    """Every step that has logits, its blocks handed to the pool."""

    def work(block: _Block) -> tuple[int, dict[str, Any], Records | None]:
        logs, nll = log_softmax(block.logits, block.targets)
        if not np.isfinite(nll).all():
            raise EngineRefused(DAMAGED)
        found: dict[str, Any] = {"nll": nll.astype(np.float64)}
        if reader is not None and block.kept is not None:
            found.update(reader.compare(block.kept, logs))
        return block.passage, found, writer.kept.pack(logs, nll) if writer is not None else None

    numbered = list(enumerate(passages))
    while numbered:
        alike = _alike(numbered[: forward.passages])
        numbered = numbered[len(alike) :]
        group = _Group(alike[0][0], [passage for _, passage in alike], [[] for _ in alike])
        places = np.array(group.passages[0].scored)
        targets = np.array([passage.ids for passage in group.passages])[:, places]
        seeds = [[0, *passage.ids] for passage in group.passages]
        draws = [np.random.default_rng(seed) for seed in seeds] if request.noise > 0 else []
        start = 0
        for views in forward.logits([passage.ids for passage in group.passages], (places - 1).tolist()):
            blocks = []
            for number, view in enumerate(views):
                logits = view.copy()  # llama.cpp writes over it in the next step
                if draws:
                    spread = request.noise * logits.std(axis=1, keepdims=True, dtype=np.float64)
                    logits += (spread * draws[number].standard_normal(logits.shape)).astype(np.float32)
                rows = max(1, BLOCK // logits.shape[1])
                for at in range(0, len(logits), rows):
                    piece = logits[at : at + rows]
                    kept = reader.read(group.first + number, len(piece)) if reader is not None else None
                    block = _Block(number, piece, targets[number, start + at : start + at + len(piece)], kept)
                    blocks.append(pool.submit(work, block))
            start += len(views[0])
            yield _Step(group, blocks, is_last=start == len(places))


def _chunk(part: Part, columns: dict[str, Any]) -> Chunk:
    def total(name: str) -> float | None:
        return float(columns[name].sum()) if name in columns else None

    return Chunk(
        part=part,
        tokens=len(columns["nll"]),
        nll=float(columns["nll"].sum()),
        reference_nll=total("reference_nll"),
        kl=total("kl"),
        same_top=int(columns["same_top"].sum()) if "same_top" in columns else None,
    )


def _workers() -> int:
    """Threads that reduce logits: all cores, as llama-perplexity takes."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _percentiles(values: Doubles) -> dict[str, float]:
    return {f"{share:g}": float(found) for share, found in zip(_TAIL, np.percentile(values, _TAIL), strict=True)}
