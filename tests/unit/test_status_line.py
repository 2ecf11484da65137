"""What is seen on a terminal: every byte goes through an emulator of one."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from pytest_quantcheck.reports.status_line import StatusLine
from pytest_quantcheck.reports.status_line import Ticker


class Terminal:
    """A file that a line goes below, and the screen that its bytes make."""

    def __init__(self, path: Path, columns: int = 40, lines: int = 6) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.file = path.open("w", encoding="utf-8", newline="\r\n")  # a terminal makes two of every line's end
        self._path = path
        self._read = 0

    def seen(self) -> list[str]:
        """The lines of the screen now, without the empty ones at the end."""
        data = self._path.read_bytes()
        self._stream.feed(data[self._read :])
        self._read = len(data)
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def cursor(self) -> tuple[int, int]:
        return self.screen.cursor.x, self.screen.cursor.y


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path / "tty")
    yield made
    made.file.close()


def test_it_comes_and_goes_below_the_cursor(terminal: Terminal) -> None:
    line = StatusLine(terminal.file)
    terminal.file.write("test_a.py ..")
    line.show("loading")
    assert terminal.seen() == ["test_a.py ..", "loading"]
    assert terminal.cursor == (12, 0)

    line.show("gone")
    assert terminal.seen() == ["test_a.py ..", "gone"]
    terminal.file.write(".F\n")
    assert terminal.seen() == ["test_a.py ...F", "", "gone"]
    terminal.file.write("test_b.py ")
    assert terminal.seen() == ["test_a.py ...F", "test_b.py", "gone"]

    line.show("")
    assert terminal.seen() == ["test_a.py ...F", "test_b.py"]
    line.show("again")
    line.close()
    assert terminal.seen() == ["test_a.py ...F", "test_b.py"]
    assert terminal.cursor == (10, 1)


def test_at_the_bottom_of_the_screen(terminal: Terminal) -> None:
    line = StatusLine(terminal.file)
    for number in range(9):
        terminal.file.write(f"line {number}\n")
        line.show(f"after {number}")
    terminal.file.write("x")
    assert terminal.seen() == ["line 5", "line 6", "line 7", "line 8", "x", "after 8"]
    line.close()
    assert terminal.seen() == ["line 5", "line 6", "line 7", "line 8", "x"]
    assert terminal.cursor == (1, 4)


def test_real_output_that_fills_a_line_or_more(terminal: Terminal) -> None:
    column = 0
    line = StatusLine(terminal.file, lambda: column, 40)
    line.show("s" * 39)
    column = 50
    terminal.file.write("a" * 50)
    line.show("below")
    assert terminal.seen() == ["a" * 40, "a" * 10, "below"]
    column = 80
    terminal.file.write("a" * 30)
    terminal.file.flush()
    line.show("not in the way of the next character")
    assert terminal.seen() == ["a" * 40, "a" * 40]
    column = 81
    terminal.file.write("b")
    assert terminal.seen() == ["a" * 40, "a" * 40, "b", "not in the way of the next character"]
    line.close()
    assert terminal.seen() == ["a" * 40, "a" * 40, "b"]


def test_a_text_that_is_too_long_stays_in_its_line(terminal: Terminal) -> None:
    line = StatusLine(terminal.file)
    terminal.file.write("x")
    line.show("s" * 99)
    assert [row[:5] for row in terminal.seen()] == ["x", "sssss"]
    line.close()
    assert terminal.seen() == ["x"]


def test_words_past_the_guard_leave_a_rest_and_no_more(terminal: Terminal) -> None:
    """A program that a test runs may write to the terminal itself."""
    line = StatusLine(terminal.file)
    terminal.file.write("dots")
    line.show("some status")
    os.write(terminal.file.fileno(), b" foreign\r\nwords\r\n")
    assert terminal.seen() == ["dots foreign", "wordsstatus"]
    line.show("other")
    assert terminal.seen() == ["dots foreign", "wordsstatus", "", "other"]


def test_hidden_it_says_nothing(terminal: Terminal) -> None:
    line = StatusLine(terminal.file)
    line.show("here")
    line.hide()
    line.show("not here")
    terminal.file.write("(Pdb) ")
    terminal.file.flush()
    assert terminal.seen() == ["(Pdb)"]
    line.hide(False)
    line.show("here")
    assert terminal.seen() == ["(Pdb)", "here"]


def test_afterwards_the_file_is_as_it_was(terminal: Terminal) -> None:
    before = terminal.file.write
    line = StatusLine(terminal.file)
    assert terminal.file.write != before
    line.close()
    assert terminal.file.write == before
    assert "write" not in vars(terminal.file)
    line.show("late")
    assert terminal.seen() == []


def test_a_file_without_a_descriptor() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    line = StatusLine(file)
    line.show("x")
    assert line.columns == 80
    file.write("y")
    line.close()
    screen = pyte.Screen(10, 3)
    pyte.ByteStream(screen).feed(file.buffer.getvalue())
    assert [row.strip() for row in screen.display] == ["y", "", ""]


def test_several_threads_write_at_once(terminal: Terminal) -> None:
    line = StatusLine(terminal.file)

    def draw() -> None:
        for number in range(300):
            line.show(f"status {number}")

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(300):
        terminal.file.write(f"{number}\n")
    for thread in threads:
        thread.join()
    line.close()
    assert terminal.seen() == ["296", "297", "298", "299"]


def test_a_ticker_follows_and_leaves_nothing(terminal: Terminal) -> None:
    seen, said = threading.Event(), iter(["one", "two"])

    def text() -> str:
        found = next(said, "")
        if not found:
            seen.set()
        return found or "two"

    ticker = Ticker(StatusLine(terminal.file), text, every_s=0.001)
    assert seen.wait(60)
    assert terminal.seen() == ["", "two"]
    ticker.stop()
    assert terminal.seen() == []
    assert "quantcheck-progress" not in {thread.name for thread in threading.enumerate()}


def test_what_goes_wrong_in_a_ticker_ends_the_line_only(terminal: Terminal) -> None:
    said = iter(["one"])
    ticker = Ticker(StatusLine(terminal.file), lambda: next(said), every_s=0.001)
    ticker._thread.join(60)
    assert not ticker._thread.is_alive()
    terminal.file.write("goes on")
    ticker.stop()
    assert terminal.seen() == ["goes on"]


def test_a_terminal_that_goes_away(tmp_path: Path) -> None:
    with (tmp_path / "tty").open("w", encoding="utf-8") as file:
        line = StatusLine(file)
        line.show("one")
        assert line._descriptor is not None
        os.close(line._descriptor)
        file.write("goes on")
        line.show("two")
        line.close()
        assert "write" not in vars(file)
    assert (tmp_path / "tty").read_text(encoding="utf-8").endswith("goes on")
