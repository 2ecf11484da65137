"""Where a test's snapshot lies and what syrupy does with it: the extension. Imports syrupy."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any
from typing import ClassVar
from typing import Final

from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.location import PyTestLocation

from pytest_quantcheck.files import write_atomically
from pytest_quantcheck.options import SNAPSHOTS
from pytest_quantcheck.recording import written

_MOST_LETTERS: Final = 100
_PLAIN_NAME: Final = re.compile(rf"[a-z0-9_.=\[\]-]{{1,{_MOST_LETTERS}}}")
_OTHER_LETTERS: Final = re.compile(r"[^A-Za-z0-9_.=\[\]-]+")
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


def file_name(test: str) -> str:
    """A name for a test's file, without the ending, that every file system takes and keeps apart from others.

    A name with capital letters, other letters than ASCII's, separators or more than 100 characters has a digest at its
    end: file systems fold case, compose accents and cut.
    """
    name = _OTHER_LETTERS.sub("-", test)[:_MOST_LETTERS]
    if not name or name.startswith(".") or _RESERVED.match(name):
        name = f"_{name}"
    if name == test and _PLAIN_NAME.fullmatch(test):
        return name
    return f"{name}.{hashlib.blake2b(test.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"


class Location(PyTestLocation):
    """A test's place; its file need not be called exactly as the test."""

    def matches_snapshot_name(self, snapshot_name: str) -> bool:
        """It is its own, whatever it is called."""
        return True

    def matches_snapshot_location(self, snapshot_location: str) -> bool:
        """It lies where it is written."""
        return True


class QuantSnapshots(JSONSnapshotExtension):
    """One JSON file a test, in a folder of their own: ``FOLDER/path/of/test_module/test_name.json``.

    syrupy makes the objects and calls the class methods, on xdist's controller without a config, so what one run's
    folder is stands on the class, as syrupy's own ``snapshot_dirname`` does.
    """

    snapshot_dirname: str | Path = SNAPSHOTS
    single_tests: ClassVar[bool] = False
    """Whether the command picks tests by name: then nobody can tell what is left over."""

    def __init__(self) -> None:
        self.accepted: bool | None = None
        """The verdict; None compares the texts."""

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: Any = 0) -> str:
        """The name of the test's file."""
        return file_name(test_location.snapshot_name)

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """The folder of the test's module, as it lies below pytest's rootdir."""
        module = Path(test_location.nodeid.partition("::")[0])
        parts = ["_up" if part == ".." else part for part in module.parent.parts if part != module.anchor]
        return str(Path(cls.snapshot_dirname).joinpath(*parts, test_location.basename))

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        """Whether this is the test's file."""
        return Path(snapshot_location) == Path(cls.get_location(test_location=test_location, index=0))

    def owns_snapshot_collection(self, *, filepath: str, test_location: PyTestLocation) -> bool:
        """Whether a file may be called left over when this test's module is looked at.

        It lies in the module's folder, or in that of a module that is gone. A module that exists and was not collected
        keeps its snapshots.
        """
        mine = Path(self.dirname(test_location=test_location))
        folder = Path(filepath).parent
        if self.single_tests or folder.parent != mine.parent or not filepath.endswith(".json"):
            return False
        return folder == mine or not Path(test_location.filepath).with_name(f"{folder.name}.py").exists()

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, session_id: str
    ) -> str | None:
        """The text of the file, None without one; what is no text can still be replaced."""
        try:
            return Path(snapshot_location).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def serialize(self, data: Any, **_: Any) -> str:
        """The text of the file."""
        return written(data)

    def matches(self, *, serialized_data: Any, snapshot_data: Any) -> bool:
        """What the verdict says; the same text while recording."""
        return bool(serialized_data == snapshot_data) if self.accepted is None else self.accepted

    @classmethod
    def write_snapshot_collection(cls, *, snapshot_collection: Any, **_: Any) -> None:
        """Write one file, whole or not at all."""
        write_atomically(Path(snapshot_collection.location), next(iter(snapshot_collection)).data)
