"""Sums over the scored tokens of passages, beside a reference's store. Runs inside the engine's own process only."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from itertools import chain
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
    for passage in passages:
        columns = _columns(request, passage, forward, progress, reader, writer)
        at = 0
        by_part: dict[Part, list[dict[str, Any]]] = {}
        for start, stop, part in passage.spans:
            piece = slice(at, at + stop - start)
            by_part.setdefault(part, []).append({name: column[piece] for name, column in columns.items()})
            at += stop - start
        for part, pieces in by_part.items():
            joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in columns}
            chunks.append(_chunk(part, joined))
            if "kl" in joined:
                tails.setdefault(part, []).append(joined["kl"])
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
) -> dict[str, Any]:
    """What is known of each scored token of one passage, by name."""
    places = np.array(passage.scored)
    targets = np.array(passage.ids)[places]
    draw = np.random.default_rng([0, *passage.ids]) if request.noise > 0 else None
    found: dict[str, list[Any]] = {}
    at = 0
    for logits in chain.from_iterable(map(_blocks, forward.logits(passage.ids, (places - 1).tolist()))):
        if draw is not None:
            spread = request.noise * logits.std(axis=1, keepdims=True, dtype=np.float64)
            logits = logits + (spread * draw.standard_normal(logits.shape)).astype(np.float32)
        logs, nll = log_softmax(logits, targets[at : at + len(logits)])
        if not np.isfinite(nll).all():
            raise EngineRefused(DAMAGED)
        at += len(logits)
        found.setdefault("nll", []).append(nll.astype(np.float64))
        if writer is not None:
            writer.add(logs, nll)
        if reader is not None:
            compared = reader.compare(logs)
            found.setdefault("kl", []).append(compared.kl)
            found.setdefault("same_top", []).append(compared.same_top)
            found.setdefault("covered", []).append(compared.covered)
            if compared.nll is not None:
                found.setdefault("reference_nll", []).append(compared.nll)
        progress("")
    return {name: np.concatenate(blocks) for name, blocks in found.items()}


def _blocks(logits: Floats) -> Iterator[Floats]:
    rows = max(1, BLOCK // logits.shape[1])
    return (logits[at : at + rows] for at in range(0, len(logits), rows))


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


def _percentiles(values: Doubles) -> dict[str, float]:
    return {f"{share:g}": float(found) for share, found in zip(_TAIL, np.percentile(values, _TAIL), strict=True)}
