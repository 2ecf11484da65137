"""What is recovered, what is asked of the value, and what a grammar hid."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck import EngineCannot
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import ToldCheck
from pytest_quantcheck.checks.strict_json import quant_json
from pytest_quantcheck.records import GrammarCost
from pytest_quantcheck.records import Reply
from tests.builders import reply
from tests.builders import score
from tests.growth import growth


@given(st.text() | st.text(alphabet='[]{}",:\\u0d8eE+-.1 \n`tfn', max_size=60))
def test_arbitrary_text_never_raises_anything_else(text: str) -> None:
    assert score(quant_json(), text).value in (0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', 1.0),
        ('```json\n{"a": 1}\n```', 0.5),
        ('```\n{"a": 1}\n```\n', 0.5),
        ('Here it is:\n```json\n{"a": 1}\n```\nDon\'t hesitate to ask.', 0.5),
        ('Sure! {"a": 1} Anything else?', 0.5),
        ('See [the docs]: {"a": 1}', 0.5),
        ('{"a": 1}}', 0.0),  # damaged, not surrounded
        ('{"a": 1}} {', 0.0),
        ('{"a": 1', 0.0),
        ('{"a": 1,}', 0.0),
        ("{'a': 1}", 0.0),
        ('{"a": 1} or {"a": 2}', 0.0),  # ambiguous
        ('{"a": 1} (see [1])', 0.0),
        ('{"a": NaN} {"a": 1}', 0.0),
        ('{"a": 1, "a": 1} is it', 0.0),
        ("a is 1", 0.0),
        ("", 0.0),
        ('{"a": 2}', 0.0),
        ('{"a": true}', 0.0),
        ('So: {"a": 2}', 0.0),
        ('{"a": 1.0}', 1.0),
    ],
)
def test_partial_only_by_taking_away_what_is_around(text: str, value: float) -> None:
    assert score(quant_json(equals={"a": 1}), text).value == value


def test_a_scalar_is_saved_from_a_fence_only() -> None:
    assert score(quant_json(equals=42), "```json\n42\n```").value == 0.5
    assert score(quant_json(equals=42), "It is 42").value == 0.0


def test_json_that_stands_in_the_thinking_only_does_not_count() -> None:
    assert score(quant_json(), reply("", thinking='{"a": 1}')).value == 0.0


def test_exact_keys() -> None:
    check = quant_json(keys=["a", "b"], min_score=0.5)
    assert score(check, '{"b": 1, "a": 2}').value == 1.0
    assert score(check, '{"a": 2}').why == "strict JSON, but key 'b' is missing"
    assert score(check, '{"b": 1, "a": 2, "c": 3}').why == "strict JSON, but key 'c' was not asked for"
    assert score(check, "[1]").value == 0.0
    assert score(check, '-> {"b": 1, "a": 2}').passed


def test_equals_null_is_not_the_same_as_no_equals() -> None:
    assert score(quant_json(equals=None), "null").value == 1.0
    assert score(quant_json(equals=None), "0").value == 0.0
    assert score(quant_json(), "0").value == 1.0


def test_equals_names_the_first_difference() -> None:
    why = score(quant_json(equals={"x": [{"y": "a"}]}), '{"x": [{"y": "b"}]}').why
    assert why == "strict JSON, but $.x[0].y: 'a' expected, 'b' found"


@pytest.mark.parametrize(
    ("keywords", "line"),
    [
        ({"schema": ""}, "allowed: a path or a dict"),
        ({"schema": 5}, "allowed: a path or a dict"),
        ({"schema": {"const": object()}}, "something that JSON cannot"),
        ({"schema": {"const": math.nan}}, "something that JSON cannot"),
        ({"schema": "."}, "paths are relative"),
        ({"keys": []}, "not empty"),
        ({"equals": {1, 2}}, "a value that JSON can hold"),
        ({"equals": math.inf}, "a value that JSON can hold"),
        ({"equals": {"a": 1}, "keys": ["b"]}, "equals contradicts"),
        ({"equals": "a", "schema": {"type": "number"}}, "equals contradicts"),
        ({"equals": [[1]], "max_depth": 1}, "equals=[[1]]: not read as JSON: nested deeper than 1"),
        ({"equals": "\ud800"}, "a lone surrogate"),
        ({"min_score": "high"}, "from 0 to 1"),
        ({"max_depth": 101}, "allowed: a whole number from 1 to 100"),
        ({"max_bytes": 0}, "allowed: a whole number from 1 to 1048576"),
        ({"lone_surrogates": "no"}, "allowed: True, False"),
        ({"formats": 1, "schema": {}}, "allowed: True, False"),
        ({"formats": True}, "formats=True needs schema=..."),
        ({"constrained": True, "keys": ["a"]}, "constrained=True needs schema=..."),
        ({"constrained": True, "schema": {}, "max_rejected": 12}, "max_rejected=12; allowed: a number from 0 to 1"),
        ({"constrained": True, "schema": {}, "max_illegal": True}, "max_illegal=True; allowed: a number from 0 to 1"),
        ({"max_illegal": 0.1, "schema": {}}, "need constrained=True"),
    ],
)
def test_a_wrong_marker_is_one_clear_line(keywords: dict[str, Any], line: str) -> None:
    with pytest.raises(MarkerError) as caught:
        quant_json(**keywords)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("filler", ["[", "{", "]", "[]", '"', "\\", '{"', "```\n", "`", '["\\', "a", "{}"])
def test_a_long_answer_takes_no_long_time(filler: str) -> None:
    def work(size: int) -> None:
        score(quant_json(), "x " + (filler * size)[:size])

    assert growth(work, 60_000, 8) < 40
    assert score(quant_json(), "[" * 10_000_000).why.endswith("are read")


def test_bounds_and_surrogates_by_keyword() -> None:
    assert score(quant_json(max_depth=2), '[{"a": 1}]').value == 1.0
    assert score(quant_json(max_depth=1), '[{"a": 1}]').why == "not read as JSON: nested deeper than 1"
    assert score(quant_json(max_bytes=4), '"éé"').why == "not read as JSON: more than 4 bytes"
    assert score(quant_json(max_bytes=9), 'So: {"a": 1}').value == 0.5, "of the JSON, not of the prose around it"
    assert score(quant_json(lone_surrogates=True, equals="\ud800"), '"\\ud800"').value == 1.0
    assert score(quant_json(equals="a"), '"\\ud800"').why == "not strict JSON: a lone surrogate in a string"
    assert r"'a' expected, '\ud800' found" in score(quant_json(lone_surrogates=True, equals="a"), '"\\ud800"').why


# --- under a grammar ----------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "required": ["a"]}
HELD = "strict JSON; the grammar ruled out 12 % of the probability and the model's first choice in 3 of 41 steps"


def forced(text: str, mass: float = 0.12, illegal: int = 3, steps: int = 41) -> Reply:
    return replace(reply(text), grammar=GrammarCost(steps, illegal, mass))


def test_a_constrained_check_carries_the_schema() -> None:
    check = quant_json(schema=SCHEMA, constrained=True)
    assert isinstance(check, ToldCheck)
    assert check.json_schema == SCHEMA
    assert getattr(quant_json(schema=SCHEMA), "json_schema", None) is None


def test_the_reason_says_what_the_grammar_ruled_out() -> None:
    for check in (quant_json(schema=SCHEMA, constrained=True), quant_json(schema=SCHEMA)):
        held = score(check, forced('{"a": 1}'))
        assert (held.value, held.why) == (1.0, HELD)
    wrong = score(quant_json(schema=SCHEMA, constrained=True, equals={"a": 2}), forced('{"a": 1}'))
    assert wrong.value == 0.0
    assert wrong.why == HELD.replace("JSON;", "JSON, but $.a: 2 expected, 1 found;")


def test_what_nobody_measured_is_not_invented() -> None:
    seen = score(quant_json(schema=SCHEMA, constrained=True), '{"a": 1}')
    assert (seen.value, seen.why) == (1.0, "strict JSON; this engine does not measure what the grammar ruled out")
    assert score(quant_json(schema=SCHEMA), '{"a": 1}').why == "strict JSON"
    with pytest.raises(EngineCannot, match="does not measure what a grammar rules out"):
        score(quant_json(schema=SCHEMA, constrained=True, max_illegal=0.5), '{"a": 1}')


@pytest.mark.parametrize(
    ("limits", "value", "end"),
    [
        ({"max_rejected": 0.12}, 1.0, "in 3 of 41 steps"),
        ({"max_rejected": 0.11}, 0.5, "steps, but at most 11 % of the probability was allowed"),
        ({"max_illegal": 3 / 41}, 1.0, "in 3 of 41 steps"),
        ({"max_illegal": 0.07}, 0.5, "steps, but at most 7 % of the steps was allowed"),
        ({"max_illegal": 0, "max_rejected": 0}, 0.5, "0 % of the probability and at most 0 % of the steps was allowed"),
    ],
)  # fmt: skip
def test_a_limit_halves_what_only_the_grammar_made_right(limits: dict[str, float], value: float, end: str) -> None:
    check = quant_json(schema=SCHEMA, constrained=True, **limits)  # type: ignore[arg-type]
    seen = score(check, forced('{"a": 1}'))
    assert seen.value == value
    assert seen.why.endswith(end)
    assert score(check, forced("[1]")).value == 0.0, "never more than without the limit"


@pytest.mark.parametrize(
    ("mass", "words"),
    [
        (0.0, "0 % of"), (1e-9, "less than 0.1 % of"), (0.0005, "0.1 % of"), (0.012, "1.2 % of"), (0.07, "7 % of"),
        (0.0994, "9.9 % of"), (0.0999, "10 % of"), (0.5, "50 % of"), (1.0, "100 % of"),
    ],
)  # fmt: skip
def test_shares_in_words(mass: float, words: str) -> None:
    why = score(quant_json(schema=SCHEMA, constrained=True), forced('{"a": 1}', mass, 0, 0)).why
    assert (
        why
        == f"strict JSON; the grammar ruled out {words} the probability and the model's first choice in 0 of 0 steps"
    )
