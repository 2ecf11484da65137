"""An answer is ended early only when every check says 0 of it, however it would have gone on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.checks.base import Check
from pytest_quantcheck.checks.base import ToldCheck
from pytest_quantcheck.checks.budget import quant_budget
from pytest_quantcheck.checks.code import quant_code
from pytest_quantcheck.checks.constraint.marker import quant_constraint
from pytest_quantcheck.checks.ifeval.marker import quant_ifeval
from pytest_quantcheck.checks.recall import quant_recall
from pytest_quantcheck.checks.strict_json import quant_json
from pytest_quantcheck.checks.tool_calls import quant_tools
from pytest_quantcheck.engines.answer import Run
from pytest_quantcheck.engines.answer import chat_reply
from pytest_quantcheck.engines.answer import completion_reply
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Status
from pytest_quantcheck.stop_rules import Stop
from pytest_quantcheck.stop_rules import never
from pytest_quantcheck.stop_rules import watcher
from pytest_quantcheck.thinking import FAMILIES
from pytest_quantcheck.thinking import PLAIN
from pytest_quantcheck.thinking import THINK
from pytest_quantcheck.thinking import Family
from pytest_quantcheck.thinking import Splitter
from tests.builders import score
from tests.growth import growth

CHECKS: dict[str, Check] = {
    "forbidden": quant_constraint(forbidden="cat"),
    "forbidden phrase": quant_constraint(forbidden="the cat"),
    "forbidden number": quant_constraint(forbidden="12"),
    "forbidden accent": quant_constraint(forbidden="é"),
    "two forbidden": quant_constraint(forbidden=["cat", "dog"]),
    "times": quant_constraint(times={"cat": (0, 1)}),
    "a character": quant_constraint(forbidden_characters="é"),
    "a line break": quant_constraint(forbidden_characters="\n"),
    "max_words": quant_constraint(max_words=3),
    "lines": quant_constraint(lines=1),
    "max_characters": quant_constraint(max_characters=8),
    "no bullets": quant_constraint(no="bullets"),
    "no tables": quant_constraint(no="tables"),
    "no emphasis": quant_constraint(no=["bold", "italics"]),
    "lower": quant_constraint(case="lower"),
    "upper": quant_constraint(case="upper"),
    "json": quant_json(),
    "json with keys": quant_json(keys=["a"]),
    "recall": quant_recall(expect="dog", distractors=["cat", "12 a"]),
    "recall, case": quant_recall(expect="dog", distractors=["Cat"], case_sensitive=True),
    "total": quant_budget(total_tokens=9),
    "thinking": quant_budget(thinking_tokens=3),
    "visible or share": quant_budget(visible_tokens=4, thinking_share=0.5),
}
PIECES = [
    "<think>", "</think>", "<tool_call>", "</tool_call>", "<|channel>thought", "<channel|>",
    "<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|end|>", "<|start|>assistant",
    "cat", "cats", "the", "dog", "Cat", "OK", "ok", "12", ".5", ",000 ", "-", " ", "\n", "\n\n", "- a\n",
    "é", "e", "\u0301", "\u0301\n", "Σ", "ǅ", "**a", "**", "*b*", "_", "|-", "|a|", "```",
    '{"a": 1', "}", "{x", '"', "[", b"\xc3", b"\xa9", b"\xff", b"",
]  # fmt: skip
TOKENS = st.lists(st.sampled_from(PIECES), max_size=20)
FAMILY = st.sampled_from([THINK, PLAIN, *(one for one in FAMILIES if one.name in ("gemma4", "gpt-oss", "qwen3"))])


def encoded(tokens: Sequence[str | bytes]) -> list[bytes]:
    return [token if isinstance(token, bytes) else token.encode() for token in tokens]


def stop_of(*checks: Check) -> Stop:
    return tuple(group for check in checks if isinstance(check, ToldCheck) for group in check.stop)


def ends_at(stop: Stop, tokens: Sequence[str | bytes], family: Family | None = PLAIN, *, opened: bool = False) -> int:
    """How many tokens there are when the answer may end; 0 when it may not."""
    ends = watcher(stop, None if family is None else lambda: Splitter(family, opened=opened))
    return next((number for number, token in enumerate(encoded(tokens), 1) if ends(token)), 0)


def answered(
    tokens: Sequence[str | bytes], family: Family | None, *, opened: bool = False, early: bool = False
) -> Reply:
    run = Run()
    run.finish = "stop"
    for token in encoded(tokens):
        run.add(token, 1.0)
    if early:
        run.end_early(len(run.times) + 5)
    return completion_reply(run, []) if family is None else chat_reply(run, [], opened=opened, family=family)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@given(TOKENS, TOKENS, FAMILY | st.none(), st.booleans())
@example(["cat", " "], ["\u0301"], None, False)
@example(["12", " "], [".5"], None, False)
@example(["ok", "\n"], [], PLAIN, False)
@example(["|-", " "], ["a"], None, False)
@example(["ok", "<tool_call>", '{"a": 1', "}", " ", "</tool_call>"], [], THINK, False)
@example(["cat", " "], ["</think>", "dog"], THINK, False)
def test_what_ends_early_is_worth_nothing_however_it_goes_on(
    check: Check, begun: list[str | bytes], rest: list[str | bytes], family: Family | None, opened: bool
) -> None:
    tokens = [*begun, *rest]
    if at := ends_at(stop_of(check), tokens, family, opened=opened):
        cut = answered(tokens[:at], family, opened=opened, early=True)
        whole = answered(tokens, family, opened=opened)
        assert (cut.status, cut.finish, cut.spared) == (Status.OK, "early", 5)
        assert cut.text.strip()
        assert whole.text.strip()
        assert (score(check, cut).value, score(check, whole).value) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "tokens", "at"),
    [
        ("forbidden", ["the", " cat", "s", " and", " cat", ", dog"], 6),
        ("forbidden", ["the", " cat", ". ", "And"], 3),
        ("forbidden", ["the", " cat"], 0),
        ("forbidden phrase", ["the", "\n", "cat", " ", "sat"], 4),
        ("forbidden number", ["12", " "], 2),
        ("forbidden accent", ["cafe\u0301", " e\u0301 ", "ok"], 2),
        ("two forbidden", ["cat dog ", "x "], 1),
        ("two forbidden", ["cat ", "cat "], 0),
        ("times", ["cat ", "cat "], 2),
        ("max_words", ["one ", "two ", "three ", "four "], 4),
        ("lines", ["one\n", "two ", "x"], 2),
        ("max_characters", ["12345678", "9", " "], 3),
        ("no bullets", ["- one", "\n", "- two"], 2),
        ("lower", ["ok ", "Ok "], 2),
        ("lower", ["ok ", "ǅ "], 2),
        ("upper", ["OK ", "OKAY ", "a "], 3),
        ("json", ['{"a"', ": ", "x"], 3),
        ("recall", ["a dog or ", "a cat ", "or so"], 2),
        ("total", ["a "] * 12, 10),
        ("visible or share", ["a "] * 12, 5),
    ],
)
def test_ends_with_the_token_that_decides(name: str, tokens: list[str], at: int) -> None:
    assert ends_at(stop_of(CHECKS[name]), tokens, None) == at
    assert ends_at(stop_of(CHECKS[name]), tokens, PLAIN) == at


def test_a_thought_is_never_ended() -> None:
    """Starved is another outcome than a budget that is passed: only an answer that has begun may end."""
    stop = stop_of(CHECKS["thinking"])
    thought = ["<think>", *["hm "] * 50]
    assert ends_at(stop, thought, THINK) == 0
    assert ends_at(stop, [*thought, "</think>", "\n", " ok", " yes"], THINK) == len(thought) + 3


def test_text_that_a_stray_marker_may_still_turn_into_a_thought_ends_nothing() -> None:
    stop = stop_of(CHECKS["forbidden"])
    assert ends_at(stop, ["a ", "cat ", "sat"], THINK) == 0
    assert ends_at(stop, ["<think>", "</think>", "a ", "cat ", "sat"], THINK) == 4
    assert ends_at(stop, ["a ", "cat ", "sat"], THINK, opened=True) == 0
    # in what begins like JSON a marker is text
    assert ends_at(stop_of(CHECKS["json"]), ['{"a', '": x'], THINK) == 2


def test_every_check_must_have_decided() -> None:
    tokens = ["cat ", '{"a": 1 ', "x ", "y "]
    assert ends_at(stop_of(CHECKS["forbidden"], CHECKS["json"]), tokens) == 3
    assert ends_at(stop_of(CHECKS["forbidden"], CHECKS["json"], CHECKS["total"]), tokens) == 0


@pytest.mark.parametrize(
    "check",
    [
        quant_constraint(forbidden="cat", min_score=0),
        quant_constraint(forbidden="cat", required="dog"),
        quant_constraint(min_words=3),
        quant_constraint(times={"cat": (1, None)}),
        quant_constraint(max_sentences=3),
        quant_constraint(items=2),
        quant_constraint(forbidden="cat", each={"lines": {"forbidden": "cat"}}),
        quant_json(min_score=0),
        quant_recall(expect="dog"),
        quant_recall(expect="dog", distractors=lambda: ["cat"]),
        quant_recall(expect="dog", distractors=["cat"], allow_distractors=True),
        quant_recall(expect="dog", match="ruler"),
        quant_recall(expect="dog", margin=True),
        quant_budget(thinking_share=0.5),
        quant_budget(wall_s=1),
        # the other side's tokens would be compared with those of an answer that was ended early
        quant_budget(total_tokens=9, vs_baseline=1.5),
        quant_budget(total_tokens=9, visible_vs_baseline=0.5),
        quant_tools(none=True),
        quant_code(cases=[{"call": "f()", "equals": 1}]),
        quant_ifeval(instruction_id_list=["punctuation:no_comma"]),
    ],
)
def test_what_may_be_mended_or_is_enough_at_0_offers_nothing(check: Check) -> None:
    assert stop_of(check) == ()


def test_without_a_rule_nothing_is_watched() -> None:
    assert watcher((), None) is never
    assert not never(b"cat ")


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_rules_cross_processes(check: Check) -> None:
    generation = Generation(stop=stop_of(check))
    assert generation.stop
    assert Generation.from_payload(generation.to_payload()) == generation


@pytest.mark.parametrize(
    ("checks", "begun", "token"),
    [
        (["forbidden", "no bullets", "lower", "total"], "<think></think>", "word and "),
        (["json"], '<think></think>{"a": [', "12, "),
        (["json"], "", "word "),
    ],
)
def test_linear_in_the_answer(checks: list[str], begun: str, token: str) -> None:
    stop: Any = stop_of(*(CHECKS[name] for name in checks))

    def watch(size: int) -> None:
        assert ends_at(stop, [begun, *[token] * size], THINK) == 0

    assert growth(watch, 500, 8) < 24
