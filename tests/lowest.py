"""The oldest direct dependencies that pyproject.toml allows, as constraints for pip.

``python -m tests.lowest FILE`` writes them, ``python -m tests.lowest --check`` fails when something newer is installed.
Of the extras those count that the package reads at run time; what only the tests need is taken as it comes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

PYPROJECT: Final = Path(__file__).parents[1] / "pyproject.toml"
_RUN_TIME: Final = ("language", "server")
_LOWEST: Final = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?\s*>=\s*(?P<version>[\d.]+)")


def lowest() -> Iterator[tuple[str, str]]:
    """Name and version; ValueError for a dependency without a lower bound."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *(one for extra in _RUN_TIME for one in extras[extra])]:
        found = _LOWEST.match(requirement)
        if found is None:
            raise ValueError(f"no lower bound: {requirement}")
        yield found["name"], found["version"]


def _plain(release: str) -> list[int]:
    """The numbers without zeros at the end: 3.1 is 3.1.0."""
    numbers = [int(number) for number in release.split(".")]
    while numbers[-1:] == [0]:
        numbers.pop()
    return numbers


def main(argument: str) -> None:
    """Write the constraints into a file, or check."""
    if argument != "--check":
        Path(argument).write_text("".join(f"{name}=={oldest}\n" for name, oldest in lowest()), encoding="utf-8")
        return
    found = [(name, version(name), oldest) for name, oldest in lowest()]
    wrong = [
        f"{name} {is_there}, not {oldest}" for name, is_there, oldest in found if _plain(is_there) != _plain(oldest)
    ]
    if wrong:
        raise SystemExit(f"not the oldest: {'; '.join(wrong)}")


if __name__ == "__main__":
    main(sys.argv[1])
