"""What a loaded model takes: an estimate from its header and what llama.cpp reported, in bytes. Records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_quantcheck.record import Record


@dataclass(frozen=True, slots=True)
class Buffers(Record):
    """Bytes by purpose. ``compute`` is scratch space, ``output`` the logits; None: not known."""

    weights: int
    kv: int
    compute: int | None = None
    output: int | None = None


@dataclass(frozen=True, slots=True)
class Memory(Record):
    """One model at one context: what its header lets expect and what loading it took.

    ``devices`` has what llama.cpp reported by device ('CPU', 'CUDA0', ...). ``resident`` and ``peak`` are those of the
    engine's process, mapped weights included as far as they were touched.
    """

    context: int
    kv_type: str
    estimate: Buffers
    measured: Buffers | None = None
    devices: dict[str, Buffers] | None = None
    resident: int | None = None
    peak: int | None = None

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {
            "estimate": Buffers.from_payload,
            "measured": lambda value: None if value is None else Buffers.from_payload(value),
            "devices": lambda value: (
                None if value is None else {name: Buffers.from_payload(one) for name, one in value.items()}
            ),
        }
