"""The pages on the checks: every example is run with every answer of its table, and scores what the table says."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_quantcheck.markers import TABLE
from tests.sandboxes import need_any

FOLDER = Path(__file__).parents[2] / "docs" / "reference" / "checks"
PAGES = sorted(FOLDER.glob("*.md"))

_EXAMPLE = re.compile(
    r"^```python\n(?P<code>.*?)^```\n\n\| [^|\n]+ \| score \| why \|\n\|[-|: ]+\|\n(?P<rows>(?:\|[^\n]*\n)+)",
    re.M | re.S,
)
_CELLS = re.compile(r"\| (`+)(?P<answer>.*?)\1 \| (?P<score>[\d.]+) \| (?P<why>.*) \|")

_CONFTEST = """
import json, math, os, pathlib, re
from dataclasses import replace
from pytest_quantcheck import Buffers, Fidelity, Memory, ScriptedEngine
from pytest_quantcheck.fidelity import Chunk

ANSWERS = json.loads((pathlib.Path(__file__).parent / "answers.json").read_text(encoding="utf-8"))

def answer():
    return ANSWERS[int(re.search(r"test_row_(\\d+)", os.environ["PYTEST_CURRENT_TEST"])[1])]

class Timed(ScriptedEngine):
    def chat(self, request):
        reply = super().chat(request)
        drafted = re.fullmatch(r"(\\d+) of (\\d+)", answer())
        if drafted is None:
            return reply
        accepted, proposed = map(int, drafted.groups())
        return replace(reply, timings=replace(reply.timings, drafted=proposed, accepted=accepted))
    def bench(self, request):
        self._bench_tok_s = tuple(map(float, answer().split(",")))
        return super().bench(request)
    def memory(self, request):
        weights, kv, compute, peak, largest = (int(float(size) * 1e6) for size in answer().split(","))
        taken = Buffers(weights, kv, compute, 10_000)
        largest = None if request.budget is None else largest // 10**6
        return Memory(4096, "f16", taken, taken, 4096, peak=peak, budget=request.budget, largest_context=largest)

def pytest_quantcheck_engine(role, source):
    def script(prompt):
        return answer()
    def choose(prompt, choices):
        return map(float, answer().split(","))
    def embed(texts):
        turns = [math.radians(float(turn)) for turn in answer().split(",")]
        return [(math.cos(turn), math.sin(turn)) for turn in turns]
    def fidelity(request):
        kl, top = map(float, answer().split(","))
        sums = [(100 * kl * (1 + 0.1 * (-1) ** number), 100 * top) for number in range(30)]
        chunks = tuple(Chunk("text", 100, 200 + own, 200.0, own, tops) for own, tops in sums)
        return Fidelity(request.name, chunks, covered=1.0, reference="f16.gguf")
    return Timed(script, choose=choose, embed=embed, fidelity=fidelity)
"""


@dataclass(frozen=True)
class Row:
    """One line of an example's table."""

    code: str
    answer: str
    score: float
    why: str


def rows(text: str) -> list[Row]:
    found = []
    for example in _EXAMPLE.finditer(text):
        for line in example["rows"].splitlines():
            cells = _CELLS.fullmatch(line.strip())
            assert cells, f"no row of an answer in a code span, a score and a reason: {line}"
            answer = cells["answer"].replace("\\n", "\n").replace("\\|", "|")
            why = cells["why"].strip("`").replace("\\|", "|")
            found.append(Row(example["code"], answer, float(cells["score"]), why))
    return found


def test_every_check_has_its_page_and_each_is_linked() -> None:
    checks = {row.check: row.name for row in TABLE if row.factory is not None}
    overview = (FOLDER.parents[1] / "explanation" / "checks.md").read_text(encoding="utf-8")

    assert {page.stem for page in PAGES} == set(checks)
    assert [c for c, name in checks.items() if f"[`{name}`](../reference/checks/{c}.md)" not in overview] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_page_names_every_keyword_of_its_marker(page: Path) -> None:
    [marker] = [row for row in TABLE if row.check == page.stem]
    assert marker.factory is not None
    keywords = set(inspect.signature(marker.factory).parameters) - {"directory", "min_score"}

    text = page.read_text(encoding="utf-8")

    assert text.startswith(f"# {marker.name}\n")
    assert sorted(keyword for keyword in keywords if not re.search(rf"^\|.*`{keyword}`.*\|$", text, re.M)) == []


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_examples_score_what_the_page_says(pytester: pytest.Pytester, page: Path) -> None:
    if page.stem == "code":
        need_any()
    table = rows(page.read_text(encoding="utf-8"))
    assert len(table) >= 2, "an example has a good and a bad answer"
    assert {row.score > 0 for row in table} == {True, False}
    pytester.makeconftest(_CONFTEST)
    pytester.makepyfile(**{f"test_row_{number}": row.code for number, row in enumerate(table)})
    (pytester.path / "answers.json").write_text(json.dumps([row.answer for row in table]), encoding="utf-8")

    pytester.runpytest("-p", "no:randomly", "--quant-model=scripted", "--quant-report=report.json")

    report = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))
    said = {}
    for pair in report["pairs"]:
        [number] = re.findall(r"test_row_(\d+)", pair["pair"])
        scores = {score["check"]: score for score in pair["candidate"]["scores"]}
        assert page.stem in scores, f"no score of that name: {sorted(scores)}"
        said[int(number)] = (round(scores[page.stem]["value"], 2), scores[page.stem]["why"])
    assert [said[number] for number in range(len(table))] == [(round(row.score, 2), row.why) for row in table]
