"""Draws what training looked at on the way: small pictures of one figure each, over the tokens trained on.

python -m training.curves build models
"""

from __future__ import annotations

import argparse
import csv
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from typing import NamedTuple

_WIDTH, _HEIGHT, _GAP, _COLUMNS = 180, 96, 44, 4
_STYLE: Final = (
    "text{font:11px sans-serif;fill:#555}.t{font-weight:bold;fill:#222}"
    "path{fill:none;stroke-width:1.6;stroke:#1f6feb}path.b{stroke:#d1660f}rect{fill:#fff;stroke:#ccc}"
)

Points = list[tuple[float, float]]


class Panel(NamedTuple):
    """One small picture: its title, one or two lines, and the values at its lower and upper edge."""

    title: str
    lines: Sequence[Points]
    low: float
    high: float
    ticks: tuple[str, str]


def _read(path: Path) -> dict[str, Points]:
    """Each column as points over the tokens, in millions."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        name: [(float(row["tokens"]) / 1e6, float(row[name])) for row in rows if row[name]]
        for name in rows[0]
        if name != "tokens"
    }


def _logarithmic(title: str, points: Points) -> Panel:
    line = [(x, math.log10(max(y, 1e-6))) for x, y in points]
    low, high = math.floor(min(y for _, y in line)), math.ceil(max(y for _, y in line))
    return Panel(title, [line], low, high, (f"{10.0**low:g}", f"{10.0**high:g}"))


def _panels(main: dict[str, Points], qat: dict[str, Points]) -> list[Panel]:
    found = [_logarithmic("loss", main["loss"]), _logarithmic("QAT: KL divergence", qat["KL divergence"])]
    for name, points in main.items():
        if name != "loss" and not name.endswith(" at once"):
            lines = [points, *([main[f"{name} at once"]] if f"{name} at once" in main else [])]
            found.append(Panel(name, lines, 0.0, 1.0, ("0", "100 %")))
    return found


def _drawn(panel: Panel, x: float, y: float) -> str:
    last = max(points[-1][0] for points in panel.lines)

    def place(point: tuple[float, float]) -> str:
        height = (point[1] - panel.low) / (panel.high - panel.low)
        return f"{x + point[0] / last * _WIDTH:.1f},{y + (1 - height) * _HEIGHT:.1f}"

    parts = [
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="t" x="{x}" y="{y - 6}">{panel.title}</text>',
        f'<text x="{x - 4}" y="{y + _HEIGHT}" text-anchor="end">{panel.ticks[0]}</text>',
        f'<text x="{x - 4}" y="{y + 9}" text-anchor="end">{panel.ticks[1]}</text>',
        f'<text x="{x + _WIDTH}" y="{y + _HEIGHT + 13}" text-anchor="end">{last:.3g} M tokens</text>',
    ]
    for kind, points in zip(("a", "b"), panel.lines, strict=False):
        parts.append(f'<path class="{kind}" d="M{" L".join(map(place, points))}"/>')
    return "".join(parts)


def draw(work: Path, models: Path) -> None:
    """Copies the curves' figures beside the card and draws them as one picture."""
    for name in ("main", "qat"):
        shutil.copyfile(work / f"{name}.csv", models / f"curves-{name}.csv")
    panels = _panels(_read(work / "main.csv"), _read(work / "qat.csv"))
    width, height = _GAP + (_WIDTH + _GAP) * _COLUMNS, (_HEIGHT + _GAP) * -(-len(panels) // _COLUMNS) + 46
    drawn = [
        _drawn(panel, _GAP + place % _COLUMNS * (_WIDTH + _GAP), 50 + place // _COLUMNS * (_HEIGHT + _GAP))
        for place, panel in enumerate(panels)
    ]
    head = (
        '<text x="12" y="18">held-out answers right in every token, given the right ones before it: '
        "blue with thinking, orange without</text>"
    )
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><style>{_STYLE}</style>'
        f'<rect width="{width}" height="{height}" style="stroke:none"/>{head}{"".join(drawn)}</svg>\n'
    )
    (models / "curves.svg").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("models", type=Path)
    options = parser.parse_args()
    draw(options.work, options.models)


if __name__ == "__main__":
    main()
