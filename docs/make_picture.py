"""Draw docs/summary.svg from a real run: QAT against PTQ of the bundled tiny model.

Needs the ``test`` extra. The figures in the picture are those of the machine that ran this.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
MODELS = Path("example_suites/tiny/models")
COMMAND = (
    "pytest example_suites/tiny",
    f"--quant-model={MODELS}/tiny-qat-q4_0.gguf",
    f"--quant-baseline={MODELS}/tiny-q4_0.gguf",
    f"--quant-reference={MODELS}/tiny-f16.gguf",
)
_WITHOUT = ("-p", "no:randomly", "-p", "no:xdist")
_WIDTH = 138
_FORMAT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
<rect fill="#16181d" width="{width}" height="{height}" rx="8"/>
<g transform="translate(12, 12)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main() -> None:
    """Run, cut out the summary, draw."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            *" ".join(COMMAND).split(),
            "-q",
            "--color=yes",
            "-p",
            "no:randomly",
            "-p",
            "no:xdist",
            "--quant-cache=off",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"COLUMNS": str(_WIDTH), "PATH": "", "HOME": str(ROOT)},
        check=False,
    )
    lines = done.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if "= quantcheck =" in line)
    end = next(number for number, line in enumerate(lines) if " passed" in line and number > start)
    shown = ["$ " + " \\\n    ".join(COMMAND), *lines[start:end]]
    console = Console(record=True, width=_WIDTH, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(Text.from_ansi("\n".join(shown)))
    svg = console.export_svg(title="", code_format=_FORMAT, unique_id="s")
    (ROOT / "docs" / "summary.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), encoding="utf-8")


if __name__ == "__main__":
    main()
