"""Nothing that is said to be past saving is ever saved, and what is past saving is said to be."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.checks.strict_json import quant_json
from pytest_quantcheck.json_prefix import JsonPrefix
from tests.builders import score
from tests.growth import growth

PIECES = [
    *'{}[]",:\\ \n', "```", "```json\n", "\n```", '"a"', '"b":', '{"a": 1}', '{"a": ', "1", "-0", "01", ".5", "e3",
    "true", "nul", "NaN", "\\u00e9", "\\ud800", "\\x", "\t", "x", "see [1]", '"a{b"', "\ufeff", "[a](b)", "0" * 700,
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
DEPTH = 3


def broken(*pieces: str, max_depth: int = 100) -> bool:
    prefix = JsonPrefix(max_depth)
    for piece in pieces:
        prefix.feed(piece)
    return prefix.broken


@given(TEXTS, TEXTS, st.booleans())
@example('"a {x', '"', False)
@example('```\n"a {x', '"\n```', False)
@example("[a {x", '}] {"a": 1}', False)
@example('```json\n{"a": 1}\n``` {x', "\n```", False)
def test_what_is_broken_is_worth_nothing_whatever_follows(begun: str, rest: str, surrogates: bool) -> None:
    if broken(begun, max_depth=DEPTH):
        for text in (begun, begun + rest):
            assert score(quant_json(max_depth=DEPTH, lone_surrogates=surrogates), text).value == 0.0


@given(TEXTS, st.lists(st.integers(0, 60), max_size=5))
def test_where_the_text_is_cut_into_pieces_changes_nothing(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(text)]
    assert broken(*(text[a:b] for a, b in pairwise(edges))) == broken(text)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('{"a": 1, ', "b"),
        ("{", "'"),
        ('{"a" ', "1"),
        ('{"a": 1,', "}"),
        ('{"a": 1', "]"),
        ('{"a": [1', "}"),
        ('{"a": [1,', "]"),
        ('{"a":', ":"),
        ('{"a": 01', ","),
        ('{"a": tru', "}"),
        ('{"a": ', "NaN"),
        ('{"a": ', "None"),
        ('{"a": -', " "),
        ('{"a": ' + "1" * 640, "1"),
        ('{"a": "line', "\n"),
        ('{"a": "\\', "x"),
        ('{"a": "\\u12', "g"),
        ('{"a": 1, "a', '"'),
        ('{"a": {"b": 1, "\\u0062', '"'),
        ('Sure: {"a": 1 ', '"b"'),
        ('```json\n{"a": 1 ', ";"),
        ('{"a": 1} and {"a": 2', "}"),
        ('{"a": 1}', "}"),
        ("", "}"),
        ("the value", "]"),
        ('{"a":' * 100, "{"),
        ('{"a": 1, ', "// no comment"),
    ],
)
def test_broken(good: str, bad: str) -> None:
    assert not broken(good)
    assert broken(good + bad)
    assert score(quant_json(), good + bad).value == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sure! Here it is",
        '{"a": 1',
        '{"a": [1, {"b": -0.5e+3}, null, "\\u00e9\\"", true], "c": {}, "d": []} There you are.',
        '"a {b',
        'He said "hello". {x',
        "[link] {x",
        '{"a": 1} see [1] {',
        "[1, 2,",
        '{"b": {"a": 1}, "a": 1',
    ],
)
def test_not_broken_or_not_known(text: str) -> None:
    assert not broken(text)


@pytest.mark.parametrize("piece", ['{"name": "Otto", "sum": [1, 2.5]}, ', "\\u00e9", "word ", "12345, "])
def test_linear(piece: str) -> None:
    def read(size: int) -> None:
        prefix = JsonPrefix(100)
        prefix.feed('{"list": ["' if piece[0] in "\\w" else '{"list": [')
        for _ in range(size // len(piece)):
            prefix.feed(piece)
        assert not prefix.broken

    assert growth(read, 20_000, 8) < 24
