"""The process that asks llama.cpp beforehand: how its answer is put together, and every way in which it gives none."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.engines import sizing
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.gguf_card import KvLayers
from pytest_quantcheck.memory import Buffers
from tests.builders import card

CARD = replace(card(), architecture="llama", kv_layers=(KvLayers(4, 256, 256),), vocabulary=32000, context_length=4096)
SAID = Buffers(1000, 77, 500, 88, 100)


def said(size: Buffers = SAID) -> dict[str, Any]:
    return {"context": 4096, "size": size.to_payload(), "trained": 4096, "largest": 2048}


def test_the_header_tells_cache_and_logits_and_llama_cpp_the_rest() -> None:
    memory = sizing.assembled(CARD, LoadSettings(4096), MemoryRequest(budget=5), said())

    assert memory.estimate == Buffers(1000, 4 * 4096 * 1024, 500, 128000, 100)
    assert (memory.context, memory.largest_context, memory.trained_context, memory.notes) == (4096, 2048, 4096, ())


def test_what_the_header_leaves_open_is_llama_cpps_word() -> None:
    odd = replace(CARD, architecture="deepseek4", vocabulary=None)

    memory = sizing.assembled(odd, LoadSettings(4096), MemoryRequest(), said(replace(SAID, repacked=None)))

    assert (memory.estimate.kv, memory.estimate.output) == (77, 88)
    assert [note.partition(" ")[0] for note in memory.notes] == ["what", "llama.cpp"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ('print(\'{"refused": "no such type"}\')', ": no such type$"),
        ("import os; os.abort()", r"memory of x.gguf died \(SIGABRT\); its last words: none"),
        ("import nosuchmodule", r"died \(exit code 1\); its last words: .*No module named 'nosuchmodule'"),
        ("pass", r"died \(exit code 0\)"),
        ("import time; time.sleep(60)", "did not say within 0.5 s"),
    ],
)
def test_without_an_answer_the_header_stands_alone(code: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run

    def instead(_command: list[str], **how: Any) -> Any:
        return run([sys.executable, "-c", code], **how)

    if "sleep" in code:
        monkeypatch.setattr(sizing, "_PATIENCE", 0.5)
    monkeypatch.setattr(subprocess, "run", instead)

    memory = sizing.expected_memory(Path("x.gguf"), CARD, LoadSettings(), MemoryRequest(4000, 5))

    [note] = memory.notes
    assert re.search(words, note)
    assert note.startswith("by the header alone: ")
    assert "\n" not in note
    # what the header tells stands
    assert memory.estimate == Buffers(0, 4 * 4096 * 1024, None, 128000)
    assert (memory.context, memory.budget, memory.largest_context) == (4096, 5, None)


def test_what_is_asked_names_the_context_that_the_engine_would_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    def answer(_path: Path, settings: LoadSettings, _budget: int | None) -> dict[str, Any]:
        asked.append(settings.context)
        return said()

    monkeypatch.setattr(sizing, "_ask", answer)
    long = replace(CARD, context_length=131072)
    for one, settings, request in (
        (CARD, LoadSettings(), MemoryRequest()),
        (long, LoadSettings(), MemoryRequest()),
        (long, LoadSettings(100), MemoryRequest()),
        (long, LoadSettings(100), MemoryRequest(65536)),
    ):
        sizing.expected_memory(Path("x.gguf"), one, settings, request)

    assert asked == [4096, 32768, 100, 65536]
