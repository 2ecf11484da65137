"""Writing and reading the records of a store, passage by passage. Runs inside the engine's own process only."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import IO
from typing import Any
from typing import Self

import numpy as np

from pytest_quantcheck.engines.kept import Floats
from pytest_quantcheck.engines.kept import Records
from pytest_quantcheck.engines.kept import kept_by
from pytest_quantcheck.fidelity_store import StoreError
from pytest_quantcheck.fidelity_store import StoreHeader
from pytest_quantcheck.fidelity_store import header_of


class _Places:
    """Where each passage goes on; passages that are read side by side are taken in turn."""

    def __init__(self, header: StoreHeader, start: int) -> None:
        self.left = [len(passage.scored) for passage in header.passages]
        self.crcs = [0] * len(self.left)
        self._bytes = header.record_bytes
        self._next = [start + self._bytes * sum(self.left[:number]) for number in range(len(self.left))]

    def take(self, passage: int, count: int) -> int:
        """The offset of the passage's next ``count`` records, which are its own."""
        assert count <= self.left[passage], "more positions than the header says"
        self.left[passage] -= count
        self._next[passage] += count * self._bytes
        return self._next[passage] - count * self._bytes


class StoreWriter:
    """A store in the making; it gets its name when the block ends well, and otherwise leaves nothing behind.

    :param header: what is to be kept; as many positions as it says must be added, those of a passage in their order.
    """

    def __init__(self, path: str | Path, header: StoreHeader) -> None:
        self._path = Path(path)
        self.kept = kept_by(header)
        self._beginning = header.encoded()
        self._bytes = len(self._beginning) + header.file_bytes
        self._places = _Places(header, len(self._beginning))

    def __enter__(self) -> Self:
        try:
            free = shutil.disk_usage(self._path.parent).free
            if free < self._bytes:
                raise StoreError(f"{self._path}: needs {self._bytes} bytes, the disk has {free} left")
            self._file, self._name = _unnamed(self._path)
        except OSError as error:
            raise self._failed(error) from None
        try:
            self._write(self._beginning)
        except OSError as error:
            self._discard()
            raise self._failed(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        except OSError as failure:
            raise self._failed(failure) from None
        finally:
            self._discard()

    def _finish(self) -> None:
        assert not any(self._places.left), "positions are missing"
        self._file.seek(0, os.SEEK_END)
        self._write(np.array(self._places.crcs, "<u4").tobytes())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._name = self._name or _named(self._file, self._path)
        self._file.close()  # Windows renames no open file
        os.replace(self._name, self._path)
        self._name = None

    def _discard(self) -> None:
        """Forget the file, whose last bytes may fail to be written once more."""
        with contextlib.suppress(OSError):
            self._file.close()
        if self._name is not None:
            with contextlib.suppress(OSError):
                self._name.unlink()

    def add(self, passage: int, records: Records) -> None:
        """The next positions of one passage, as ``kept`` packs them. StoreError when the disk is full."""
        data = records.tobytes()
        try:
            self._file.seek(self._places.take(passage, len(records)))
            self._write(data)
        except OSError as error:
            raise self._failed(error) from None
        self._places.crcs[passage] = zlib.crc32(data, self._places.crcs[passage])

    def _write(self, data: bytes) -> None:
        self._file.write(data)

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(f"{self._path}: cannot be written: {error.strerror or error}")


def _unnamed(path: Path) -> tuple[IO[bytes], Path | None]:
    """A file beside ``path``, without a name where the system can: killing this process then leaves nothing."""
    if hasattr(os, "O_TMPFILE"):
        with contextlib.suppress(OSError):
            return os.fdopen(os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o666), "wb"), None
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    return os.fdopen(descriptor, "wb"), Path(name)


def _named(file: IO[bytes], path: Path) -> Path:
    """Give the file a name of its own: a link cannot replace another file, a name can."""
    name = path.with_name(f".{path.name}.{os.getpid()}.part")
    with contextlib.suppress(FileNotFoundError):
        name.unlink()
    # as open(2) says of O_TMPFILE; with a folder's descriptor Python calls linkat, which alone follows the link
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.link(f"/proc/self/fd/{file.fileno()}", name, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
    return name


class StoreReader:
    """A reference's records in the order of its passages. StoreError for a file that is none or is damaged."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        try:
            self._file = open(path, "rb")  # noqa: SIM115  (closed by close)
        except OSError as error:
            raise self._cannot(error) from None
        try:
            self.header = header_of(self._file)
            self._kept = kept_by(self.header)
            self._sums = self._read_sums()
        except OSError as error:
            self.close()
            raise self._cannot(error) from None
        except StoreError as error:
            self.close()
            raise StoreError(f"{path}: {error}") from None
        self._places = _Places(self.header, self.header.start)

    def _cannot(self, error: OSError) -> StoreError:
        return StoreError(f"{self._path}: cannot be read: {error.strerror or error}")

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _read_sums(self) -> list[int]:
        if self.header.base:
            return []
        count = len(self.header.passages)
        self._file.seek(self.header.file_bytes - 4 * count)
        return [int(crc) for crc in np.frombuffer(self._file.read(4 * count), "<u4")]

    def read(self, passage: int, count: int) -> Records:
        """The records of the next positions of one passage."""
        size = count * self.header.record_bytes
        places = self._places
        try:
            self._file.seek(places.take(passage, count))
            data = self._file.read(size)
        except OSError as error:
            raise self._cannot(error) from None
        places.crcs[passage] = zlib.crc32(data, places.crcs[passage])
        ended = self._sums and not places.left[passage]
        if len(data) != size or (ended and self._sums[passage] != places.crcs[passage]):
            raise StoreError(f"{self._path}: is damaged: its records are not what was written")
        records: Records = np.frombuffer(data, self._kept.dtype)
        return records

    def compare(self, records: Records, logs: Floats) -> dict[str, Any]:
        """These positions beside another model's log-probabilities, by the name of the figure; for any thread."""
        try:
            with np.errstate(all="ignore"):  # whoever wrote the file may have written any number
                found = self._kept.compare(records, logs)
        except StoreError as error:
            raise StoreError(f"{self._path}: {error}") from None
        figures = [found.kl, found.covered, *([] if found.nll is None else [found.nll])]
        if not all(np.isfinite(column).all() for column in figures):
            raise StoreError(f"{self._path}: is damaged: it holds numbers that are no log-probabilities")
        columns = {"kl": found.kl, "same_top": found.same_top, "covered": found.covered}
        return columns if found.nll is None else {**columns, "reference_nll": found.nll}
