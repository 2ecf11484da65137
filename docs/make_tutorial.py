"""Follow docs/tutorial.md word for word and put what is printed into it: python docs/make_tutorial.py.

Blocks of Python are written into the file that the text before them names, commands are run one after the other in one
folder after the other, as a reader would; only the installation is left out. What is shown of an output stands in a
comment before it. After a new training of the tiny models the question of test_first.py may have to be another one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

PAGE = Path(__file__).with_name("tutorial.md")
SUITES = Path(__file__).parents[1] / "example_suites"
_SHOWN = r'(?P<shown><!-- output from "(?P<first>[^"\n]*)" to "(?P<last>[^"\n]*)"(?P<twice> twice)? -->\n)?'
_BLOCK = re.compile(
    rf"(?P<file>`(?P<name>\w+\.py)`:\n\n)?{_SHOWN}^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_WIDTH = "100"


def followed() -> str:
    """The page with what its commands print now."""
    with TemporaryDirectory() as place:
        reader = _Reader(Path(place))
        return _BLOCK.sub(reader.does, PAGE.read_text(encoding="utf-8"))


class _Reader:
    """Where somebody is who follows the page, and what was printed last."""

    def __init__(self, place: Path) -> None:
        self._folder = place / "checkout"
        self._folder.mkdir()
        (self._folder / "example_suites").symlink_to(SUITES)
        self._printed: list[str] = []

    def does(self, block: re.Match[str]) -> str:
        """Write, run or show; the block as it shall stand in the page."""
        text = block["text"]
        if block["language"] == "python":
            (self._folder / block["name"]).write_text(text, encoding="utf-8")
        elif block["language"] == "sh" and "pip install" not in text:
            self._run(text)
        elif block["language"] == "text":
            shown = "\n".join(self._shown(block["first"], block["last"], 2 if block["twice"] else 1))
            return f"{block['shown']}```text\n{shown}\n```"
        return block[0]

    def _run(self, commands: str) -> None:
        """In bash, which says where it ended."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self._folder), "COLUMNS": _WIDTH, "PYTEST_ADDOPTS": "-p no:randomly"}
        script = f"{commands}\necho; pwd"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self._folder, env=environment, capture_output=True, text=True, check=True
        )
        *self._printed, folder = done.stdout.splitlines()
        self._folder = Path(folder)

    def _shown(self, first: str, last: str, times: int) -> Iterator[str]:
        """From the first line that begins like the one to the line that begins like the other and its continuation."""
        lines = iter(self._printed)
        for line in lines:
            if line.startswith(first):
                yield line
                break
        else:
            raise ValueError(f"nothing begins with {first!r} in:\n" + "\n".join(self._printed))
        for line in lines:
            yield line
            times -= line.startswith(last)
            if not times:
                break
        for line in lines:
            if not line.startswith("  ") or line.startswith(last):
                break
            yield line


if __name__ == "__main__":
    PAGE.write_text(followed(), encoding="utf-8")
