"""Write docs/reference/options-and-markers.md from the plugin's own tables."""

from __future__ import annotations

import inspect
from pathlib import Path

from pytest_quantcheck.markers import MODIFIERS
from pytest_quantcheck.markers import TABLE
from pytest_quantcheck.options import OPTIONS
from pytest_quantcheck.options import option_name

PAGE = Path(__file__).parent / "reference" / "options-and-markers.md"


def page() -> str:
    """The page's text."""
    lines = ["# Options and markers", "", "Made by `python docs/make_reference.py`.", "", "## Options", ""]
    lines += ["Command line, then ini key, then default.", "", "| option | ini key | what |", "|---|---|---|"]
    for name, option in OPTIONS.items():
        value = f"={option.metavar}" if option.metavar else ""
        lines.append(f"| `{option_name(name)}{value}` | `quant_{name}` | {option.help} |")
    lines += ["", "## Markers", "", "Keyword arguments only.", ""]
    for row in TABLE:
        lines += [f"### `{row.name}`", "", f"{row.help[0].upper()}{row.help[1:]}.", ""]
        if row.factory is not None:
            names = [name for name in inspect.signature(row.factory).parameters if name != "directory"]
            lines += ["Keywords: " + ", ".join(f"`{name}`" for name in names) + ".", ""]
            lines += [f"[What they mean, what is scored, examples](checks/{row.check}.md).", ""]
        elif row.name in MODIFIERS:
            names = list(inspect.signature(MODIFIERS[row.name]).parameters)
            lines += ["Keywords: " + (", ".join(f"`{name}`" for name in names) or "none") + ".", ""]
        else:
            checks = [f"`{check.check}`" for check in TABLE if check.check]
            lines += ["Keywords: " + ", ".join(checks) + ".", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
