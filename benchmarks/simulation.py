"""The command line of the simulations: a table of rates, printed and put into its page."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from docs.blocks import replaced


def tell(what: str, table: Callable[[int], str], replicates: int, page: Path, begin: str, end: str) -> None:
    """Print the table of so many replicates, or as many as the command line says, and write it if asked."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--replicates", type=int, default=replicates)
    parser.add_argument("--write", action="store_true", help=f"into {page.name}")
    given = parser.parse_args()
    text = table(given.replicates)
    print(text)
    if given.write:
        page.write_text(replaced(page.read_text(encoding="utf-8"), begin, end, text), encoding="utf-8")
