"""``quantcheck cache``: what is kept between runs, and how to get rid of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any
from typing import Final

from pytest_quantcheck.cache import FOLDER
from pytest_quantcheck.cache import LIMIT
from pytest_quantcheck.cache import Cache
from pytest_quantcheck.cli_memory import size_argument
from pytest_quantcheck.sizes import size
from pytest_quantcheck.text import one_line
from pytest_quantcheck.text import plural

_DEFAULT: Final = Path(".pytest_cache", "d", FOLDER)


def add_command(commands: Any) -> None:
    """Make the command known to the parser of ``quantcheck``."""
    cache = commands.add_parser(
        "cache",
        help="show, prune or clear the answers that are kept between runs",
        description="Answers are kept between runs, so that a second run asks only what is new. Deleting them loses "
        "nothing but time.",
        epilog="Exit status: 0 all is well; 1 there is no such folder; 2 wrong arguments.",
    )
    cache.add_argument("do", choices=("info", "prune", "clear"), help="what to do")
    cache.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=_DEFAULT,
        metavar="DIR",
        help=f"the folder of --quant-cache (default: {_DEFAULT}, where pytest keeps it)",
    )
    cache.add_argument(
        "--limit",
        type=size_argument,
        default=LIMIT,
        metavar="SIZE",
        help="with prune: what may stay (default '1 GiB'); what was not used for the longest time goes first",
    )
    cache.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """The command; its exit status."""
    folder = one_line(str(given.folder))
    if not given.folder.is_dir():
        print(f"quantcheck: {folder} is no folder: nothing is kept there", file=sys.stderr)
        return 1
    cache = Cache(given.folder)
    if given.do == "clear":
        print(f"{folder}: {plural(cache.clear(), 'answer')} removed")
        return 0
    if given.do == "prune":
        print(f"{folder}: {plural(cache.prune(given.limit), 'answer')} removed")
    found = cache.size()
    print(f"{folder}: {plural(found.entries, 'answer')}, {size(found.bytes)}")
    return 0
