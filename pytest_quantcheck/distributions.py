"""A reference's log-probabilities beside the snapshots: later runs measure fidelity without the reference's file.

They are the stores of fidelity_store.py under names that a pull request can show.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Final

from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.fidelity_store import StoreError
from pytest_quantcheck.fidelity_store import StoreHeader
from pytest_quantcheck.fidelity_store import read_store_header
from pytest_quantcheck.fidelity_store import request_digest
from pytest_quantcheck.files import whole
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.recording import SnapshotError
from pytest_quantcheck.reference_files import SHOWN_NAME
from pytest_quantcheck.reference_files import STORE_ENDING
from pytest_quantcheck.reference_files import Reference
from pytest_quantcheck.reference_files import is_other_template
from pytest_quantcheck.reference_files import is_other_vocabulary
from pytest_quantcheck.sizes import size
from pytest_quantcheck.text import one_line
from pytest_quantcheck.text import plural

FOLDER: Final = "distributions"
"""Where they lie in the folder of the snapshots."""
_MOST_LETTERS: Final = 40
_OTHER_LETTERS: Final = re.compile(r"[^a-z0-9_]+")


class Distributions:
    """The folder of one run, in one process.

    :param shown: a path for people.
    :param promised: tells whether the recorded baseline was measured against a reference; asked once.
    """

    def __init__(self, folder: Path, shown: Callable[[Path], str], promised: Callable[[], bool]) -> None:
        self.folder = folder
        self._shown = shown
        self._promised = promised

    @cached_property
    def expected(self) -> bool:
        """Whether a run to which no reference is given measures against them.

        It does, too, where they are lost: to compare less than was recorded would be silence.
        """
        return bool(self._files()) or self._promised()

    def reference(self) -> Reference:
        """The folder as a reference; of stores that cannot be read the tests tell that ask for them."""
        models = []
        for path in self._files():
            try:
                models.append(one_line(read_store_header(path).reference, SHOWN_NAME))
            except StoreError:
                continue
        return Reference("reference", str(self.folder), "folder", models=tuple(dict.fromkeys(models)))

    def store(self, request: FidelityRequest, card: ModelCard, template: str | None) -> tuple[Path, StoreHeader]:
        """The store of this text and what it says of itself.

        :param card: of the file that is measured.
        :param template: what both sides are rendered with, None where each has its own.
        :raises SnapshotError: 'missing' without one, 'unreadable' for a damaged one, 'stale' where it is another's.
        """
        asked = request_digest(request)
        path = self._find(asked)
        if path is None:
            what = f"no log-probabilities of a reference are recorded for the text {request.name!r}"
            raise SnapshotError(f"{what} ({self._shown(self._place(request))})", "missing", asked)
        try:
            header = read_store_header(path)
        except StoreError as error:
            raise self.unreadable(path, error) from None
        if header.asked not in ("", asked):
            raise self.stale(path, "is of another text or window")
        if is_other_vocabulary(header, card):
            raise self.stale(path, f"was made with another vocabulary than {card.file_name} has")
        if is_other_template(header, request, template):
            raise self.stale(path, "was made with another chat template")
        return path, header

    def unreadable(self, path: Path, error: Exception) -> SnapshotError:
        """What is said of a damaged store."""
        return SnapshotError(f"{self._shown(path)}: {str(error).removeprefix(f'{path}: ')}")

    def stale(self, path: Path, why: str) -> SnapshotError:
        """What is said of a store that was made for something else."""
        return SnapshotError(f"{self._shown(path)} {why}", "stale")

    def keep(self, request: FidelityRequest, store: Path) -> None:
        """Record a copy of the text's store. SnapshotError when it cannot be written; the old one stays then."""
        path = self._find(request_digest(request)) or self._place(request)
        try:
            with whole(path) as part:
                shutil.copyfile(store, part)
        except OSError as error:
            raise SnapshotError(f"{self._shown(path)} could not be written: {error.strerror or error}") from None

    def tidy(self, asked: Collection[str]) -> int:
        """Remove the stores of other texts than these; how many that were. OSError when one cannot be removed."""
        unused = [path for path in self._files() if path.stem.rpartition("-")[2] not in asked]
        for path in unused:
            path.unlink()
        return len(unused)

    def told(self, removed: int) -> str:
        """What lies there, in words; empty when nothing does and nothing did."""
        files = self._files()
        said = []
        if files:
            models = ", ".join(self.reference().models)
            bytes_ = size(sum(path.stat().st_size for path in files))
            what = f"{self._shown(self.folder)} keeps log-probabilities of {models}"
            said.append(f"{what} for {plural(len(files), 'text')}: {bytes_} of binary files")
        if removed:
            said.append(f"removed {plural(removed, 'file')} of log-probabilities that no snapshot asks for")
        return "; ".join(said)

    def _place(self, request: FidelityRequest) -> Path:
        name = _OTHER_LETTERS.sub("-", request.name.lower())[:_MOST_LETTERS].strip("-") or "text"
        return self.folder / f"{name}-{request_digest(request)}{STORE_ENDING}"

    def _find(self, asked: str) -> Path | None:
        """Whatever the test calls its text."""
        return next((path for path in self._files() if path.stem.endswith(f"-{asked}")), None)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{STORE_ENDING}"))
