"""example_suites/project_template: what a user copies runs as it is, finds a loss, and is what its README says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.doc_blocks import commands
from tests.plugin.test_doc_blocks import hold

ROOT: Final = Path(__file__).parents[2]
TEMPLATE: Final = ROOT / "example_suites" / "project_template"
_CALL: Final = '{"name": "get_weather", "arguments": {"place": "Oslo", "day": "tomorrow"}}'
SAYS: Final = {
    "Invoice 2031-17": '{"customer": "Jo Doe", "number": "2031-17", "total": 111.0, "paid": false}',
    "in Oslo tomorrow": f"<tool_call>{_CALL}</tool_call>",
    "Good morning": "Good morning to you.",
    "Our parcel": "We are sorry: your parcel will be with you tomorrow.",
    "capital of Peru": "Lima",
    "3 percent": "37.5",
    "A ferry": "10:15",
    "hall lamp": "green",
    "Ada orders": '{"name": "Ada", "count": 3}',
    "Describe snow": "Cold, white, silent.",
    "My card was": "billing",
    "I never received": "billing",
    "The app closes": "Technical.",
    "The login page": "technical",
    "ship to Iceland": "sales",
    "discount for schools": "sales",
}
"""The right answers, by a part of the question."""
_CONFTEST: Final = """
import json, pathlib
from pytest_quantcheck import ScriptedEngine

def pytest_quantcheck_engine(role, source):
    answers = json.loads((pathlib.Path(__file__).parent / f"{pathlib.Path(source).stem}.json").read_text("utf-8"))
    def says(prompt):
        [answer] = [answer for part, answer in answers.items() if part in prompt]
        return answer
    return ScriptedEngine(says, choose=lambda prompt, choices: [-float(at) for at, _ in enumerate(choices)])
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A copy with a model that knows all answers, on both sides."""
    shutil.copytree(TEMPLATE, pytester.path, dirs_exist_ok=True)
    (pytester.path / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
    for name in ("today", "new"):
        (pytester.path / f"{name}.json").write_text(json.dumps(SAYS), encoding="utf-8")
    return pytester


def test_it_runs_as_it_is(project: pytest.Pytester) -> None:
    result = project.runpytest("-p", "no:randomly", "--strict-markers", "-W", "error")

    outcomes = result.parseoutcomes()
    assert result.ret == 0
    assert outcomes == {"passed": 18}
    report = json.loads((project.path / "reports" / "quantcheck.json").read_text(encoding="utf-8"))
    assert {pair["verdict"]["word"] for pair in report["pairs"]} == {"held"}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Invoice 2031-17", SAYS["Invoice 2031-17"].replace("111.0", "120.0")),
        ("Invoice 2031-17", SAYS["Invoice 2031-17"].replace(', "paid": false', "")),
        ("in Oslo tomorrow", "I cannot know that."),
        ("Good morning", SAYS["in Oslo tomorrow"]),
        ("Our parcel", "- sorry\n- really"),
    ],
)
def test_a_lost_requirement_fails(project: pytest.Pytester, question: str, answer: str) -> None:
    (project.path / "new.json").write_text(json.dumps(SAYS | {question: answer}), encoding="utf-8")

    result = project.runpytest("-p", "no:randomly")

    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 17, "failed": 1}


def test_the_readme_names_every_file_and_no_other() -> None:
    text = (TEMPLATE / "README.md").read_text(encoding="utf-8")
    named = {
        name for row in re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    }
    kept = {file.relative_to(TEMPLATE).as_posix() for file in TEMPLATE.rglob("*") if file.is_file()}

    assert named == {name for name in kept if "__pycache__" not in name} - {"README.md", "models/.gitkeep"}


def test_the_workflow_gives_options_that_exist(project: pytest.Pytester) -> None:
    workflow = yaml.safe_load((TEMPLATE / ".github" / "workflows" / "model-gate.yml").read_text(encoding="utf-8"))
    [command] = [step["run"] for step in workflow["jobs"]["gate"]["steps"] if step.get("run", "").startswith("pytest")]
    [[gate]] = commands(command)
    hold(gate)
    today = ("--quant-model=models/today.gguf", "-o", "quant_baseline=", "-p", "no:randomly")

    assert project.runpytest(*today, "--snapshot-update").ret == 0
    checked = project.runpytest(*gate.words[1:], "-p", "no:randomly")

    assert checked.ret == 0
    checked.assert_outcomes(passed=18)


@pytest.mark.once
def test_it_runs_on_the_tiny_models(pytester: pytest.Pytester) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    shutil.copytree(TEMPLATE, pytester.path, dirs_exist_ok=True)
    models = ROOT / "example_suites" / "tiny" / "models"
    for name, model in (("today", "tiny-q4_0"), ("new", "tiny-qat-q4_0")):
        (pytester.path / "models" / f"{name}.gguf").symlink_to(models / f"{model}.gguf")

    result = pytester.runpytest("-p", "no:randomly")

    # outside of its world the tiny model knows nothing: what counts is that every question gets an answer
    report = json.loads((pytester.path / "reports" / "quantcheck.json").read_text(encoding="utf-8"))
    assert report["kind"] in ("cannot-tell", "no-loss", "no-regression", "regression")
    assert result.ret == (report["kind"] == "regression")
    assert {pair[role]["status"] for pair in report["pairs"] for role in ("baseline", "candidate")}.isdisjoint(
        {"error"}
    )
