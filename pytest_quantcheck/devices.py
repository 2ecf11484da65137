"""Devices by name, and where each process of a run uses them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_quantcheck.record import Record

CPU: Final = "CPU"
"""What llama.cpp calls the processor itself."""


@dataclass(frozen=True, slots=True)
class Device(Record):
    """One device of llama.cpp's: ``name`` as in ``CUDA0``, ``kind`` 'GPU', 'IGPU', 'CPU' or 'other'."""

    name: str
    kind: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Place(Record):
    """Where one process runs its models. ``devices``: names, none where llama.cpp decides."""

    devices: tuple[str, ...] = ()
    sharers: int = 1
    """How many processes of the run use one of these devices, this one included."""

    @classmethod
    def _nested(cls) -> dict[str, type]:
        return {"devices": tuple}

    @property
    def words(self) -> str:
        """For people."""
        return "+".join(self.devices) or "this machine"

    @property
    def no_speed(self) -> str:
        """Why no speed can be judged here; empty where it can."""
        if self.sharers < 2:
            return ""
        return f"{self.sharers} pytest-xdist workers share {self.words}; run speed tests with -n0"


def places(entries: Sequence[str], workers: int) -> tuple[Place, ...]:
    """Where each of so many workers runs: the entries in turn."""
    dealt = [names_of(entries[number % len(entries)]) for number in range(workers)]
    return tuple(Place(names, sum(_overlap(names, other) for other in dealt)) for names in dealt)


def names_of(entry: str) -> tuple[str, ...]:
    """The devices of one entry: ``A+B`` are two, the empty one leaves it to llama.cpp."""
    return tuple(entry.split("+")) if entry else ()


def _overlap(names: Sequence[str], other: Sequence[str]) -> bool:
    return not names or not other or bool({*names} & {*other})
