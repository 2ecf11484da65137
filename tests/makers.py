"""The programs of docs/ that make pages out of the code."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any
from typing import Final

DOCS: Final = Path(__file__).parents[1] / "docs"


def maker(name: str) -> dict[str, Any]:
    """What a program defines; it finds its neighbours as it does when it is run."""
    sys.path.insert(0, str(DOCS))
    try:
        return runpy.run_path(str(DOCS / name))
    finally:
        sys.path.remove(str(DOCS))
