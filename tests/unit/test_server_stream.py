"""What is heard of a streamed answer, however it is cut into pieces, and what becomes of it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.server.reply import Asked
from pytest_quantcheck.engines.server.reply import chat_reply
from pytest_quantcheck.engines.server.reply import estimated
from pytest_quantcheck.engines.server.stream import Banner
from pytest_quantcheck.engines.server.stream import Heard
from pytest_quantcheck.engines.server.stream import events
from pytest_quantcheck.engines.server.stream import hear_ollama
from pytest_quantcheck.engines.server.stream import hear_openai
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Status
from pytest_quantcheck.repetition import DEFAULT_RULE
from pytest_quantcheck.thinking import Kind
from tests.fakes.llama_swap import BANNER

WORDS = st.text("ab ━─\nll:", max_size=30)


def hear(*deltas: dict[str, Any], finish: str = "stop", **more: Any) -> Heard:
    """One delta a second, then the end, then a chunk without choices."""
    chunks: list[dict[str, Any]] = [{"choices": [{"delta": delta}]} for delta in deltas]
    clock = itertools.count(1)
    ends = [{"choices": [{"delta": {}, "finish_reason": finish}]}, {"choices": [], **more}]
    return hear_openai([*chunks, *ends], lambda: float(next(clock)), lambda: None)


def reply(heard: Heard, **asked: Any) -> Reply:
    known: dict[str, Any] = {"count": estimated, "loop": DEFAULT_RULE}
    return chat_reply(heard, Asked(**known | asked))


@given(st.data())
def test_the_banner_goes_and_the_rest_stays_however_it_is_cut(data: st.DataObject) -> None:
    rest = data.draw(st.text("ab \n", max_size=20))
    text = "".join(BANNER).format("qat") + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]

    banner = Banner()
    found = "".join(banner.without(piece) for piece in pieces) + banner.rest

    assert found.lstrip() == rest.lstrip()


@given(WORDS, st.integers(0, 30))
def test_what_is_no_banner_comes_back_whole(text: str, cut: int) -> None:
    banner = Banner()
    found = banner.without(text[:cut]) + banner.without(text[cut:]) + banner.rest

    assert found == text


def test_loading_takes_no_time_of_an_answers() -> None:
    lines = [{"reasoning_content": text.format("m")} for text in BANNER]

    heard = hear(*lines, {"content": "yes"})

    answer = reply(heard)
    assert (answer.text, answer.thinking) == ("yes", "")
    assert answer.timings.first_token_s == pytest.approx(1.0)
    assert answer.timings.total_s < 5


def test_a_rule_that_a_model_draws_takes_its_time() -> None:
    answer = reply(hear({"content": "───\n"}, {"content": "| a |"}))

    assert answer.text == "───\n| a |"
    assert answer.timings.first_token_s == pytest.approx(1.0)
    assert answer.timings.total_s == pytest.approx(5.0)


@given(st.lists(st.text("abc€😀 ", min_size=1, max_size=6), max_size=6))
def test_events_of_both_forms(texts: list[str]) -> None:
    objects = [{"n": number, "text": text} for number, text in enumerate(texts)]
    written = [json.dumps(one) for one in objects]
    sse = [": ping", "event: x", *(line for one in written for line in (f"data:{one}", "")), "data: [DONE]", "data: no"]

    assert list(events(sse)) == objects
    assert list(events(written)) == objects


@pytest.mark.parametrize("line", ["data: {", "data: 5", 'data: "x"', "{" * 5000, "data: " + "[" * 5000])
def test_no_event(line: str) -> None:
    with pytest.raises(EngineDied, match="the server's stream is broken"):
        list(events([line]))


def test_usage_without_choices_counts_and_an_end_is_needed() -> None:
    heard = hear({"content": "a"}, {"content": "b"}, usage={"prompt_tokens": 7, "completion_tokens": 3})

    assert (reply(heard).usage.prompt, reply(heard).usage.total, reply(heard).usage.source) == (7, 2, "reported")
    assert reply(heard, counts_end=False).usage.total == 3
    with pytest.raises(EngineDied, match="ended before the answer did"):
        hear_openai([{"choices": [{"delta": {"content": "a"}}]}], lambda: 0.0, lambda: None)
    with pytest.raises(EngineDied, match=r"broke its answer off \(abort\)"):
        hear({"content": "a"}, finish="abort")


@pytest.mark.parametrize(
    ("event", "kind", "words"),
    [
        ({"choices": [{"message": {"content": "72"}}]}, EngineRefused, "the server answers without streaming"),
        ({"choices": [{"delta": {"content": [{"type": "text", "text": "72"}]}}]}, EngineDied, "content is list, not"),
        ({"choices": [{"delta": {"content": 72}}]}, EngineDied, "the delta's content is int, not text"),
        ({"choices": [{"delta": {"reasoning": {"text": "hm"}}}]}, EngineDied, "the delta's reasoning is dict, not"),
        ({"choices": [{"delta": {"tool_calls": [{"function": {"name": 5}}]}}]}, EngineDied, "a call's name is int"),
        (
            {"choices": [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": [1]}}]}}]},
            EngineDied,
            "what a call is given is list, not text",
        ),
        ({"choices": "72"}, EngineDied, "its choices are no list of objects"),
        ({"choices": ["72"]}, EngineDied, "its choices are no list of objects"),
    ],
)
def test_what_is_no_text_is_no_empty_answer(event: dict[str, Any], kind: type[EngineError], words: str) -> None:
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    with pytest.raises(kind, match=words):
        hear_openai([event, end], lambda: 0.0, lambda: None)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"message": "hi"}, "a message is str"),
        ({"message": {"content": 72}}, "the message's content is int, not text"),
        ({"message": {"content": "a", "thinking": []}}, "the message's thinking is list, not text"),
    ],
)
def test_what_is_no_text_of_ollamas(event: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineDied, match=words):
        hear_ollama([event, {"done": True}], lambda: 0.0, lambda: None)


def test_half_a_surrogate_pair_is_spelled_out() -> None:
    found = reply(hear({"reasoning": "\ud83d"}, {"content": " \ud83d"}))

    assert (found.text, found.thinking) == ("\\ud83d", "\\ud83d")
    assert json.dumps(found.to_payload(), ensure_ascii=False).encode()


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 10**400, -1, None, "5", True, 1 << 53])
def test_what_can_be_no_count_is_not_told(number: Any) -> None:
    found = reply(hear({"content": "word"}, usage={"completion_tokens": number}, timings={"draft_n": number}))

    assert (found.usage.total, found.usage.source, found.timings.drafted) == (1, "estimated", 0)
    lines = [{"message": {"content": "word"}}, {"done": True, "eval_count": number, "load_duration": number}]
    assert reply(hear_ollama(lines, lambda: 1.0, lambda: None)).usage.total == 1


def test_one_thought_under_two_names_is_one() -> None:
    heard = hear({"reasoning": "hm", "reasoning_content": "hm"}, {"content": "yes"})

    assert (reply(heard).thinking, reply(heard).text) == ("hm", "yes")


@pytest.mark.parametrize(
    ("deltas", "finish", "status"),
    [
        ([{"reasoning": "hm"}], "stop", Status.UNCLOSED),
        ([{"reasoning": "hm"}], "length", Status.STARVED),
        ([{"content": "<think>hm"}], "stop", Status.UNCLOSED),
        ([{"content": "<think>hm"}], "length", Status.STARVED),
        ([{"content": "<think>hm</think>"}], "stop", Status.EMPTY),
        ([{"content": "hm</think>yes"}], "stop", Status.OK),
        ([{"content": "yes"}], "length", Status.TRUNCATED),
        ([{"content": "again " * 60}], "length", Status.LOOP),
        ([], "stop", Status.EMPTY),
        ([], "length", Status.STARVED),
    ],
)
def test_statuses(deltas: list[dict[str, Any]], finish: str, status: Status) -> None:
    assert reply(hear(*deltas, finish=finish)).status is status


@pytest.mark.parametrize("arguments", ["{", "[1]", "null", '{"a": ' * 3000])
def test_arguments_that_are_no_object_are_a_malformed_call(arguments: str) -> None:
    call = {"index": 0, "function": {"name": "f", "arguments": arguments}}

    (found,) = reply(hear({"tool_calls": [call]})).tool_calls

    assert (found.name, found.arguments) == ("f", None)


def hidden(visible: list[str], when: float, total: int) -> Reply:
    """An answer whose first token comes at ``when`` of 100 seconds, and ``total`` tokens reported."""
    heard = Heard(finish="stop", total_s=100.0, usage={"completion_tokens": total + 1})
    for number, text in enumerate(visible):
        heard.add(Kind.CONTENT, text, when + number)
    return reply(heard)


def test_an_estimate_sees_a_hidden_thought_only_with_a_late_first_token() -> None:
    late = hidden(["word "] * 4, 90.0, 100)
    assert (late.usage.thinking, late.usage.visible, late.usage.source) == (95, 5, "estimated")
    for other in (
        hidden(["word "] * 4, 2.0, 100),  # it was there at once: other tokens, no thought
        hidden(["word "] * 4, 90.0, 10),  # within what an estimate may be off
    ):
        assert (other.usage.thinking, other.usage.source) == (0, "reported")


@pytest.mark.parametrize(
    ("told", "thinking"),
    [
        ({"timings": {"prompt_ms": 2900.0}}, 0),
        ({"timings": {"prompt_ms": 100.0}}, 15),
        ({"usage": {"prompt_tokens": 3000}}, 0),
        ({"usage": {"prompt_tokens": 10}}, 15),
    ],
)
def test_reading_a_long_prompt_is_no_late_first_token(told: dict[str, dict[str, float]], thinking: int) -> None:
    """Digits: a token each, where an estimate takes four for one."""
    heard = Heard(finish="stop", total_s=3.2, usage={"completion_tokens": 21})
    heard.usage |= told.get("usage", {})
    heard.timings |= told.get("timings", {})
    for when in (3.0, 3.1):
        heard.add(Kind.CONTENT, "1234567890", when)

    assert reply(heard).usage.thinking == thinking


def test_no_tokens_of_some_text_were_not_counted() -> None:
    usage = reply(hear({"content": "some words"}, usage={"completion_tokens": 0})).usage
    assert (usage.visible, usage.source) == (3, "estimated")
    usage = reply(hear(usage={"completion_tokens": 0})).usage
    assert (usage.visible, usage.source) == (0, "reported")


@given(
    st.lists(st.tuples(st.sampled_from(["content", "reasoning"]), st.text(max_size=12)), max_size=12),
    st.one_of(st.none(), st.integers(0, 60)),
    st.sampled_from(["stop", "length", "tool_calls"]),
)
def test_any_answer_adds_up(pieces: list[tuple[str, str]], reported: int | None, finish: str) -> None:
    usage = {} if reported is None else {"usage": {"completion_tokens": reported}}

    found = reply(hear(*({kind: text} for kind, text in pieces), finish=finish, **usage))

    used = found.usage
    assert used.thinking + used.visible == used.total
    assert min(used.thinking, used.visible, used.tool_calls, used.prompt) >= 0
    assert used.tool_calls <= used.visible
    assert found.timings.first_token_s <= found.timings.total_s
    if reported or (reported == 0 and not found.raw):  # 0 tokens of some text were not counted
        assert used.total == max(0, reported - (finish != "length"))
    assert Reply.from_payload(json.loads(json.dumps(found.to_payload()))) == found
