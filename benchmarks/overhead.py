"""What the plugin adds to pytest's own time and memory: scripted pairs beside as many empty tests.

``python -m benchmarks.overhead`` runs pytest with and without the plugin in turn, each in a process of its own, and
exits with 1 when the plugin costs more than it may; ``--write`` puts the table into its page.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docs.blocks import replaced

LIMIT: Final = 2.0
"""Most that a run may cost, in runs of plain pytest with as many empty tests."""
ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "explanation" / "overhead.md"
BEGIN, END = "<!-- overhead -->", "<!-- /overhead -->"
_SIZES: Final = (1000, 2500, 5000, 10_000)
_CONFTEST: Final = """
from pytest_quantcheck import ScriptedEngine

def pytest_quantcheck_engine(role, source):
    return ScriptedEngine(lambda prompt: "yes", name=source)
"""
_SUITES: Final = {
    "ours": """
import pytest

@pytest.mark.parametrize("number", range({pairs}))
def test_pair(quant, number):
    assert quant.chat(f"Question {{number}}?").text == "yes"
""",
    "bare": """
import pytest

@pytest.mark.parametrize("number", range(2 * {pairs}))
def test_nothing(number):
    pass
""",
}
_COMMON: Final = ("-q", "-p", "no:randomly", "-p", "no:cacheprovider")
_ARGUMENTS: Final = {
    "ours": ("--quant-model=new", "--quant-baseline=old"),
    "bare": ("--noconftest", "-p", "no:quantcheck"),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds of a run, its own and the system's, and the most memory that it held, in bytes."""

    seconds: float
    memory: int


def cost(who: str, pairs: int, folder: Path, *more: str) -> Cost:
    """What one pytest run takes. Processor time: that of the clock counts whatever else the machine does."""
    here = folder / f"{who}-{pairs}"
    here.mkdir(exist_ok=True)
    (here / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
    (here / "test_it.py").write_text(_SUITES[who].format(pairs=pairs), encoding="utf-8")
    # as installed: with compiled modules, which the first run leaves in the folder
    left = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**left, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    command = [sys.executable, "-m", "pytest", *_COMMON, *_ARGUMENTS[who], *more]
    process = subprocess.Popen(command, cwd=here, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or f"{2 * pairs if who == 'bare' else pairs} passed" not in said:
        raise SystemExit(f"the {who} run of {pairs} pairs went wrong:\n{said[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def measured(pairs: int, rounds: int, folder: Path) -> dict[str, list[Cost]]:
    """Both runs in turn, the order turned round each time."""
    found: dict[str, list[Cost]] = {who: [] for who in _SUITES}
    for number in range(rounds):
        for who in list(found)[:: -1 if number % 2 else 1]:
            found[who].append(cost(who, pairs, folder))
    return found


def ratios(found: dict[str, list[Cost]]) -> list[float]:
    """Round by round, what ours took over what the other took."""
    return [ours.seconds / bare.seconds for ours, bare in zip(found["ours"], found["bare"], strict=True)]


def table(found: dict[int, dict[str, list[Cost]]]) -> str:
    """One line a size."""
    lines = [
        "| pairs | empty tests | bare pytest | with the plugin | ratio (lowest to highest) | memory, bare | memory |"
    ]
    lines += ["|---:|---:|---:|---:|---:|---:|---:|"]
    for pairs, costs in found.items():
        seconds = {who: statistics.median(one.seconds for one in runs) for who, runs in costs.items()}
        memory = {who: max(one.memory for one in runs) / 1e6 for who, runs in costs.items()}
        times = ratios(costs)
        lines.append(
            f"| {pairs:,} | {2 * pairs:,} | {seconds['bare']:.1f} s | {seconds['ours']:.1f} s "
            f"| {statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f}) "
            f"| {memory['bare']:.0f} MB | {memory['ours']:.0f} MB |"
        )
    if len(found) > 1:
        each = {who: _bytes_each([(pairs, costs[who]) for pairs, costs in found.items()]) for who in _SUITES}
        lines += ["", f"A pair takes {each['ours'] / 1e3:.1f} kB, two empty tests {each['bare'] / 1e3:.1f} kB."]
    return "\n".join(lines)


def _bytes_each(sizes: Sequence[tuple[int, Sequence[Cost]]]) -> float:
    """The slope of memory over pairs, by least squares."""
    return statistics.linear_regression(
        [pairs for pairs, _ in sizes], [max(one.memory for one in costs) for _, costs in sizes]
    ).slope


def main() -> int:
    """Measure, print, judge the largest size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, help="one size instead of four")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured(1, 1, Path(folder))
        sizes = [given.pairs] if given.pairs else _SIZES
        found = {pairs: measured(pairs, given.rounds, Path(folder)) for pairs in sizes}
    text = table(found)
    print(text)
    if given.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), BEGIN, END, text), encoding="utf-8")
    return int(statistics.median(ratios(found[sizes[-1]])) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
