"""What is kept of a reference's log-probabilities at one position, and what another model's show beside it.

Three kinds of records: all log-probabilities; the likeliest ones and one bucket for the rest; llama-perplexity's 16-bit
ones. Runs inside the engine's own process only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pytest_quantcheck.fidelity_store import StoreError
from pytest_quantcheck.fidelity_store import StoreHeader

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Records = npt.NDArray[Any]

_FLOOR = np.float32(-16.0)


@dataclass(frozen=True, slots=True)
class Compared:
    """One entry a position. ``nll`` is the reference's own of the target; None where its file does not know it."""

    kl: Doubles
    same_top: npt.NDArray[np.bool_]
    covered: Doubles
    nll: Doubles | None


class Kept(Protocol):
    """One kind of records; ``dtype`` is that of one position."""

    dtype: np.dtype[Any]

    def pack(self, logs: Floats, nll: Floats) -> Records:
        """The records of positions x vocabulary log-probabilities and of their targets' negative ones."""

    def compare(self, records: Records, logs: Floats) -> Compared:
        """Records of the reference beside another model's log-probabilities, positions x vocabulary."""


def log_softmax(logits: Floats, targets: Ids) -> tuple[Floats, Floats]:
    """Log-probabilities, positions x vocabulary, and the targets' negative ones; NaN where a logit is not finite.

    Element by element in single precision, sums in double: a sum over a vocabulary of 262k loses digits otherwise. The
    targets' are exact to the last bit, since they are what a perplexity is made of.
    """
    with np.errstate(invalid="ignore"):
        logs = logits - logits.max(axis=1, keepdims=True)
        total = np.log(np.exp(logs).sum(axis=1, dtype=np.float64, keepdims=True))
    total[~np.isfinite(logs.min(axis=1))] = np.nan
    nll = (total - np.take_along_axis(logs, targets[:, None], axis=1))[:, 0].astype(np.float32)
    logs -= total.astype(np.float32)
    return logs, nll


def kept_by(header: StoreHeader) -> Kept:
    """How the records of this store are read."""
    if header.base:
        return SixteenBits(header.vocabulary)
    return Whole(header.vocabulary) if header.whole else Top(header.vocabulary, header.kept)


class Whole:
    """All log-probabilities."""

    def __init__(self, vocabulary: int) -> None:
        self.dtype = np.dtype([("nll", "<f4"), ("logs", "<f4", (vocabulary,))])

    def pack(self, logs: Floats, nll: Floats) -> Records:
        """The records of these positions."""
        records = np.empty(len(logs), self.dtype)
        records["nll"], records["logs"] = nll, logs
        return records

    def compare(self, records: Records, logs: Floats) -> Compared:
        """The KL divergence itself."""
        reference = records["logs"]
        kl = (np.exp(reference) * (reference - logs)).sum(axis=1, dtype=np.float64)
        same = reference.argmax(axis=1) == logs.argmax(axis=1)
        return Compared(kl, same, np.ones(len(kl)), records["nll"].astype(np.float64))


class Top:
    """The ``kept`` likeliest tokens, likeliest first, and the probability of all others together.

    Putting tokens together can only make a KL divergence smaller (the log-sum inequality; Cover and Thomas, Elements of
    Information Theory, theorem 2.7.1), so what comes out is a lower bound, and exact where the others have the same
    shares among themselves in both models.
    """

    def __init__(self, vocabulary: int, kept: int) -> None:
        self._vocabulary = vocabulary
        self._kept = kept
        lists = [("ids", "<u4", (kept,)), ("logs", "<f4", (kept,))]
        self.dtype = np.dtype([("nll", "<f4"), ("covered", "<f4"), ("rest", "<f4"), *lists])

    def pack(self, logs: Floats, nll: Floats) -> Records:
        """The records of these positions."""
        records = np.empty(len(logs), self.dtype)
        ids = np.sort(np.argpartition(logs, -self._kept, axis=1)[:, -self._kept :], axis=1)
        # of equally likely tokens the first one leads, as in argmax, though it may have been left out at random
        best = logs.argmax(axis=1)
        missing = (ids != best[:, None]).all(axis=1)
        ids[missing, 0] = best[missing]
        ids = np.sort(ids, axis=1)
        order = np.argsort(-np.take_along_axis(logs, ids, axis=1), axis=1, kind="stable")
        records["ids"] = ids = np.take_along_axis(ids, order, axis=1)
        records["logs"] = np.take_along_axis(logs, ids, axis=1)
        records["nll"] = nll
        records["covered"] = np.minimum(np.exp(records["logs"]).sum(axis=1, dtype=np.float64), 1.0)
        records["rest"] = _rest(logs, ids)
        return records

    def compare(self, records: Records, logs: Floats) -> Compared:
        """A lower bound of the KL divergence."""
        ids = records["ids"].astype(np.int64)
        if ids.max() >= self._vocabulary:
            raise StoreError("is damaged: it holds tokens outside of its own vocabulary")
        reference = records["logs"]
        own = np.take_along_axis(logs, ids, axis=1)
        kl = (np.exp(reference) * (reference - own)).sum(axis=1, dtype=np.float64)
        rest = records["rest"].astype(np.float64)
        # what underflowed is taken for more than it is, which keeps the bound below
        least = float(np.finfo(np.float32).tiny)
        others = np.maximum(_rest(logs, ids), least)
        kl += np.where(rest > 0, rest * np.log(np.maximum(rest, least) / others), 0.0)
        same = ids[:, 0] == logs.argmax(axis=1)
        return Compared(kl, same, records["covered"].astype(np.float64), records["nll"].astype(np.float64))


def _rest(logs: Floats, ids: npt.NDArray[Any]) -> Doubles:
    """The probability of all tokens but these; summed, since 1 minus the others' has no digits left."""
    shares = np.exp(logs)
    np.put_along_axis(shares, ids.astype(np.int64), 0.0, axis=1)
    found: Doubles = shares.sum(axis=1, dtype=np.float64)
    return found


class SixteenBits:
    """llama-perplexity's records: a scale, the smallest log-probability, then steps of the scale above it.

    What lies more than 16 nats below the likeliest token was raised to that floor, and tokens at -16 or less are left
    out of the divergence, as llama-perplexity does. A target below the floor has lost its own figure, so the
    reference's negative log-likelihood, and with it the ratio of perplexities, cannot be had from such a file.
    """

    def __init__(self, vocabulary: int) -> None:
        padded = 2 * ((vocabulary + 1) // 2)
        self._vocabulary = vocabulary
        self.dtype = np.dtype([("scale", "<f4"), ("least", "<f4"), ("steps", "<u2", (padded,))])

    def pack(self, logs: Floats, nll: Floats) -> Records:
        """No: nobody needs another such file."""
        raise NotImplementedError

    def compare(self, records: Records, logs: Floats) -> Compared:
        """The KL divergence as llama-perplexity computes it."""
        steps = records["steps"][:, : self._vocabulary].astype(np.float32)
        reference = records["scale"][:, None] * steps + records["least"][:, None]
        shares = np.where(reference > _FLOOR, np.exp(reference), np.float32(0))
        kl = (shares * (reference - logs)).sum(axis=1, dtype=np.float64)
        covered = np.minimum(shares.sum(axis=1, dtype=np.float64), 1.0)
        return Compared(kl, reference.argmax(axis=1) == logs.argmax(axis=1), covered, None)
