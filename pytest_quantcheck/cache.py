"""Values on disk by the digest of what they are the answer to: atomic, bounded, safe for many processes at once.

Deleting any of it loses only time, so nothing here raises: what cannot be read is not there, what cannot be written is
told once and left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_quantcheck.files import write_atomically
from pytest_quantcheck.record import Payload

FORMAT: Final = "1"
"""Of the entries and of the folder that they lie in; another version is another folder."""
FOLDER: Final = "quantcheck-answers"
"""Where answers are kept inside pytest's own cache folder."""
LIMIT: Final = 1 << 30
"""Bytes that the entries may take together; beyond them those go first that were not used for the longest time."""
_KEEP: Final = 0.9
"""Share of the limit that is left after pruning, so that not every run has to."""
_DIGEST_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Size:
    """How much a cache holds."""

    entries: int
    bytes: int


class Cache:
    """JSON objects under ``directory``, each in a file of its own.

    An entry is the digest of its text, then the text: one that was cut short, garbled or written by somebody else does
    not fit its digest and is not there. It is written beside its place and then moved there, so that a kill at any
    moment leaves the old entry, the new one or none.
    """

    def __init__(self, directory: Path, limit: int = LIMIT) -> None:
        self.directory = directory
        self.failure = ""
        """Why entries could not be written; the first reason."""
        self._limit = limit
        self._entries = directory / FORMAT

    def get(self, key: str) -> Payload | None:
        """What is kept under ``key`` (hexadecimal digits); None when there is nothing, or nothing sound."""
        path = self._path(key)
        try:
            text = path.read_text(encoding="ascii")
            digest, value = text[:_DIGEST_DIGITS], text[_DIGEST_DIGITS:]
            found = json.loads(value) if digest == _digest(value) else None
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(found, dict):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used last, so pruned last
        return found

    def put(self, key: str, value: Payload) -> None:
        """Keep ``value`` under ``key``; a full disk or a folder that is read only leaves everything as it was."""
        text = json.dumps(value)
        try:
            write_atomically(self._path(key), _digest(text) + text)
        except OSError as error:
            self.failure = self.failure or f"{self.directory}: {error.strerror or error}"

    def size(self) -> Size:
        """What all entries take."""
        sizes = [size for _, size, _ in self._files()]
        return Size(len(sizes), sum(sizes))

    def prune(self, limit: int | None = None) -> int:
        """Remove what was not used for the longest time until the rest fits; how many entries that were."""
        limit = self._limit if limit is None else limit
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        if total <= limit:
            return 0
        removed = 0
        for _, size, path in files:
            if total <= _KEEP * limit:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                removed += 1
            total -= size
        return removed

    def clear(self) -> int:
        """Remove all entries, those of other formats and killed runs included; how many of this format there were."""
        count = self.size().entries
        for folder in self.directory.glob("[0-9]*"):
            shutil.rmtree(folder, ignore_errors=True)
        return count

    def _path(self, key: str) -> Path:
        return self._entries / key[:2] / f"{key}.json"

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When it was last used, its size, its place."""
        for path in self._entries.glob("??/*"):
            with contextlib.suppress(OSError):  # another process may prune too
                found = path.stat()
                yield found.st_mtime, found.st_size, path


def key_of(*parts: object) -> str:
    """The key of what is wholly described by ``parts`` (JSON builtins; TypeError for anything else)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("ascii"), digest_size=_DIGEST_DIGITS // 2).hexdigest()
