"""Write docs/reference/commands.md from the parsers of the console script: python docs/make_commands.py."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from blocks import table
from docstrings import cell

from pytest_quantcheck import cli

PAGE = Path(__file__).parent / "reference" / "commands.md"
_HEAD = """# The command `quantcheck`

Made by `python docs/make_commands.py` from the program's own parsers. `python -m pytest_quantcheck` is the same."""


def page() -> str:
    """The page's text."""
    parser = cli.parser()
    return "\n\n".join(block for block in [_HEAD, parser.description or "", *_commands(parser)] if block) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in dict.fromkeys(action.choices.values()):
                yield from _command(command)


def _command(command: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## `{command.prog}`"
    yield _prose(command.description)
    rows = [
        (_argument(action), cell(_help(command, action), PAGE))
        for action in command._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
    ]
    yield table(("argument", "what"), rows)
    yield _prose(command.epilog)
    yield from _commands(command)


def _argument(action: argparse.Action) -> str:
    value = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    more = " ..." if action.nargs in ("+", "*") else ""
    return f"`{' '.join(filter(None, [', '.join(action.option_strings), str(value)]))}{more}`"


def _help(command: argparse.ArgumentParser, action: argparse.Action) -> str:
    said = command._get_formatter()._expand_help(action) if action.help else ""
    return f"{said}: {', '.join(action.choices)}" if action.choices and ":" not in said else said


def _prose(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
