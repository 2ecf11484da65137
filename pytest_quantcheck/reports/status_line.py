"""One line below the cursor of a terminal that comes and goes and leaves nothing behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from io import UnsupportedOperation
from typing import Final
from typing import TextIO

EVERY_S: Final = 0.25
"""Seconds between two looks at what there is to say."""

# ECMA-48 and the DEC private codes that every terminal since the VT100 knows. Down and up again (IND, RI) keep the
# column and make sure that there is a line below; the cursor is saved, so nobody has to know where it stands
_BELOW: Final = "\x1bD\x1bM\x1b7\x1b[B\r"
_NO_WRAP: Final = "\x1b[?7l"
_WRAP: Final = "\x1b[?7h"
_CLEAR: Final = "\x1b[J"
_BACK: Final = "\x1b8"


class StatusLine:
    """Writes below whatever ``file`` writes, and wipes that away before the next real word of ``file``.

    While pytest captures the standard output, nothing that is written to it reaches the terminal, so the line goes
    through a descriptor of its own. Made while nothing is captured.

    :param file: what the terminal's own writer writes to; its ``write`` is replaced until `close`.
    :param column: how many characters stand in front of the cursor. Where they fill the line, nothing is drawn: the
        next character would begin a new line, and a terminal whose cursor was moved has forgotten that.
    :param width: the terminal's columns, where the file does not know them.
    """

    def __init__(self, file: TextIO, column: Callable[[], int] = lambda: 0, width: int = 80) -> None:
        self._file = file
        self._column = column
        self._width = width
        self._lock = threading.RLock()
        self._text = ""
        self._drawn = False
        self._hidden = False
        self._descriptor: int | None = None
        with suppress(OSError, UnsupportedOperation, AttributeError):
            self._descriptor = os.dup(file.fileno())
        self._write = file.write
        file.write = self._guarded  # type: ignore[method-assign]

    @property
    def columns(self) -> int:
        """The terminal's width now."""
        with suppress(OSError):
            if self._descriptor is not None:
                return os.get_terminal_size(self._descriptor).columns or self._width
        return self._width

    def show(self, text: str) -> None:
        """Let this text stand there, nothing with ''. It must fit into the line."""
        with self._lock:
            if not self._hidden and (text != self._text or self._drawn != bool(text)):
                self._text = text
                self._draw()

    def hide(self, hidden: bool = True) -> None:
        """Keep away while somebody else talks to the user; come back with False."""
        with self._lock:
            self._hidden = hidden
            if hidden:
                self._text = ""
                self._wipe()

    def close(self) -> None:
        """Wipe it away for good."""
        with self._lock:
            self.hide()
            del self._file.write  # the instance's; the class's is back
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                with suppress(OSError):
                    os.close(descriptor)

    def _guarded(self, text: str) -> int:
        with self._lock:
            self._wipe()
            written = self._write(text)
            self._file.flush()  # the line overtakes what would wait in a buffer
            if self._text:
                self._draw()
            return written

    def _draw(self) -> None:
        column = self._column()
        if not self._text:
            self._wipe()
        elif not column or column % self.columns:
            self._drawn = True
            self._put(f"{_BELOW}{_CLEAR}{_NO_WRAP}{self._text}{_WRAP}{_BACK}")

    def _wipe(self) -> None:
        if self._drawn:
            self._drawn = False
            self._put(f"{_BELOW}{_CLEAR}{_BACK}")

    def _put(self, codes: str) -> None:
        try:
            if self._descriptor is None:
                self._write(codes)
                self._file.flush()
            else:
                os.write(self._descriptor, codes.encode("ascii", "replace"))
        except OSError:  # the terminal is gone; what pytest makes of that is pytest's
            self._hidden = True


class Ticker:
    """Keeps a status line up to date from a thread of its own; whatever goes wrong there ends the line, not the run."""

    def __init__(self, line: StatusLine, text: Callable[[], str], every_s: float) -> None:
        self._line = line
        self._text = text
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quantcheck-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait for the thread to end, and wipe the line away."""
        self._over.set()
        self._thread.join()
        self._line.close()

    def _run(self) -> None:
        try:
            while not self._over.wait(self._every_s):
                self._line.show(self._text())
        except Exception:  # nothing of this is worth a run
            self._line.hide()
