"""What a loaded model takes: an estimate from its header and what llama.cpp reported, in bytes. Records."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pytest_quantcheck.record import Record


@dataclass(frozen=True, slots=True)
class Buffers(Record):
    """Bytes by purpose; None: not known.

    ``kv`` are keys, values and states of recurrent layers. ``compute`` is scratch space, ``output`` the logits.
    ``repacked`` says how much of ``weights`` was laid out anew for the processor, beside what is mapped from the file.
    """

    weights: int
    kv: int | None
    compute: int | None = None
    output: int | None = None
    repacked: int | None = None

    @property
    def total(self) -> int:
        """All that is known, together."""
        return self.weights + (self.kv or 0) + (self.compute or 0) + (self.output or 0)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The parts that `total` lacks."""
        return tuple(name for name in ("kv", "compute", "output") if getattr(self, name) is None)


@dataclass(frozen=True, slots=True)
class Memory(Record):
    """One model at one context: what its header lets expect and what loading it took.

    ``context`` and ``estimate`` belong together: the context that was asked for, as llama.cpp rounds it, with compute
    buffers from a load that allocates nothing. ``measured`` is what llama.cpp reported when it loaded the model at
    ``measured_context``; ``devices`` the same by device ('CPU', 'CUDA0', ...).

    ``resident`` and ``peak`` are those of the engine's process, mapped weights included as far as they were touched;
    ``resident_file`` is the part of ``resident`` that is mapped from files and can be dropped at any time.
    ``device_taken`` is by how much free memory of each device shrank while loading, ``video`` what NVML counts for the
    process.

    ``largest_context`` is the largest that fits ``budget``, 0 where none does; ``trained_context`` bounds it.
    """

    context: int
    kv_type: str
    estimate: Buffers
    measured: Buffers | None = None
    measured_context: int | None = None
    devices: dict[str, Buffers] | None = None
    mapped: bool | None = None
    """Whether weights are mapped from the file."""
    resident: int | None = None
    resident_file: int | None = None
    peak: int | None = None
    device_taken: dict[str, int] | None = None
    video: int | None = None
    budget: int | None = None
    largest_context: int | None = None
    trained_context: int | None = None
    notes: tuple[str, ...] = ()
    """What the figures do not hold, in words."""

    @property
    def figures(self) -> Buffers:
        """What llama.cpp reported at ``context``; the estimate where it was loaded at another one."""
        return self.measured if self.measured is not None and self.is_loaded else self.estimate

    @property
    def is_loaded(self) -> bool:
        """Whether ``measured`` is of the context that was asked for."""
        return self.measured is not None and self.measured_context == self.context

    @property
    def taken(self) -> int | None:
        """Bytes on graphics devices: by NVML where it tells, else by what is gone from their free memory."""
        if self.video is not None:
            return self.video
        return None if self.device_taken is None else max(0, sum(self.device_taken.values()))

    @property
    def highest(self) -> int | None:
        """The most that the engine's process held, with what it holds on graphics devices; None when unknown."""
        return None if self.peak is None else self.peak + (self.taken or 0)

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {
            "estimate": Buffers.from_payload,
            "measured": lambda value: None if value is None else Buffers.from_payload(value),
            "devices": lambda value: (
                None if value is None else {name: Buffers.from_payload(one) for name, one in value.items()}
            ),
            "notes": tuple,
        }


def together(buffers: Iterable[Buffers]) -> Buffers:
    """The sum; a part that nobody knows stays unknown."""
    parts = list(buffers)

    def add(part: Callable[[Buffers], int | None]) -> int | None:
        known = [value for one in parts if (value := part(one)) is not None]
        return sum(known) if known else None

    return Buffers(
        sum(one.weights for one in parts),
        add(lambda one: one.kv),
        add(lambda one: one.compute),
        add(lambda one: one.output),
        add(lambda one: one.repacked),
    )
