"""The documentation says what is so: its code runs, its tables are made, its links lead somewhere."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import pytest_quantcheck
from pytest_quantcheck.reports import junit
from pytest_quantcheck.reports.last_line import PREFIX
from pytest_quantcheck.reports.last_line import last_line
from pytest_quantcheck.verdict import UNUSABLE
from tests.doc_blocks import PAGES
from tests.ledgers import every_end
from tests.makers import DOCS
from tests.makers import maker
from tests.plugin.conftest import Gate

ROOT = Path(__file__).parents[2]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


MAKERS = sorted(
    path.name
    for path in DOCS.glob("make_*.py")
    if "def page(" in path.read_text(encoding="utf-8") and path.name != "make_schema.py"  # test_json_report.py
)


@pytest.mark.parametrize("name", MAKERS)
def test_a_page_is_made_from_the_code(name: str) -> None:
    made = maker(name)

    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), f"run: python docs/{name}"


def test_the_pages_on_the_public_names_are_made_from_them() -> None:
    made = maker("make_api.py")["pages"]()

    assert made == {page: page.read_text(encoding="utf-8") for page in made}, "run: python docs/make_api.py"
    text = "".join(made.values())
    assert [name for name in pytest_quantcheck.__all__ if not re.search(rf"`(quant\.)?{name}`", text)] == ["Probe"]


def test_the_page_on_ci_tells_of_every_key_and_property() -> None:
    page = (ROOT / "docs" / "how-to" / "ci.md").read_text(encoding="utf-8")
    made = every_end()["no-loss"]
    keys = json.loads(last_line(made, 0).removeprefix(PREFIX))

    assert [key for key in keys if f"`{key}`" not in page] == []
    names = set(re.findall(r"quant_[a-z_]+", Path(junit.__file__).read_text(encoding="utf-8"))) - {"quant_"}
    assert {"quant_why", "quant_kind"} < names
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_page_on_recorded_baselines_says_what_is_so(plain_gate: Gate) -> None:
    page = ROOT / "docs" / "how-to" / "gate-a-model-upgrade-in-ci.md"
    text, options = page.read_text(encoding="utf-8"), plain_gate.pytester.runpytest("--help").stdout.str()
    assert [name for name in re.findall(r"--(?:quant|snapshot)-[a-z-]+", text) if name not in options] == []
    assert [words for words in UNUSABLE.values() if f"`{words}`" not in text] == []
    [code] = blocks(page, "python")
    plain_gate.pytester.makepyfile(test_it=code)
    question = "Greet the user in five words."
    plain_gate.answers({question: "Hi"}, {question: "Hello"})

    recorded = plain_gate.run("--quant-model=old", "--snapshot-update", baseline=False)

    assert recorded.kind == "recorded"
    assert plain_gate.run(baseline=False).kind == plain_gate.run().kind == "regression"


def test_the_code_on_ci_finds_the_schema() -> None:
    [code] = blocks(ROOT / "docs" / "how-to" / "ci.md", "python")
    found: dict[str, Any] = {}

    exec(code, found)

    assert found["schema"]["title"].startswith("pytest-quantcheck report")


def test_ci_calls_the_test_command_of_the_readme() -> None:
    _, command, *_ = blocks(ROOT / "README.md", "sh")

    assert command.strip() in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_readme_s_tests_run(plain_gate: Gate) -> None:
    [code] = blocks(ROOT / "README.md", "python")
    plain_gate.pytester.makepyfile(test_readme=code)
    sums = {f"What is {a} + {b}? Only the number.": str(a + b) for a, b in [(27, 45), (18, 92), (60, 14)]}
    invoice = "Jo Doe owes 1007.50. Answer as JSON with customer and total."
    good = '<think>a name and a sum</think>{"customer": "Jo Doe", "total": 1007.5}'
    plain_gate.answers({**sums, invoice: good}, {**sums, invoice: good.replace("1007.5", "107.5")})

    outcome = plain_gate.run()

    outcome.result.assert_outcomes(passed=3, failed=1)
    assert outcome.words["test_invoice"] == "regressed"


def test_every_page_is_in_the_index_and_in_the_order_of_the_site() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    named = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#]+\.md)[^)]*\)", index)}
    in_order = {
        ROOT / f"{name}.md" for name in re.findall(r"file: (\S+)", (DOCS / "_toc.yml").read_text(encoding="utf-8"))
    }
    in_order |= set((DOCS / "reference" / "checks").glob("*.md"))

    assert named == in_order == {*PAGES} - {DOCS / "index.md"}


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

    assert re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE) == [
        version
    ]
    assert re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0] == version


def shape(text: str) -> str:
    """What is the same on every machine: no figures, no answers."""
    return re.sub(r"\d[\d.,]*", "#", re.sub(r"^    '.*'$", "    '...'", text, flags=re.MULTILINE))


@pytest.mark.once
@pytest.mark.parametrize("page", maker("make_outputs.py")["PAGES"], ids=lambda page: page.name)
def test_what_a_page_shows_is_what_is_printed(page: Path) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

    assert shape(maker("make_outputs.py")["printed"](page)) == shape(page.read_text(encoding="utf-8"))
