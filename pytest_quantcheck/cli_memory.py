"""``quantcheck memory``: what models would take, before anybody loads them."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_quantcheck.checks.memory import largest_words
from pytest_quantcheck.engines.base import KV_TYPES
from pytest_quantcheck.engines.base import MOST_CONTEXT
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.sizing import expected_memory
from pytest_quantcheck.gguf_card import GgufError
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.gguf_parts import first_part
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.reports.terminal import table
from pytest_quantcheck.sizes import ALLOWED
from pytest_quantcheck.sizes import parse_size
from pytest_quantcheck.sizes import size
from pytest_quantcheck.text import one_line

VERSION = 1
"""Of the JSON output."""


def add_command(commands: Any) -> None:
    """Make the command known to the parser of ``quantcheck``."""
    memory = commands.add_parser(
        "memory",
        help="say what models would take in memory at a context, and which context fits",
        description="Says what models would take: weights, KV cache, compute and output buffers at one context, as "
        "llama.cpp would allocate them on this machine. Nothing of the weights is loaded; of a split model give any "
        "part.",
        epilog="Exit status: 0 all is well; 1 a file cannot be read, or takes more than the budget; 2 wrong arguments.",
    )
    memory.add_argument("files", nargs="+", metavar="FILE", help="GGUF file")
    memory.add_argument(
        "--context", type=_context, metavar="N", help="tokens of context (default: min(32768, what it was trained for))"
    )
    memory.add_argument(
        "--kv-type",
        choices=tuple(KV_TYPES),
        default="f16",
        metavar="TYPE",
        help=f"type of the KV cache (default f16): {', '.join(KV_TYPES)}",
    )
    memory.add_argument(
        "--gpu-layers", type=int, default=-1, metavar="N", help="layers on the graphics device (default: all)"
    )
    memory.add_argument(
        "--budget",
        type=size_argument,
        metavar="SIZE",
        help="'12 GB' or '11.5 GiB': whether each file fits, and the largest context that does",
    )
    memory.add_argument("--json", action="store_true", help="print JSON instead of a table")
    memory.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """The command; its exit status."""
    settings = LoadSettings(given.context, given.gpu_layers, given.kv_type)
    request = MemoryRequest(given.context, given.budget)
    found: list[tuple[str, Memory]] = []
    sound = True
    for path in given.files:
        try:
            card = read_card(path)
            found.append((path, expected_memory(first_part(Path(path).absolute()), card, settings, request)))
        except GgufError as error:
            print(f"quantcheck: {one_line(path)}: {error}", file=sys.stderr)
            sound = False
    if given.json:
        files = [{"file": path, "memory": memory.to_payload(), "fits": _fits(memory)} for path, memory in found]
        print(json.dumps({"version": VERSION, "files": files}, indent=2))
    else:
        for line in _lines(found):
            print(line)
    return 0 if sound and all(_fits(memory) is not False for _, memory in found) else 1


def _fits(memory: Memory) -> bool | None:
    """Whether it fits the budget; None without one, and where what is not known would decide."""
    if memory.budget is None:
        return None
    if memory.estimate.total > memory.budget:
        return False
    return None if memory.estimate.unknown else True


def _lines(found: Sequence[tuple[str, Memory]]) -> list[str]:
    if not found:
        return []
    header = ["", "context", "weights", "KV", "compute", "output", "sum"]
    lines = table(header, [_row(path, memory) for path, memory in found], left=1)
    said = []
    for path, memory in found:
        name = _name(path)
        if repacked := memory.estimate.repacked:
            said.append(f"{name}: {size(repacked)} of the weights are laid out anew for this processor.")
        if memory.budget is not None:
            word = {True: "fits", False: "DOES NOT FIT", None: "may fit"}[_fits(memory)]
            said.append(f"{name} {word} {size(memory.budget)}; {largest_words(memory)}.")
        said += [f"{name}: {note}." for note in memory.notes]
    width = shutil.get_terminal_size((120, 24)).columns
    return lines + [""] * bool(said) + [line for text in said for line in textwrap.wrap(text, width)]


def _row(path: str, memory: Memory) -> list[str]:
    parts = memory.estimate
    figures = [parts.weights, parts.kv, parts.compute, parts.output]
    total = f"{'>' if parts.unknown else ''}{size(parts.total)}"
    cells = ("-" if figure is None else size(figure) for figure in figures)
    return [_name(path), f"{memory.context} {memory.kv_type}", *cells, total]


def _name(path: str) -> str:
    return one_line(Path(path).name, 120)


def _context(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < len(text) < 10 or not 0 < int(text) <= MOST_CONTEXT:
        raise argparse.ArgumentTypeError(f"{one_line(text, 60)!r}; allowed: a whole number from 1 to {MOST_CONTEXT}")
    return int(text)


def size_argument(text: str) -> int:
    """Bytes from a command line."""
    try:
        return parse_size(int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{one_line(text, 60)!r}; allowed: {ALLOWED}") from None
