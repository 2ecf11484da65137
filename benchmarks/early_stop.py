"""What ending answers early saves on the tiny suite, and whether it changes a score.

The suite's tests that carry ``quant_early_stop`` are run on its models and on the self-test's damaged one, as they are
and without the marker. Fails when a score of a check differs, or when a test is lost with the marker only::

    python -m benchmarks.early_stop [--write]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

import pytest

from docs.blocks import replaced
from pytest_quantcheck.markers import ANSWER
from pytest_quantcheck.markers import ASSERTIONS

SUITE: Final = Path(__file__).parents[1] / "example_suites" / "tiny"
PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "early-stop.md"
BEGIN: Final = "<!-- saved: made by python -m benchmarks.early_stop --write -->"
END: Final = "<!-- end of saved -->"
MARKER: Final = "quant_early_stop"
_F16, _PTQ, _QAT = "tiny-f16.gguf", "tiny-q4_0.gguf", "tiny-qat-q4_0.gguf"
_RUNS: Final = ((_F16, _PTQ, ""), (_PTQ, _QAT, ""), (_F16, _F16, "noise"))
"""Baseline, candidate, and how the self-test spoils the candidate."""


class Marked:
    """Plugin object: keeps the tests that carry the marker, and takes it off them if asked."""

    def __init__(self, *, taken_off: bool) -> None:
        self._taken_off = taken_off
        self._others: list[pytest.Item] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Nobody has looked at the item's markers yet."""
        if item.get_closest_marker(MARKER) is None:
            self._others.append(item)
        elif self._taken_off:
            item.own_markers[:] = [mark for mark in item.own_markers if mark.name != MARKER]

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave the others out."""
        config.hook.pytest_deselected(items=self._others)
        items[:] = [item for item in items if item not in self._others]


@dataclass(frozen=True)
class Row:
    """One model: the same questions asked to the end, and with answers that may end early."""

    file: str
    answers: int
    early: int
    whole_tokens: int
    tokens: int
    bound: int
    """Tokens that can have been saved at most, as the summary of the run says."""
    other_scores: int
    other_statuses: int


def ask(baseline: str, candidate: str, spoilt: str, *, marked: bool) -> dict[str, Any]:
    """Every test that carries the marker, by name: its pair in the report."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        report = Path(folder) / "report.json"
        given = [
            *(str(SUITE), "--rootdir", str(SUITE), "-c", "/dev/null", "-p", "no:cacheprovider", "-p", "no:randomly"),
            *("--tb=no", "--quant-cache=off", f"--quant-report={report}"),
            *(f"--quant-model={SUITE / 'models' / candidate}", f"--quant-baseline={SUITE / 'models' / baseline}"),
            *([f"--quant-sabotage={spoilt}"] if spoilt else []),
        ]
        pytest.main(given, plugins=[Marked(taken_off=not marked)])
        return {pair["pair"]: pair for pair in json.loads(report.read_text(encoding="ascii"))["pairs"]}


def row(file: str, whole: list[dict[str, Any]], early: list[dict[str, Any]]) -> Row:
    """One side of a comparison; the observations stand in the same order."""
    sides = [[reply for seen in side for reply in seen["replies"]] for side in (whole, early)]
    pairs = list(zip(whole, early, strict=True))
    tokens = [sum(reply["usage"]["total"] for reply in side) for side in sides]
    ended = [reply for reply in sides[1] if reply["finish"] == "early"]
    return Row(
        file,
        answers=len(sides[1]),
        early=len(ended),
        whole_tokens=tokens[0],
        tokens=tokens[1],
        bound=sum(reply["spared"] for reply in ended),
        other_scores=sum(checks(a) != checks(b) for a, b in pairs),
        other_statuses=sum(a["status"] != b["status"] for a, b in pairs),
    )


def checks(seen: dict[str, Any]) -> dict[str, float]:
    """What the marker checks say."""
    return {one["check"]: one["value"] for one in seen["scores"] if one["check"] not in (ANSWER, ASSERTIONS)}


def measured() -> tuple[list[Row], list[str]]:
    """A row for each side of each comparison, and the tests that are lost with the marker only."""
    rows, worse = [], []
    for baseline, candidate, spoilt in _RUNS:
        whole, early = (ask(baseline, candidate, spoilt, marked=marked) for marked in (False, True))
        assert whole.keys() == early.keys()
        for role, file in (
            ("baseline", baseline),
            ("candidate", f"{candidate} with {spoilt}" if spoilt else candidate),
        ):
            rows.append(row(file, *([pair[role] for pair in side.values()] for side in (whole, early))))
        lost = {name for name, pair in early.items() if pair["verdict"]["word"] == "regressed"}
        worse += sorted(lost - {name for name, pair in whole.items() if pair["verdict"]["word"] == "regressed"})
    return list({row.file: row for row in rows}.values()), worse


def table(rows: list[Row]) -> str:
    """Markdown."""
    header = ("model", "answers", "ended early", "tokens, whole", "tokens, ended early", "saved", "at most")
    lines = [" | ".join(["", *header, "other scores", "other statuses", ""]).strip(), "|---" * 9 + "|"]
    for one in rows:
        saved = 1 - one.tokens / one.whole_tokens
        lines.append(
            f"| {one.file} | {one.answers} | {one.early} | {one.whole_tokens} | {one.tokens} | {100 * saved:.1f} % | "
            f"{one.bound} | {one.other_scores} | {one.other_statuses} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description="What ending answers early saves on the tiny suite")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    given = parser.parse_args()
    rows, worse = measured()
    made = table(rows)
    print(made)
    if given.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), BEGIN, END, made), encoding="utf-8")
    for test in worse:
        print(f"lost with {MARKER} only: {test}", file=sys.stderr)
    return int(bool(worse) or any(one.other_scores for one in rows))


if __name__ == "__main__":
    sys.exit(main())
