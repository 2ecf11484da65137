"""Projectors and drafters that lie beside a model and cannot serve it: found before somebody loads them in vain."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from pytest_quantcheck.companions import fits_drafter
from pytest_quantcheck.companions import fits_projector
from pytest_quantcheck.companions import read_projector
from pytest_quantcheck.gguf_card import GgufError
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.records import Role
from pytest_quantcheck.rows import Difference
from pytest_quantcheck.rows import difference

_MOST_FILES: Final = 8
_DRAFTERS: Final = ("draft", "mtp", "eagle")


def companion_differences(cards: Mapping[Role, ModelCard], *, named: Collection[str] = ()) -> list[Difference]:
    """One sentence for each model beside which projectors or drafters lie, none of which fits it.

    Where one fits, the others belong to other models in the same folder.

    :param named: rows, 'projector' or 'drafter', for which the user named a file: that is what counts.
    """
    found: dict[tuple[str, str], Difference] = {}
    for card in cards.values():
        path = Path(card.path)
        if path.is_file():
            for row, misfits in (("projector", _projectors(card, path)), ("drafter", _drafters(card, path))):
                sentences = list(misfits)
                if row not in named and sentences and all(sentences):
                    text = sentences[0].removesuffix(".")
                    found[row, text] = difference(row, text, informs=True)
    return list(found.values())


def _projectors(card: ModelCard, path: Path) -> Iterator[str]:
    for file in _beside(path, ("mmproj",)):
        try:
            projector = read_projector(file)
        except (GgufError, OSError):
            continue
        if projector is not None:
            yield fits_projector(card, projector)


def _drafters(card: ModelCard, path: Path) -> Iterator[str]:
    for file in _beside(path, _DRAFTERS):
        try:
            yield fits_drafter(card, read_card(file))
        except (GgufError, OSError):
            continue


def _beside(path: Path, words: tuple[str, ...]) -> Iterator[Path]:
    """GGUF files in the same folder whose names hold one of the words, a few at most."""
    try:
        files = sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".gguf" and file != path)
    except OSError:
        return iter(())
    return islice((file for file in files if any(word in file.name.lower() for word in words)), _MOST_FILES)
