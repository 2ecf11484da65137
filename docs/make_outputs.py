"""Run what the pages show and put into them what is printed: python docs/make_outputs.py.

docs/tutorial.md is followed word for word: Python is written into the file that the text before it names, commands run
one after the other, as a reader would give them; only the installation is left out. On other pages the comment before a
block names its command. After a new training of the tiny models a question of the tutorial may have to be another one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

DOCS = Path(__file__).parent
PAGES = [DOCS / name for name in ("tutorial.md", "explanation/fidelity.md", "how-to/gate-a-model-upgrade-in-ci.md")]
_SHOWN = (
    r'<!-- output( of "(?P<command>[^"\n]*)")? from "(?P<first>[^"\n]*)" to "(?P<last>[^"\n]*)"(?P<twice> twice)? -->\n'
)
_BLOCK = re.compile(
    rf"(`(?P<name>\w+\.py)`:\n\n)?(?P<shown>{_SHOWN})?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_WIDTH = "100"


def printed(page: Path) -> str:
    """The page with what its commands print now."""
    with TemporaryDirectory() as place:
        reader = _Reader(Path(place), follows=page.name == "tutorial.md")
        return _BLOCK.sub(reader.does, page.read_text(encoding="utf-8"))


class _Reader:
    """Where somebody is who reads a page, and what was printed last."""

    def __init__(self, place: Path, *, follows: bool) -> None:
        self._follows = follows
        self._folder = place / "checkout"
        self._folder.mkdir()
        (self._folder / "pytest.ini").touch()  # snapshots belong here and not behind the link
        (self._folder / "example_suites").symlink_to(DOCS.parent / "example_suites")
        self._printed: list[str] = []

    def does(self, block: re.Match[str]) -> str:
        """Write, run or show; the block as it shall stand in the page."""
        if self._follows and block["language"] == "python":
            (self._folder / block["name"]).write_text(block["text"], encoding="utf-8")
        elif self._follows and block["language"] == "sh" and "pip install" not in block["text"]:
            self._run(block["text"])
        elif block["shown"]:
            if block["command"]:
                self._run(block["command"])
            shown = "\n".join(self._shown(block["first"], block["last"], 2 if block["twice"] else 1))
            return f"{block['shown']}```text\n{shown}\n```"
        return block[0]

    def _run(self, commands: str) -> None:
        """In bash, which says where it ended."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self._folder), "COLUMNS": _WIDTH, "PYTEST_ADDOPTS": "-p no:randomly"}
        done = subprocess.run(
            ["bash", "-c", f"{commands}\necho; pwd"],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        *self._printed, folder = done.stdout.splitlines()
        self._folder = Path(folder)

    def _shown(self, first: str, last: str, times: int) -> Iterator[str]:
        """From the first line that begins like the one to the line that begins like the other and its continuation."""
        begin = next((at for at, line in enumerate(self._printed) if line.startswith(first)), None)
        if begin is None:
            raise ValueError(f"nothing begins with {first!r} in:\n" + "\n".join(self._printed))
        lines = iter(self._printed[begin:])
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
    for each in PAGES:
        each.write_text(printed(each), encoding="utf-8")
