"""What tests of the bundled tiny suite share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

SUITE = Path(__file__).parents[2] / "example_suites" / "tiny"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Imports a module of the suite by its name, which is forgotten again: other suites have such names too."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(SUITE))
    yield import_module
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("tasks", "generators", "training", "toolbox", "words"):
            del sys.modules[name]
