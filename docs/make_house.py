"""Write the table of modules in docs/explanation/house.md from their docstrings: python docs/make_house.py."""

from __future__ import annotations

import ast
from pathlib import Path

from blocks import replaced
from blocks import table
from docstrings import cell

PAGE = Path(__file__).parent / "explanation" / "house.md"
PACKAGE = Path(__file__).parents[1] / "pytest_quantcheck"
BEGIN, END = "<!-- modules: made by docs/make_house.py -->\n", "<!-- end of modules -->\n"


def page() -> str:
    """The page with a table for each folder of the package, its own modules first."""
    folders = sorted({path.parent for path in PACKAGE.rglob("*.py")}, key=lambda folder: folder.parts)
    return replaced(PAGE.read_text(encoding="utf-8"), BEGIN, END, "\n".join(map(_folder, folders)))


def _folder(folder: Path) -> str:
    head = _said(folder / "__init__.py") if folder != PACKAGE else "What everything else is put together from."
    rows = [(f"`{path.name}`", cell(_said(path), PAGE)) for path in sorted(folder.glob("[!_]*.py"))]
    name = folder.relative_to(PACKAGE.parent).as_posix()
    return f"### `{name}/`\n\n{cell(head, PAGE)}\n\n{table(('module', 'what it decides'), rows)}\n"


def _said(path: Path) -> str:
    """The first sentence or two of a module: the paragraph at its head."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n\n")[0]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
