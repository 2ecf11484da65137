"""The JSON report: strict JSON whatever was recorded, as its published schema says, whole on the disk or not at all."""

from __future__ import annotations

import copy
import dataclasses
import enum
import json
import math
import os
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.records import SIDES
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Verdict
from pytest_quantcheck.records import Word
from pytest_quantcheck.reports import json_report
from pytest_quantcheck.reports.json_report import plain
from pytest_quantcheck.said import Said
from pytest_quantcheck.session import KINDS
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.verdict import Result
from tests.builders import call
from tests.builders import reply
from tests.ledgers import add
from tests.ledgers import every_end
from tests.ledgers import ledger
from tests.ledgers import observation
from tests.makers import maker
from tests.unit.test_reports import rich_ledger

SCHEMA = json.loads(Path(json_report.__file__).with_name("report.schema.json").read_text(encoding="utf-8"))
MAKER = maker("make_schema.py")
ENDS = every_end()


def faults(report: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(report)]


def built(name: str) -> dict[str, Any]:
    return json_report.build(ENDS[name], 4 if name == "refused" else 1)


# --- the schema ---


def test_the_schema_is_made_from_the_records() -> None:
    assert MAKER["PAGE"].read_text(encoding="utf-8") == MAKER["page"](), "run: python docs/make_schema.py"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    objects = [SCHEMA, *(one for one in SCHEMA["$defs"].values() if one.get("type") == "object")]
    assert len(objects) > 15
    assert all(one["additionalProperties"] is False and one["required"] == list(one["properties"]) for one in objects)


@pytest.mark.parametrize("name", ENDS)
def test_every_kind_of_report_meets_the_schema(name: str) -> None:
    report = built(name)

    assert faults(report) == []
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_the_reports_above_are_of_every_kind() -> None:
    assert {built(name)["kind"] for name in ENDS} == {*KINDS, "refused"}
    assert all(built(name)["kind"] == name for name in {*KINDS, "refused"})


def test_a_rich_report_meets_the_schema() -> None:
    assert faults(json_report.build(rich_ledger(), 1)) == []


MUTATIONS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a key is missing": lambda report: report.pop("kind"),
    "a key is missing deep inside": lambda report: report["pairs"][0]["candidate"]["replies"][0].pop("raw"),
    "a key too many": lambda report: report.update(more=1),
    "a key too many deep inside": lambda report: report["verdict"]["markers"][0].update(more=1),
    "a role too many": lambda report: report["roles"].update(teacher=report["roles"]["baseline"]),
    "text for a number": lambda report: report.update(exit_status="1"),
    "a number for text": lambda report: report["verdict"].update(sentence=1),
    "a fraction for a count": lambda report: report["pairs"][0]["candidate"]["replies"][0]["usage"].update(total=1.5),
    "null for text": lambda report: report["pairs"][0].update(pair=None),
    "an object for a list": lambda report: report.update(pairs={}),
    "an unknown word": lambda report: report["pairs"][0]["verdict"].update(word="better"),
    "an unknown kind": lambda report: report.update(kind="fine"),
    "an older version": lambda report: report.update(version=1),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_report_that_is_wrong_fails_the_schema(name: str) -> None:
    report = copy.deepcopy(built("regression"))
    MUTATIONS[name](report)

    assert faults(report)


class Colour(enum.StrEnum):
    """A colour."""

    RED = "red"


@dataclasses.dataclass(frozen=True)
class Inner:
    """What is inside.

    :param deep: how deep it is.
    """

    deep: float


@dataclasses.dataclass(frozen=True)
class Outer:
    """All that a record may hold."""

    colour: Colour
    path: Path | None
    """Where it is."""
    either: Inner | None
    word: Literal["a", "b"] | Literal["c"]
    many: tuple[Inner, ...]
    two: tuple[int, str]
    anything: Any
    table: dict[Colour, int | None]


@dataclasses.dataclass(frozen=True)
class Odd:
    """Nothing that JSON knows."""

    field: bytes


GOOD: dict[str, Any] = {
    "colour": "red",
    "path": None,
    "either": {"deep": 1.5},
    "word": "c",
    "many": [{"deep": None}],
    "two": [1, "x"],
    "anything": [{}],
    "table": {"red": None},
}


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "blue"},
        {"path": 1},
        {"either": {}},
        {"either": {"deep": "x"}},
        {"word": "d"},
        {"many": [{"deep": 1, "more": 1}]},
        {"two": [1]},
        {"two": [1, "x", 2]},
        {"two": ["x", 1]},
        {"table": {"blue": 1}},
        {"table": {"red": "x"}},
    ],
)
def test_the_schema_of_any_record(change: dict[str, Any]) -> None:
    schema = MAKER["schema_of"](Outer)
    validator = jsonschema.Draft202012Validator(schema)

    validator.validate(GOOD)
    assert not validator.is_valid({**GOOD, **change})


def test_the_schema_explains() -> None:
    schema = MAKER["schema_of"](Outer)

    assert schema["description"] == "All that a record may hold."
    assert schema["properties"]["path"] == {"description": "Where it is.", "type": ["string", "null"]}
    assert schema["$defs"]["Inner"]["description"] == "What is inside."
    assert schema["$defs"]["Inner"]["properties"]["deep"]["description"] == "How deep it is."


def test_a_type_without_a_schema_is_named() -> None:
    with pytest.raises(TypeError, match="no JSON Schema for <class 'bytes'>"):
        MAKER["schema_of"](Odd)


# --- strict JSON ---


def test_numbers_that_are_not_finite_become_null() -> None:
    made = ledger()
    slow = dataclasses.replace(reply("yes", tool_calls=[call("f", x=math.inf, y=[math.nan, 1.5])]), thinking_asked=None)
    bench = Bench((math.inf, 2.0), (math.nan,), 512, 128)
    for role in SIDES:
        seen = dataclasses.replace(observation(role, "test_x", 1.0, slow), bench=bench)
        if role is Role.BASELINE:
            made.add(Said(baseline=seen))
        else:
            made.add(Said(result=Result("test_x", "x", "json", "", seen, Verdict(Word.HELD, "passed", ""))))
    made.add_use({"candidate": {"loads": 1, "peak_memory": 1, "facts": {"speed": -math.inf}}})

    report = json_report.build(made, 0)

    assert "NaN" not in json.dumps(report, allow_nan=False)
    [pair] = report["pairs"]
    for half in ("baseline", "candidate"):
        assert pair[half]["bench"]["prefill_tok_s"] == [None, 2.0]
        assert pair[half]["bench"]["decode_tok_s"] == [None]
        assert pair[half]["replies"][0]["tool_calls"][0]["arguments"] == {"x": None, "y": [None, 1.5]}
    assert report["roles"]["candidate"]["use"]["facts"] == {"speed": None}
    assert faults(report) == []


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from(list(Word)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner) | st.tuples(inner),
)


@given(anything)
def test_whatever_is_recorded_is_strict_json(value: Any) -> None:
    text = json.dumps(plain(value), allow_nan=False, ensure_ascii=False)

    text.encode()
    json.loads(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_what_is_json_already_stays_as_it_is(value: Any) -> None:
    assert plain(value) == value


def test_surrogates_that_make_a_pair_are_one_character() -> None:
    assert plain("\ud83d\ude00 \ud800!") == "😀 �!"


def test_what_has_no_place_in_a_report_is_named() -> None:
    with pytest.raises(TypeError, match="object has no place in a report"):
        plain({"x": [object()]})


def test_the_report_is_json_and_holds_every_pair() -> None:
    made = rich_ledger()
    made.add(Said(baseline=observation(Role.BASELINE, "test_alone", 1.0, reply("lone \ud800"))))

    report = json_report.build(made, 1)

    assert json.loads(json.dumps(report)) == report
    assert report["version"] == json_report.VERSION
    assert [pair["pair"] for pair in report["pairs"]] == [result.pair for result in made.results]
    assert all(pair["baseline"]["pair"] == pair["pair"] for pair in report["pairs"])
    assert [alone["pair"] for alone in report["baseline_only"]] == ["test_alone"]
    assert report["roles"]["candidate"]["card"]["name"] == "candidate"
    assert report["roles"]["candidate"]["use"] is None
    assert {pair["verdict"]["word"] for pair in report["pairs"]} == {Word.REGRESSED, Word.HELD, Word.IMPROVED}


def test_a_refused_run_has_no_verdict() -> None:
    made = ledger(report=Path("r.json"))
    made.cards.clear()
    made.refusal = "--quant-model: does not exist"

    report = json_report.build(made, 4)

    assert (report["verdict"], report["refusal"], report["exit_status"]) == (None, made.refusal, 4)
    assert report["settings"]["report"] == "r.json"
    assert report["roles"]["baseline"] == {"card": None, "conditions": None, "use": None}


def test_building_a_report_takes_each_result_once() -> None:
    class Counting(Ledger):
        asked = 0

        @property
        def results(self) -> Sequence[Result]:
            self.asked += 1
            return super().results

    made = Counting(Settings(model="new", baseline="old"))
    for number in range(20):
        add(made, f"test_{number}", 1.0, 1.0)

    json_report.build(made, 0)

    assert made.asked < 5


def test_a_report_is_written_into_new_folders(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "r.json"

    json_report.write(path, {"text": "\ud800 ä"})

    assert json.loads(path.read_bytes().decode("ascii")) == {"text": "\ud800 ä"}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("stage", ["write_text", "replace"])
def test_a_report_is_the_old_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    path = tmp_path / "r.json"
    json_report.write(path, {"old": 1})

    def fail(*args: Any, **_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        if stage == "replace":
            patched.setattr(os, "replace", fail)
        else:
            patched.setattr(Path, "write_text", fail)
        with pytest.raises(OSError, match="No space left"):
            json_report.write(path, {"new": 1})

    assert json.loads(path.read_text(encoding="ascii")) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_json_leaves_the_old_report(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    json_report.write(path, {"old": 1})

    with pytest.raises(TypeError):
        json_report.write(path, {"new": object()})

    assert json.loads(path.read_text(encoding="ascii")) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]
