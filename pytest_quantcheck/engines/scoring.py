"""Sums over the scored tokens of passages, beside a reference's store. Runs inside the engine's own process only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
    with ThreadPoolExecutor(_workers()) as pool:
        for passage in passages:
            columns = _columns(request, passage, forward, progress, reader, writer, pool)
            part_of = np.repeat(
                [part for *_, part in passage.spans], [stop - start for start, stop, _ in passage.spans]
            )
            for part in dict.fromkeys(part for *_, part in passage.spans):
                own = {name: column[part_of == part] for name, column in columns.items()}
                chunks.append(_chunk(part, own))
                if "kl" in own:
                    tails.setdefault(part, []).append(own["kl"])
            covered += [columns["covered"]] if "covered" in columns else []
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


def _columns(
    request: FidelityRequest,
    passage: Passage,
    forward: Forward,
    progress: Progress,
    reader: StoreReader | None,
    writer: StoreWriter | None,
    pool: ThreadPoolExecutor,
) -> dict[str, Any]:
    """What is known of each scored token of one passage, by name."""
    places = np.array(passage.scored)
    targets = np.array(passage.ids)[places]
    draw = np.random.default_rng([0, *passage.ids]) if request.noise > 0 else None

    def work(given: tuple[Floats, Ids, Records | None]) -> tuple[dict[str, Any], Records | None]:
        logits, targets, kept = given
        logs, nll = log_softmax(logits, targets)
        if not np.isfinite(nll).all():
            raise EngineRefused(DAMAGED)
        found: dict[str, Any] = {"nll": nll.astype(np.float64)}
        if reader is not None and kept is not None:
            found.update(reader.compare(kept, logs))
        return found, writer.kept.pack(logs, nll) if writer is not None else None

    def blocks(logits: Floats, targets: Ids) -> Iterator[tuple[Floats, Ids, Records | None]]:
        rows = max(1, BLOCK // logits.shape[1])
        for at in range(0, len(logits), rows):
            piece = logits[at : at + rows]
            if draw is not None:
                spread = request.noise * piece.std(axis=1, keepdims=True, dtype=np.float64)
                piece = piece + (spread * draw.standard_normal(piece.shape)).astype(np.float32)
            yield piece, targets[at : at + rows], reader.read(len(piece)) if reader is not None else None

    columns: list[dict[str, Any]] = []
    at = 0
    for logits in forward.logits(passage.ids, (places - 1).tolist()):
        for found, records in pool.map(work, blocks(logits, targets[at : at + len(logits)])):
            columns.append(found)
            if writer is not None and records is not None:
                writer.add(records)
            progress("")
        at += len(logits)
    return {name: np.concatenate([found[name] for found in columns]) for name in columns[0]}


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
    """Threads that reduce logits while llama.cpp waits: all cores, as llama-perplexity takes."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _percentiles(values: Doubles) -> dict[str, float]:
    return {f"{share:g}": float(found) for share, found in zip(_TAIL, np.percentile(values, _TAIL), strict=True)}
