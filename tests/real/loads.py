"""Loads models one after the other in one process and says what each took; the engine's own code, without its pipe.

Run as a program: ``python -m tests.real.loads`` reads a JSON list of [path, settings] and writes for each what
llama.cpp says beforehand, what was measured, and what the process holds after the model was given back.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.base import default_context
from pytest_quantcheck.engines.sizing import assembled
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.memory import Memory
from tests.memory_ggufs import CASES
from tests.memory_ggufs import MAKERS
from tests.memory_ggufs import Case

ROOT = Path(__file__).parents[2]


def loads(asked: Sequence[tuple[Path, LoadSettings]], *, sizes: bool = True) -> list[dict[str, Any]]:
    """One answer a load: 'said', 'memory' and 'resident', bytes after the release."""
    request = {"loads": [[str(path), settings.to_payload()] for path, settings in asked], "sizes": sizes}
    command = [sys.executable, "-m", "tests.real.loads"]
    done = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def accounts(folder: Path) -> dict[Case, Memory]:
    """The estimate of every case and what llama.cpp reported; the models are made in ``folder``."""
    bundled = ROOT / "example_suites" / "tiny" / "models"
    paths = {name: make(folder / f"{name}.gguf") for name, make in MAKERS.items()}
    asked = [
        (paths.get(name) or bundled / f"{name}.gguf", LoadSettings(context, kv_type=kv_type))
        for name, context, kv_type in CASES
    ]
    found = {}
    for case, (path, settings), answer in zip(CASES, asked, loads(asked), strict=True):
        card = read_card(path)
        settings = replace(settings, context=settings.context or default_context(card.context_length))
        expected = assembled(card, settings, MemoryRequest(), answer["said"])
        found[case] = Memory.from_payload(expected.to_payload() | answer["memory"])
    return found


def _load(path: str, settings: dict[str, Any], sizes: bool) -> dict[str, Any]:
    from pytest_quantcheck.engines import sizing_child
    from pytest_quantcheck.engines.llama import LlamaModel
    from pytest_quantcheck.engines.memory import resident_memory

    found: dict[str, Any] = {}
    if sizes:
        found["said"] = sizing_child.answer({"path": path, "settings": settings, "budget": None})
    model = LlamaModel(path, LoadSettings.from_payload(settings), lambda *_: None)
    found["memory"] = model.memory()
    model.close()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)  # the allocator keeps what was given back for a while
    return found | {"resident": resident_memory()}


if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    given = json.load(sys.stdin)
    print(
        json.dumps([_load(path, settings, given["sizes"]) for path, settings in given["loads"]]), file=out, flush=True
    )
