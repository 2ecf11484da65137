"""How a file gets onto the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text: a full disk or a kill leaves the old file or the new one, never half of one.

    Folders are made; OSError when the file cannot be written.
    """
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write to; what stands there in the end takes the place of ``path`` at once.

    Folders are made. After an exception ``path`` is what it was, and nothing is left beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # two runs may write it at once
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
