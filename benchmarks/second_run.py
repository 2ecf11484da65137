"""What a second run costs: the same suite twice with one cache, the second time without loading a model.

    python -m benchmarks.second_run [--questions 80] [--write]

Two suites, each in a process of its own. *Real answers*: example_suites/tiny on its bundled models without the tests of
speed and memory, which always measure; these models answer in hundredths of a second, so most of either run is pytest's
own start. *Real cost*: two files of 57 million random weights (benchmarks/speed_vs_llama_bench.py), which generate,
choose and score a text as slowly as models of that size do, for a minute or more. Ends with exit status 1 when a second
run loads a model, when its report differs from the first in more than times and in what was kept, or when the suite of
a minute is not ten times as fast. ``--write`` puts the table into docs/explanation/cache.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

from docs.blocks import replaced

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "explanation" / "cache.md"
BEGIN: Final = "<!-- second run: made by python -m benchmarks.second_run --write -->\n"
END: Final = "<!-- end of second run -->\n"
LEAST_FIRST_S: Final = 60.0
LEAST_RATIO: Final = 10.0
_TIMES: Final = {"timings", "cached", "use"}
"""Keys of a report that say how an answer came about and not what it is."""
_SUITE: Final = """
import pytest

@pytest.mark.quant_sample(family="words")
@pytest.mark.parametrize("number", range({questions}))
def test_words(quant, number):
    text = quant.complete(f"question {{number}} of many. the answer is", max_tokens=64).text
    assert "a" in text

@pytest.mark.quant_sample(family="choices")
@pytest.mark.parametrize("number", range({questions} // 4))
def test_choice(quant, number):
    best = quant.choose_text(f"question {{number}}. answer:", [" yes", " no", " maybe"]).best
    assert best == 0

@pytest.mark.quant_fidelity
def test_text(quant):
    quant.fidelity("once upon a time there was a fox. it lived in a wood. " * 200, window=256)
"""


@dataclass(frozen=True, slots=True)
class Line:
    """Both runs of one suite: seconds, loads of all models, answers from the cache."""

    suite: str
    seconds: tuple[float, float]
    loads: tuple[int, int]
    kept: tuple[int, int]
    differences: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """How many times as fast the second run is."""
        return self.seconds[0] / self.seconds[1]


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """The places at which two reports differ in anything but times and what was kept."""
    if isinstance(first, dict) and isinstance(second, dict):
        keys = [key for key in {**first, **second} if key not in _TIMES]
        return [
            found
            for key in keys
            for found in differences(first.get(key), second.get(key), f"{where}/{key}".lstrip("/"))
        ]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        pairs = enumerate(zip(first, second, strict=True))
        return [found for number, (a, b) in pairs for found in differences(a, b, f"{where}/{number}")]
    return [] if first == second else [where]


def measured(name: str, folder: Path, *args: str) -> Line:
    """Run the suite of a folder twice with one empty cache."""
    seconds: list[float] = []
    reports: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as kept:
        path = Path(kept) / "report.json"
        options = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={folder}"]
        options += [f"--quant-cache={kept}/answers", f"--quant-reference-store={kept}/stores", f"--quant-report={path}"]
        for _ in range(2):
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "pytest", str(folder), *options, *args],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            seconds.append(time.perf_counter() - start)
            if done.returncode not in (0, 1):
                raise SystemExit(f"{name}: pytest ended with {done.returncode}\n{done.stdout}{done.stderr}")
            reports.append(json.loads(path.read_text(encoding="utf-8")))
            path.unlink()
    use = [[role["use"] for role in report["roles"].values() if role["use"]] for report in reports]
    loads, answers = ([sum(one[what] for one in run) for run in use] for what in ("loads", "cached"))
    return Line(
        name,
        (seconds[0], seconds[1]),
        (loads[0], loads[1]),
        (answers[0], answers[1]),
        tuple(differences(reports[0], reports[1])),
    )


def table(lines: list[Line]) -> str:
    """The Markdown table of all suites."""
    head = "| suite | first run | second run | times as fast | models loaded | answers from the cache | reports |\n"
    rows = "".join(
        f"| {line.suite} | {line.seconds[0]:.1f} s | {line.seconds[1]:.1f} s | {line.ratio:.1f} "
        f"| {line.loads[0]}, then {line.loads[1]} | {line.kept[0]}, then {line.kept[1]} "
        f"| {'differ' if line.differences else 'the same'} |\n"
        for line in lines
    )
    return f"{head}|---|---:|---:|---:|---|---|---|\n{rows}"


def faults(lines: list[Line]) -> list[str]:
    """What is not as it should be, one line each; the last suite is the one of a minute."""
    said = [f"{line.suite}: the second run loaded {line.loads[1]} times" for line in lines if line.loads[1]]
    said += [
        f"{line.suite}: the reports differ in {', '.join(line.differences[:9])}" for line in lines if line.differences
    ]
    long = lines[-1]
    if long.seconds[0] < LEAST_FIRST_S:
        said.append(f"{long.suite}: {long.seconds[0]:.0f} s are no minute; ask more with --questions")
    if long.ratio < LEAST_RATIO:
        said.append(f"{long.suite}: {long.ratio:.1f} times as fast, {LEAST_RATIO:g} are wanted")
    return said


def main() -> int:
    """Measure, print, and write if asked."""
    from benchmarks.speed_vs_llama_bench import write_model  # with llama.cpp, which tests of this module do not need

    parser = argparse.ArgumentParser(description="What a second run costs")
    parser.add_argument("--questions", type=int, default=80, help="of the suite of random weights")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    given = parser.parse_args()
    tiny = ROOT / "example_suites" / "tiny"
    models = tiny / "models"
    lines = [
        measured(
            "example_suites/tiny, bundled models",
            tiny,
            *("-m", "not quant_speed and not quant_memory"),
            f"--quant-model={models / 'tiny-qat-q4_0.gguf'}",
            f"--quant-baseline={models / 'tiny-q4_0.gguf'}",
            f"--quant-reference={models / 'tiny-f16.gguf'}",
        )
    ]
    with tempfile.TemporaryDirectory() as made:
        for kind in ("Q8_0", "Q4_0"):
            write_model(Path(made) / f"{kind}.gguf", kind)
        (Path(made) / "test_it.py").write_text(_SUITE.format(questions=given.questions), encoding="utf-8")
        files = (f"--quant-model={made}/Q4_0.gguf", f"--quant-baseline={made}/Q8_0.gguf")
        lines.append(measured(f"{given.questions} questions of 64 tokens, 57 million weights", Path(made), *files))
    made_table = table(lines)
    print(made_table)
    if given.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), BEGIN, END, made_table), encoding="utf-8")
    said = faults(lines)
    print("\n".join(said), file=sys.stderr, end="\n" * bool(said))
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
