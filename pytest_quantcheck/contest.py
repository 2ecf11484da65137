"""A run's own duel: its two engines, whether both fit into memory, and what the memory itself can move."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

from pytest_quantcheck.benches import Duel
from pytest_quantcheck.duels import duel
from pytest_quantcheck.engines.bandwidth import copy_bandwidth
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.machine import available_memory
from pytest_quantcheck.memory_estimate import fits_together
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.records import Role
from pytest_quantcheck.settings import Settings


def compare_speed(settings: Settings, pins: Pins, engine_of: Callable[[Role], Engine], request: BenchRequest) -> Duel:
    """Measure a run's two models in turn; the baseline is closed again, for one model is loaded at a time."""
    baseline, candidate = (engine_of(role) for role in (Role.BASELINE, Role.CANDIDATE))

    def facts() -> dict[str, Any]:
        # known once it is loaded
        return getattr(candidate, "facts", {})

    def together() -> bool:
        if _one_server(baseline, candidate):  # it may hold one model at a time, and says so to nobody
            return False
        is_on_gpu = bool(facts().get("gpu")) and facts().get("gpu_layers") != "none"
        sides = [(baseline.card(), settings.kv_type_of(Role.BASELINE))]
        sides.append((candidate.card(), settings.kv_type_of(Role.CANDIDATE)))
        return both_fit(sides, pins.context, is_on_gpu=is_on_gpu, available=available_memory())

    def copy_bytes_s() -> float | None:
        return copy_bandwidth(settings.threads) if facts().get("gpu") is False else None

    try:
        return duel(baseline, candidate, request, together=together, copy_bytes_s=copy_bytes_s)
    finally:
        baseline.close()


def _one_server(baseline: Engine, candidate: Engine) -> bool:
    """Whether one server, or one proxy, has both models."""
    deciders = [getattr(engine, "foretold", {}).get("decided_by", {}).get("system") for engine in (baseline, candidate)]
    return deciders[0] is not None and deciders[0] == deciders[1]


def both_fit(
    sides: Iterable[tuple[ModelCard, str]], context: int | None, *, is_on_gpu: bool, available: int | None
) -> bool:
    """Whether models, each with the type of its KV cache, can be loaded at a time.

    No where nobody knows: neither how much memory is ``available``, nor, here, how much a GPU has left. Reloading costs
    time, not truth.
    """
    if is_on_gpu or available is None:
        return False
    # what holds no weights here (a server, a double) takes no memory here
    return fits_together([(card, context, kv_type) for card, kv_type in sides if _is_here(card)], available)


def _is_here(card: ModelCard) -> bool:
    return card.tensor_bytes > 0 and not card.served
