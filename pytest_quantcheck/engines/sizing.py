"""What a model would take, before it is loaded: its header's figures and llama.cpp's own compute buffers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final

from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import EngineHung
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.base import default_context
from pytest_quantcheck.engines.words import exit_reason
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.memory_estimate import estimate
from pytest_quantcheck.memory_estimate import rounded
from pytest_quantcheck.text import one_line

_PATIENCE: Final = 120.0
"""Seconds; a vocabulary of 262k tokens takes two, and each context that is tried a fraction of one."""
_LAYOUT: Final = (
    "llama.cpp lays weights out anew for this processor, nobody knows how many: expect up to twice the weights"
)


def expected_memory(path: Path, card: ModelCard, settings: LoadSettings, request: MemoryRequest) -> Memory:
    """The estimate for one model, with llama.cpp's own word on compute buffers.

    Keys, values and logits are the header's figures, and llama.cpp's own where the header does not tell. Where
    llama.cpp says nothing the header stands alone, without compute buffers and a largest context, and a note says why.
    """
    context = request.context or settings.context or default_context(card.context_length)
    settings = replace(settings, context=context)
    try:
        return assembled(card, settings, request, _ask(path, settings, request.budget))
    except EngineError as error:
        return Memory(
            context=rounded(context),
            kv_type=settings.kv_type,
            estimate=estimate(card, context, settings.kv_type),
            budget=request.budget,
            trained_context=card.context_length,
            notes=(f"by the header alone: {error}",),
        )


def assembled(card: ModelCard, settings: LoadSettings, request: MemoryRequest, said: dict[str, Any]) -> Memory:
    """The estimate from the header and from what the asking process said; the settings name the context."""
    told = Buffers.from_payload(said["size"])
    assert settings.context is not None
    expected = estimate(card, settings.context, settings.kv_type)
    notes = []
    if expected.kv is None:
        notes.append("what the cache takes is llama.cpp's own word: the header of this architecture does not tell")
    if told.repacked is None:
        notes.append(_LAYOUT)
    return Memory(
        context=said["context"],
        kv_type=settings.kv_type,
        estimate=replace(
            told,
            kv=told.kv if expected.kv is None else expected.kv,
            output=told.output if expected.output is None else expected.output,
        ),
        budget=request.budget,
        largest_context=said["largest"],
        trained_context=said["trained"],
        notes=tuple(notes),
    )


def _ask(path: Path, settings: LoadSettings, budget: int | None) -> dict[str, Any]:
    """One question to a process that is over with the answer."""
    request = {"path": str(path), "settings": settings.to_payload(), "budget": budget}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pytest_quantcheck.engines.sizing_child"],
            input=json.dumps(request),
            capture_output=True,
            timeout=_PATIENCE,
            env={**os.environ, "GGML_NO_BACKTRACE": "1", "PYTHONIOENCODING": "utf-8"},
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise EngineRefused(f"cannot start {sys.executable!r}: {error}") from None
    except subprocess.TimeoutExpired:
        raise EngineHung(f"llama.cpp did not say within {_PATIENCE:g} s what memory the model takes") from None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        words = one_line(" | ".join(done.stderr.splitlines()[-3:])) or "none"
        raise EngineDied(
            f"the process that asks llama.cpp for the memory of {path.name} died "
            f"({exit_reason(done.returncode)}); its last words: {words}"
        )
    said: dict[str, Any] = json.loads(lines[-1])
    if "refused" in said:
        raise EngineRefused(one_line(said["refused"]))
    return said
