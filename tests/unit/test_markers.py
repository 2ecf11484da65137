"""The table of markers: what a test carries becomes checks, or one clear line."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck import markers
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.markers import Sample
from tests.builders import score

FACTORIES = [row.factory for row in markers.TABLE if row.factory is not None]


class FakeItem:
    """What the markers module reads of an item; marks stand closest first."""

    def __init__(
        self, *marks: pytest.MarkDecorator, name: str = "test_y", path: Path = Path("tests/test_x.py")
    ) -> None:
        self.name = name
        self.originalname = name.partition("[")[0]
        self.nodeid = f"tests/test_x.py::TestIt::{name}"
        self.path = path
        self._marks = marks

    def iter_markers(self) -> Iterator[pytest.Mark]:
        return (mark.mark for mark in self._marks)


def item(*marks: pytest.MarkDecorator, **more: Any) -> pytest.Item:
    return cast("pytest.Item", FakeItem(*marks, **more))


class FakeConfig:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def addinivalue_line(self, name: str, line: str) -> None:
        assert name == "markers"
        self.lines.append(line)


def test_every_marker_is_registered_with_its_keywords_and_a_help_line() -> None:
    config = FakeConfig()
    markers.register(cast("pytest.Config", config))
    names = [line.partition("(")[0] for line in config.lines]
    assert names == [
        "quant_constraint", "quant_ifeval", "quant_json", "quant_tools", "quant_recall", "quant_choice", "quant_embed",
        "quant_fidelity", "quant_code", "quant_budget", "quant_speed", "quant_memory", "quant_tolerance",
        "quant_sample", "quant_context", "quant_snapshot", "quant_early_stop",
    ]  # fmt: skip
    assert config.lines[2].startswith("quant_json(schema=..., keys=..., equals=..., formats=..., constrained=...")
    assert config.lines[-5].startswith("quant_tolerance(constraint=..., ifeval=..., json=..., tools=..., recall=...")
    assert config.lines[-4].startswith("quant_sample(family=..., cluster=...): ")
    assert config.lines[-3].startswith("quant_context(tokens=...): ")
    assert not any("directory" in line for line in config.lines)


def test_the_name_of_a_factory_and_of_its_scores_are_those_of_its_row() -> None:
    marks = (
        pytest.mark.quant_constraint(words=1), pytest.mark.quant_ifeval(instruction_id_list=["punctuation:no_comma"]),
        pytest.mark.quant_json, pytest.mark.quant_tools(none=True),
        pytest.mark.quant_recall(expect="a"), pytest.mark.quant_budget(wall_s=1),
    )  # fmt: skip
    checks = markers.build_checks(item(*reversed(marks)))
    assert [score(check, "a").check for check in checks] == [
        "constraint",
        "ifeval",
        "json",
        "tools",
        "recall",
        "budget",
    ]
    for row in markers.TABLE:
        assert row.factory is None or row.factory.__name__ == row.name


def test_checks_are_built_with_their_keywords() -> None:
    (check,) = markers.build_checks(item(pytest.mark.quant_constraint(words=2), pytest.mark.parametrize("x", [1])))
    assert score(check, "two words").value == 1.0
    assert score(check, "one").value == 0.0
    assert markers.build_checks(item()) == ()


def test_the_context_that_a_test_declares() -> None:
    assert markers.context(item(pytest.mark.quant_context(tokens=4096))) == 4096
    assert markers.context(item()) is None


def test_the_closest_marker_of_a_kind_wins() -> None:
    (check,) = markers.build_checks(
        item(pytest.mark.quant_recall(expect="near"), pytest.mark.quant_recall(expect="far"))
    )
    assert score(check, "near").value == 1.0
    assert score(check, "far").value == 0.0


def test_a_schema_stands_beside_its_test(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"type": "array"}), encoding="utf-8")
    mark = pytest.mark.quant_json(schema="s.json")
    (check,) = markers.build_checks(item(mark, path=tmp_path / "test_x.py"))
    assert score(check, "[]").value == 1.0
    assert score(check, "{}").value == 0.0
    with pytest.raises(MarkerError, match="paths are relative to the test's directory"):
        markers.build_checks(item(mark, path=tmp_path / "elsewhere" / "test_x.py"))


JSON_KEYWORDS = (
    "allowed: constrained, equals, formats, keys, lone_surrogates, max_bytes, max_depth, max_illegal, max_rejected, "
    "min_score, schema"
)


@pytest.mark.parametrize(
    ("mark", "line"),
    [
        (
            pytest.mark.quant_json(schmea="x"),
            f"quant_json(schmea=...): unknown keyword 'schmea'; {JSON_KEYWORDS}",
        ),
        (
            pytest.mark.quant_json(directory="/"),
            f"quant_json(directory=...): unknown keyword 'directory'; {JSON_KEYWORDS}",
        ),
        (
            pytest.mark.quant_json("x.json"),
            f"quant_json(): positional argument 'x.json'; {JSON_KEYWORDS}",
        ),
        (
            pytest.mark.quant_recall,
            "quant_recall(): keyword 'expect' is missing; "
            "allowed: allow_distractors, case_sensitive, distractors, expect, margin, match, min_score",
        ),
        (
            pytest.mark.quant_constraint(words=0),
            "quant_constraint(words=...): words=0; allowed: a whole number from 1 to 1000000000",
        ),
        (
            pytest.mark.quant_tolerance(jsn=0.5),
            "quant_tolerance(jsn=...): unknown keyword 'jsn'; "
            "allowed: budget, choice, code, constraint, embed, fidelity, ifeval, json, memory, recall, speed, tools",
        ),
        (
            pytest.mark.quant_tolerance,
            "quant_tolerance(): no check named; "
            "allowed: budget, choice, code, constraint, embed, fidelity, ifeval, json, memory, recall, speed, tools",
        ),
        (
            pytest.mark.quant_tolerance(json=50),
            "quant_tolerance(json=...): json=50; allowed: a number from 0 to 1",
        ),
        (
            pytest.mark.quant_sample(group="a"),
            "quant_sample(group=...): unknown keyword 'group'; allowed: cluster, family",
        ),
        (pytest.mark.quant_sample(family=5), "quant_sample(family=...): family=5; allowed: a text, not empty"),
        (
            pytest.mark.quant_context(tokens=0),
            "quant_context(tokens=...): tokens=0; allowed: a whole number from 1 to 1000000000",
        ),
        (pytest.mark.quant_context(), "quant_context(): keyword 'tokens' is missing; allowed: tokens"),
    ],
)
def test_a_wrong_marker_is_one_line_with_the_test(mark: pytest.MarkDecorator, line: str) -> None:
    wrong = item(mark)
    with pytest.raises(MarkerError) as caught:
        (markers.build_checks(wrong), markers.tolerances(wrong), markers.sample(wrong), markers.context(wrong))
    assert str(caught.value) == f"tests/test_x.py::TestIt::test_y: {line}"


def test_tolerances() -> None:
    assert markers.tolerances(item()) == {}
    assert markers.tolerances(item(pytest.mark.quant_tolerance(json=0.5, recall=1))) == {"json": 0.5, "recall": 1.0}


def test_sample_and_its_default_family() -> None:
    assert markers.sample(item()) is None
    bare = markers.sample(item(pytest.mark.quant_sample, name="test_y[candidate-7]"))
    assert bare == Sample(family="tests/test_x.py::TestIt::test_y", cluster="")
    named = markers.sample(item(pytest.mark.quant_sample(family="arith", cluster="sums")))
    assert named == Sample(family="arith", cluster="sums")


def test_family_is_the_first_check_of_the_table() -> None:
    assert markers.family(item()) == "assertions"
    assert markers.family(item(pytest.mark.quant_sample, pytest.mark.quant_tolerance(json=0.5))) == "assertions"
    assert markers.family(item(pytest.mark.quant_budget(wall_s=1), pytest.mark.quant_json())) == "json"


def test_importing_the_markers_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest_quantcheck.markers; heavy = "
        "'numpy', 'jsonschema', 'referencing', 'regex', 'py3langid', 'llama_cpp', 'jinja2'; "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


JUNK = st.sampled_from(
    [
        None, True, False, -1, 0, 1, 5, 10**30, 1.5, float("nan"), float("inf"), "", " ", "a", "(", "no/such", b"a", [],
        ["a"], [5], [[]], (), ("a", ""), {}, {"a": 1}, {1: 2}, {"name": "f", "arguments": {}}, {"$ref": "x"},
        {"type": 5}, [{"name": "f", "arguments": {}}], {"$schema": []}, {1, 2}, object(), int, Path("x"),
    ]
)  # fmt: skip


@pytest.mark.parametrize("factory", FACTORIES)
@given(data=st.data())
def test_junk_in_a_marker_is_a_marker_error_of_one_line(factory: Any, data: st.DataObject) -> None:
    allowed = [name for name in inspect.signature(factory).parameters if name != "directory"]
    keywords = data.draw(st.dictionaries(st.sampled_from(allowed), JUNK, max_size=4))
    needed: dict[str, dict[str, Any]] = {
        "quant_recall": {"expect": "a"},
        "quant_choice": {"answer": "a"},
        "quant_code": {"cases": [{"call": "f()", "equals": 1}]},
    }
    keywords = needed.get(factory.__name__, {}) | keywords
    line = ""
    try:
        check = factory(**keywords)
    except MarkerError as error:
        line = str(error)
    else:
        assert callable(check)
    assert "\n" not in line
