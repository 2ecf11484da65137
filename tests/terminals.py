"""A pytest run on a terminal of its own, and what somebody would see there."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import termios
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pyte

_PATIENCE_S = 60.0


class TerminalRun:
    """Runs ``pytest`` with these arguments in the current directory; a context manager that ends it."""

    def __init__(self, *args: str, columns: int = 100, lines: int = 40) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._args = args
        self._size = (lines, columns)
        self.raw = b""

    def __enter__(self) -> Self:
        left_out = ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION", "COLUMNS", "NO_COLOR")
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", *self._args]
        self._pid, self._terminal = pty.fork()
        if not self._pid:
            try:
                termios.tcsetwinsize(0, self._size)
                # whoever runs the tests in the background may have switched Ctrl-C off, which children inherit
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.execvpe(sys.executable, command, environment | {"TERM": "xterm"})
            finally:
                os._exit(127)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._terminal)
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen that hold something."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the lines look like this; AssertionError when they never do."""
        deadline = time.monotonic() + _PATIENCE_S
        while not seen(self.lines):
            left = deadline - time.monotonic()
            assert left > 0, "\n".join(["never seen; at last:", *self.lines])
            assert self._more(min(left, 1.0)) is not None, "\n".join(["it ended:", *self.lines])
        return self.lines

    def look(self, seconds: float) -> list[str]:
        """The screen after so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._more(left)
        return self.lines

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._terminal, keys.encode())

    def end(self) -> int:
        """Wait for its end; the exit status."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._more(1.0) is not None:
            assert time.monotonic() < deadline, "\n".join(["it does not end:", *self.lines])
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)

    def _more(self, seconds: float) -> bytes | None:
        """What was written within so long; None at the end."""
        if not select.select([self._terminal], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # Linux says the end of a terminal like this
            data = b""
        self.raw += data
        self._stream.feed(data)
        return data or None
