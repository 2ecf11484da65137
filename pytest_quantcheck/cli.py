"""The console script ``quantcheck``: what a GGUF file is, before anybody loads it."""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_quantcheck import cli_cache
from pytest_quantcheck import cli_doctor
from pytest_quantcheck import cli_memory
from pytest_quantcheck.card_text import card_rows
from pytest_quantcheck.card_text import layout
from pytest_quantcheck.companions import Projector
from pytest_quantcheck.companions import Unknown
from pytest_quantcheck.companions import fits_drafter
from pytest_quantcheck.companions import fits_projector
from pytest_quantcheck.companions import is_drafter
from pytest_quantcheck.companions import read_projector
from pytest_quantcheck.gguf_card import GgufError
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.records import Payload
from pytest_quantcheck.renderings import Renderings
from pytest_quantcheck.renderings import render_probes
from pytest_quantcheck.sizes import size
from pytest_quantcheck.text import one_line

VERSION = 1
"""Of the JSON output."""


@dataclass(frozen=True, slots=True)
class _Fit:
    companion: str
    model: str
    why_not: str


@dataclass(slots=True)
class _Read:
    """All files that were given."""

    models: list[ModelCard]
    drafters: list[ModelCard]
    projectors: list[Projector]

    def fits(self) -> list[_Fit]:
        found = [_Fit(p.path, m.path, fits_projector(m, p)) for p in self.projectors for m in self.models]
        return found + [_Fit(d.path, m.path, fits_drafter(m, d)) for d in self.drafters for m in self.models]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``quantcheck`` with these arguments; the exit status.

    0: all files are sound, and what was given beside a model fits it; 1: not so; 2: the arguments make no sense.
    """
    given = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # tokens hold letters that not every terminal has
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status: int = given.run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read it has seen enough; Python must not find the same error again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def parser() -> argparse.ArgumentParser:
    """What the command line may say; docs/reference/commands.md is made from it."""
    program = argparse.ArgumentParser(
        prog="quantcheck", description="What GGUF files are and what memory they take, and what a server can do."
    )
    commands = program.add_subparsers(title="commands", metavar="COMMAND", required=True)
    card = commands.add_parser(
        "card",
        help="show what model files are; several side by side",
        description="Shows what model files are: weights, types, bytes read per token, tokenizer, chat template and "
        "what it makes of a few conversations. Several models stand side by side, with what differs marked. A "
        "projector (mmproj) or a drafter beside a model: whether it fits. Of a split model give any part.",
        epilog="Exit status: 0 all is well; 1 a file cannot be read, or does not fit its model; 2 wrong arguments.",
    )
    card.add_argument("files", nargs="+", metavar="FILE", help="GGUF file")
    card.add_argument(
        "--drafter",
        action="append",
        default=[],
        metavar="FILE",
        help="an ordinary small model that shall draft for the others (may be repeated)",
    )
    card.add_argument("--json", action="store_true", help="print JSON instead of a table")
    card.set_defaults(run=_card)
    cli_memory.add_command(commands)
    cli_cache.add_command(commands)
    cli_doctor.add_command(commands)
    return program


def _card(given: argparse.Namespace) -> int:
    read = _read(given.files, given.drafter)
    if read is None:
        return 1
    cards = [*read.models, *read.drafters]
    renderings = render_probes(cards)
    try:
        fits = read.fits()
    except GgufError as error:
        print(f"quantcheck: a model file {error}", file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps(_payload(read, dict(zip(map(id, cards), renderings, strict=True)), fits), indent=2))
    else:
        for line in _lines(read, cards, renderings, fits):
            print(line)
    return 1 if any(fit.why_not for fit in fits) else 0


def _read(files: Sequence[str], drafters: Sequence[str]) -> _Read | None:
    """All files; None after a line on standard error for each that cannot be read."""
    read, sound = _Read([], [], []), True
    for path in [*files, *drafters]:
        try:
            projector = read_projector(path)
            if projector is not None:
                read.projectors.append(projector)
                continue
            card = read_card(path)
        except GgufError as error:
            print(f"quantcheck: {one_line(path)}: {error}", file=sys.stderr)
            sound = False
            continue
        (read.drafters if is_drafter(card) or path in drafters else read.models).append(card)
    return read if sound else None


def _lines(
    read: _Read, cards: Sequence[ModelCard], renderings: Sequence[Renderings], fits: Sequence[_Fit]
) -> list[str]:
    lines: list[str] = []
    if cards:
        columns = {
            name: card_rows(card, rendered)
            for name, card, rendered in zip(_names(cards), cards, renderings, strict=True)
        }
        lines += layout(columns, shutil.get_terminal_size((120, 24)).columns)
    for projector in read.projectors:
        takes = " and ".join(projector.takes) or "something"
        width = f"embeddings of {projector.width} numbers" if projector.width else "embeddings of unknown width"
        kind = f", {projector.kind}" if projector.kind else ""
        lines += ["", f"{_shown(projector.path)} is a projector (mmproj{kind}, {size(projector.file_bytes)}):"]
        lines += [f"  it turns {takes} into {width}."]
    for drafter in read.drafters:
        lines += ["", f"{_shown(drafter.path)} is a drafter ({one_line(drafter.architecture)})."]
    for fit in fits:
        lines += ["", _fit_words(fit)]
    return lines[1:] if lines and not lines[0] else lines


def _fit_words(fit: _Fit) -> str:
    if not fit.why_not:
        return f"{_shown(fit.companion)} fits {_shown(fit.model)}."
    return f"{'CANNOT TELL' if isinstance(fit.why_not, Unknown) else 'DOES NOT FIT'}: {fit.why_not}"


def _shown(path: str) -> str:
    return one_line(Path(path).name, 120)


def _names(cards: Sequence[ModelCard]) -> list[str]:
    """What to call the files: their names, with the folders in which they differ, at last with numbers."""
    paths = [Path(card.path).absolute() for card in cards]
    if len({path.name for path in paths}) < len(paths) and len({path.anchor for path in paths}) == 1:
        common = os.path.commonpath([path.parent for path in paths])
        names = [one_line(str(path.relative_to(common)), 120) for path in paths]
    else:
        names = [_shown(card.path) for card in cards]
    return [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, 1)]


def _payload(read: _Read, renderings: dict[int, Renderings], fits: Sequence[_Fit]) -> Payload:
    def model(card: ModelCard) -> Payload:
        return {
            "card": card.to_payload(),
            "bits_per_weight": card.bits_per_weight,
            "renderings": renderings[id(card)].to_payload(),
        }

    return {
        "version": VERSION,
        "models": [model(card) for card in read.models],
        "drafters": [model(card) for card in read.drafters],
        "projectors": [projector.to_payload() for projector in read.projectors],
        "fits": [{"companion": fit.companion, "model": fit.model, "why_not": fit.why_not} for fit in fits],
    }


if __name__ == "__main__":
    sys.exit(main())
