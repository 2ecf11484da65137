"""Writes the table of verdicts and exit statuses into docs/how-to/ci.md: python docs/make_kinds.py."""

from __future__ import annotations

from pathlib import Path

from blocks import replaced

from pytest_quantcheck import session

PAGE = Path(__file__).parent / "how-to" / "ci.md"
BEGIN, END = "<!-- kinds: made by docs/make_kinds.py -->\n", "<!-- end of kinds -->\n"


def page() -> str:
    """The page with the table as it is in the code."""
    return replaced(PAGE.read_text(encoding="utf-8"), BEGIN, END, table())


def table() -> str:
    """One row a kind, the gravest first."""
    lines = ["| `kind` | when | exit status |", "|---|---|---|"]
    for kind, when in session.KINDS.items():
        lines.append(f"| `{kind}` | {when} | {_exit(kind)} |")
    lines.append("| `refused` | an option, a marker or a file is wrong; nothing was judged | 4 |")
    return "\n".join(lines) + "\n"


def _exit(kind: str) -> str:
    if kind in session.PASSING:
        return "0"
    if kind == "cannot-tell":
        return "0; 1 with `--quant-strict`"
    return "1; pytest's own, 0 or 5, when no test with a model ran" if kind == "nothing-compared" else "1"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
