"""What a speed probe measured: one model alone, or two models in turn. Records."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from typing import Any

from pytest_quantcheck.record import Record


@dataclass(frozen=True, slots=True)
class Bench(Record):
    """Speed of fixed token counts, one entry a repetition, warm-up left out. Tokens per second."""

    prefill_tok_s: tuple[float, ...]
    decode_tok_s: tuple[float, ...]
    prompt_tokens: int
    generated_tokens: int
    ttft_s: tuple[float, ...] = ()
    """Seconds from the request to the first token, one entry a repetition."""
    depth: int = 0
    """Tokens that stood before the prompt."""
    cold_prefill_tok_s: float | None = None
    """Of the very first prompt after loading, which is never among the repetitions; None when it was another's."""
    warmup: int = 0
    """Rounds that were discarded."""
    settled: bool = True
    """Whether the last of them was no faster than the best before it; False when their bound ended them."""
    drafted: int = 0
    """Tokens that a draft model proposed in all repetitions; 0 where nothing drafts."""
    accepted: int = 0
    """Those of them that the model itself would have written."""

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"prefill_tok_s": tuple, "decode_tok_s": tuple, "ttft_s": tuple}


@dataclass(frozen=True, slots=True)
class Duel(Record):
    """Both models measured in turn, in blocks of baseline, candidate, candidate, baseline (ABBA).

    Entry ``i`` of ``baseline`` and of ``candidate`` were measured next to each other. ``order`` has one letter a
    measurement, 'B' or 'C', as they were made.
    """

    baseline: tuple[Bench, ...]
    candidate: tuple[Bench, ...]
    order: str
    reloaded: bool = False
    """Whether the models were loaded anew for each measurement: both together do not fit in memory."""
    warnings: tuple[str, ...] = ()
    """What forbids a verdict on these figures, in words: throttling, other load, drift."""
    copy_bytes_s: float | None = None
    """Bytes that this machine's memory moved in a second, read and written, when plain memory was copied."""
    margins: dict[str, float] = field(default_factory=dict)
    """Metric -> the loss of speed that counts as none; the metrics that are compared."""

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        def benches(values: Any) -> tuple[Bench, ...]:
            return tuple(Bench.from_payload(value) for value in values)

        return {"baseline": benches, "candidate": benches, "warnings": tuple}
