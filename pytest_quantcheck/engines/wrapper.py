"""The base of what stands in front of an engine and gives some of its answers itself."""

from __future__ import annotations

from typing import Any

from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Bench


class Wrapper:
    """What no wrapper changes: the file, its loads, its true speed and memory."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        # what an engine has beyond the protocol, a user's test may use
        return getattr(self._engine, name)

    @property
    def loads(self) -> int:
        """How many times the model was loaded so far."""
        return self._engine.loads

    @property
    def peak_memory(self) -> int | None:
        """Most memory that the model's process held so far, in bytes; None when nobody knows, or it was not loaded."""
        return self._engine.peak_memory

    def card(self) -> ModelCard:
        """What the file says of itself."""
        return self._engine.card()

    def bench(self, request: BenchRequest) -> Bench:
        """The true speed, measured now."""
        return self._engine.bench(request)

    def memory(self, request: MemoryRequest) -> Memory:
        """The true memory."""
        return self._engine.memory(request)

    def close(self) -> None:
        """Release everything; a request that the engine itself must answer would load again."""
        self._engine.close()
