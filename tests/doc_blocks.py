"""Every code block of the documentation, and the commands in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "example_suites").rglob("*.md")])
PROGRAMS: Final = ("cd", "llama-server", "ollama", "pip", "pytest", "python", "quantcheck", "vllm")
_ASSIGNMENT: Final = re.compile(r"[A-Z_]+=")


@dataclass(frozen=True)
class Block:
    """A fenced or indented block; ``page`` is relative to the repository."""

    page: str
    line: int
    language: str
    text: str

    @property
    def first(self) -> str:
        """Its first line."""
        return self.text.partition("\n")[0]

    def __str__(self) -> str:
        """Where it stands, for the name of its test."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One program with its arguments, and the variables that are set for it alone."""

    words: tuple[str, ...]
    variables: dict[str, str]

    @property
    def program(self) -> str:
        """Its name."""
        return self.words[0]


def blocks() -> Iterator[Block]:
    """All of them, page by page."""
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
            if token.type in ("fence", "code_block"):
                assert token.map is not None
                yield Block(name, token.map[0] + 1, token.info or _guess(token.content), token.content)


def _guess(text: str) -> str:
    """The language of a block that names none: commands, else nothing."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "sh" if all(line.split()[0] in PROGRAMS or _ASSIGNMENT.match(line) for line in lines) else ""


def commands(text: str) -> list[list[Command]]:
    """Line by line: the commands of a line, in order. '…' and '...' stand for more options."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [found for line in lines if (found := _line(line))]


def _line(line: str) -> list[Command]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("&|;"):
            found.append([])
        elif word not in ("…", "..."):
            found[-1].append(word)
    return [_command(words) for words in found if words]


def _command(words: list[str]) -> Command:
    variables = {}
    while words and _ASSIGNMENT.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    return Command(tuple(words), variables)
