"""Estimates of memory against llama.cpp's own account, for the bundled models and for architectures made on the spot.

    python -m benchmarks.memory_account [--write]

Exit status 1 when a sum is off by more than 3 %. ``--write`` puts the table into docs/explanation/memory.md. The models
are those of tests/memory_ggufs.py; figures of weights depend on the processor, which lays some types out anew.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from docs.blocks import replaced
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.sizes import size
from tests.memory_ggufs import Case
from tests.real.loads import accounts

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "memory.md"
BEGIN: Final = "<!-- account: made by python -m benchmarks.memory_account --write -->\n"
END: Final = "<!-- account: end -->\n"
MOST: Final = 0.03


def table(found: dict[Case, Memory]) -> str:
    """One row a case: each part as 'estimate / reported'."""
    lines = ["| model | context, KV type | weights | KV | compute | sum | off by |", "|---|---|---|---|---|---|---|"]
    for (name, _, kv_type), memory in found.items():
        assert memory.measured is not None
        pairs = [(getattr(memory.estimate, part), getattr(memory.measured, part)) for part in _PARTS]
        cells = [" / ".join(dict.fromkeys(map(size, pair))) for pair in pairs]
        lines.append(f"| {name} | {memory.context}, {kv_type} | {' | '.join(cells)} | {100 * _off(memory):.2f} % |")
    return "\n".join(lines) + "\n"


_PARTS: Final = ("weights", "kv", "compute", "total")


def _off(memory: Memory) -> float:
    assert memory.measured is not None
    return abs(memory.estimate.total / memory.measured.total - 1)


def main() -> int:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = accounts(Path(folder))
    made = table(found)
    print(made)
    if given.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), BEGIN, END, made), encoding="utf-8")
    return int(max(map(_off, found.values())) > MOST)


if __name__ == "__main__":
    raise SystemExit(main())
