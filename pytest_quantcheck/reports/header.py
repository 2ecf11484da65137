"""What stands before the first test: who is compared, what both sides are held to, and what differs all the same."""

from __future__ import annotations

import os
import shutil

import pytest

from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.reports.differences import difference_lines
from pytest_quantcheck.reports.differences import held_lines
from pytest_quantcheck.reports.terminal import MAX_WIDTH
from pytest_quantcheck.reports.terminal import files
from pytest_quantcheck.reports.terminal import references_said
from pytest_quantcheck.reports.terminal import table
from pytest_quantcheck.settings import Settings

_HEAD = "quantcheck: "


def header(ledger: Ledger, width: int | None = None) -> list[str]:
    """The lines; ``width`` is that of the terminal unless given."""
    columns = min(width or shutil.get_terminal_size().columns, MAX_WIDTH) - len(_HEAD)
    rows = [
        [who, name, mix, bits if bits == "-" else f"{bits} bits/weight", size]
        for who, name, mix, bits, size in files(ledger)
    ]
    lines = table([""] * 5, rows, left=3)[1:]
    lines += held_lines(ledger.pins, ledger.conditions(), columns) + references_said(ledger)
    if ledger.sampling is not None:
        lines.append(f"{ledger.settings.samples} runs of every test, drawn with {ledger.sampling}")
    lines += [line for _, line in difference_lines(ledger.differences(), columns)]
    return [(" " * len(_HEAD) if number else _HEAD) + line for number, line in enumerate(lines)]


def snapshot_lines(config: pytest.Config, settings: Settings) -> list[str]:
    """What the run does with a recorded baseline."""
    if settings.snapshots is not None:
        does = "recording the baseline in" if settings.records else "baseline recorded in"
        return [f"{_HEAD}{does} {os.path.relpath(settings.snapshots, config.rootpath)}"]
    if getattr(config.option, "update_snapshots", False) and settings.baseline is not None:
        return [f"{_HEAD}a recorded baseline is left as it is: --quant-baseline gives a live one"]
    return []
