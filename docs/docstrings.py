"""Docstrings as the package writes them, taken apart and made Markdown: for the pages of the reference."""

from __future__ import annotations

import ast
import inspect
import os
import re
import textwrap
from dataclasses import dataclass
from dataclasses import field
from itertools import pairwise
from pathlib import Path
from typing import Any

_FIELD = re.compile(r"^:(param (?P<name>\w+)|return|raises (?P<error>\w+)): ", re.MULTILINE)
_PAGE = re.compile(r"`?(?<![\w/(])docs/([\w/-]+)\.md`?")


@dataclass
class Parts:
    """What a docstring says: in general, of each parameter, of what comes back and of what is raised."""

    text: str = ""
    params: dict[str, str] = field(default_factory=dict)
    returns: str = ""
    raises: dict[str, str] = field(default_factory=dict)


def parts(docstring: str | None) -> Parts:
    """Taken apart; every field on one line."""
    said = inspect.cleandoc(docstring or "")
    fields = list(_FIELD.finditer(said))
    found = Parts(said[: fields[0].start()].strip() if fields else said)
    for begin, end in pairwise([*(one.start() for one in fields), len(said)]):
        [head] = [one for one in fields if one.start() == begin]
        text = " ".join(said[head.end() : end].split())
        if head["name"]:
            found.params[head["name"]] = text
        elif head["error"]:
            found.raises[head["error"]] = text
        else:
            found.returns = text
    return found


def field_docs(record: type) -> dict[str, str]:
    """What the docstring says of each field (``:param``), and the strings that stand below fields."""
    said = {name: text[:1].upper() + text[1:] for name, text in parts(record.__doc__).params.items()}
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0].body  # type: ignore[attr-defined]
    for above, below in pairwise(body):
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            [name] = [above.target] if isinstance(above, ast.AnnAssign) else getattr(above, "targets", [None])
            if isinstance(name, ast.Name):
                said[name.id] = " ".join(below.value.value.split())
    return said


def markdown(text: str, page: Path) -> str:
    """Double backticks become single ones, ``Usage::`` a fenced block, other pages links from ``page``."""
    paragraphs = []
    for paragraph in re.split(r"\n{2,}(?![ \n])", text):
        head, colons, block = paragraph.partition("::\n\n")
        if colons and block.startswith("    "):
            code = textwrap.dedent(block).rstrip()
            said = head.removesuffix("Usage").strip()
            paragraphs += ([f"{_inline(said, page)}:"] if said else []) + [f"```python\n{code}\n```"]
        else:
            paragraphs.append(_inline(paragraph, page))
    return "\n\n".join(paragraphs)


def cell(text: str, page: Path) -> str:
    """The same for a cell of a table."""
    return _inline(text, page).replace("|", r"\|")


def annotation(hint: Any) -> str:
    """A type hint as it stands in the source, in a code span of a table."""
    shown = hint if isinstance(hint, str) else getattr(hint, "__name__", str(hint))
    return "" if hint is inspect.Parameter.empty else f"`{shown}`".replace("|", r"\|")


def _inline(text: str, page: Path) -> str:
    docs = Path(__file__).parent

    def link(found: re.Match[str]) -> str:
        target = docs / f"{found[1]}.md"
        title = target.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        return f"[{title}]({os.path.relpath(target, page.parent)})"

    plain = " ".join(text.split()).replace("``", "`")
    return _PAGE.sub(link, plain)
