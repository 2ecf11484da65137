"""The files of a recorded baseline: names, contents, what makes them stale."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_quantcheck import recording
from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.recording import Origin
from pytest_quantcheck.recording import Recording
from pytest_quantcheck.recording import Snapshot
from pytest_quantcheck.recording import SnapshotError
from pytest_quantcheck.recording import settings_of
from pytest_quantcheck.recording import without_machine
from pytest_quantcheck.recording import written
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import ToolCall
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.snapshot_files import file_name
from pytest_quantcheck.staleness import other_questions
from pytest_quantcheck.staleness import other_reference
from pytest_quantcheck.staleness import other_settings
from pytest_quantcheck.verdict import judge
from tests.builders import reply
from tests.ledgers import card
from tests.unit.test_records import observations

ORIGIN = Origin("q4km.gguf", "f" * 32, "0123456789abcdef", "llama.cpp b1")


def asked(text: str, question: str = "q", **more: Any) -> Reply:
    return replace(reply(text, **more), asked=question)


def seen(*replies: Reply, value: float = 1.0, **more: Any) -> Observation:
    scores = (Score("answer", 1.0, "fine"), Score("assertions", value, "so it is"))
    return Observation("t.py::test_x", Role.BASELINE, Status.OK, more.pop("scores", scores), replies, **more)


# --- names ---


@pytest.mark.parametrize("name", ["test_x", "test_x[3-a.b]", "test_class.test_x[a=1]"])
def test_a_plain_name_is_the_test_s(name: str) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "test_x[A]",
            "test_x[a/b]",
            "test_x[a\\b]",
            "test_x[..]/../../etc",
            "test_x[é]",
            "test_x[e\u0301]",
            "con",
            "aux.x",
        ),
        *(
            "test_x[\x00\n]",
            "test_x[\ud800]",
            "test_x[" + "x" * 5000 + "]",
            "test_x[a:b]",
            "test_x[ ]",
            "",
            "日本" * 80,
        ),
    ],
)
def test_any_other_name_is_safe_and_its_own(name: str) -> None:
    made = file_name(name)

    assert made != name
    assert made.isascii()
    assert len(made) <= 115
    assert not set(made) & set('/\\:*?"<>| ')
    assert made.isprintable()
    assert made.partition(".")[0].lower() not in ("con", "aux", "nul", "prn", "com1", "")


@given(st.sets(st.text(), min_size=2, max_size=6))
def test_names_are_kept_apart_where_case_does_not_count(names: set[str]) -> None:
    assert len({file_name(name).casefold() for name in names}) == len(names)


# --- contents ---


@settings(max_examples=60, deadline=None)
@given(observations)
def test_what_was_recorded_is_read_again(observation: Observation) -> None:
    kept = without_machine(observation, ())
    kept = replace(kept, error="", runs=max(1, len(kept.each)), scores=tuple(replace(s, why="so") for s in kept.scores))
    kept = replace(kept, replies=tuple(replace(one, prompt=one.prompt) for one in kept.replies))

    text = written(Snapshot(ORIGIN, kept).to_json())

    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert Snapshot.from_json(text.encode("utf-8").decode("utf-8")) == Snapshot(ORIGIN, kept)
    assert written(Snapshot.from_json(text).to_json()) == text


def test_nothing_of_the_machine_is_kept() -> None:
    answer = replace(reply("yes", "deep thought", total_s=12.5), cached=True)
    scores = (Score("answer", 1.0, "fine"), Score("speed", 0.0, "31.4 tok/s"), Score("json", 0.5, "half"))
    kept = without_machine(seen(answer, scores=scores), ("speed",))

    assert [score.check for score in kept.scores] == ["answer", "json"]
    assert (kept.bench, kept.duel, kept.memory) == (None, None, None)
    text = written(Snapshot(ORIGIN, kept).to_json())
    for secret in ("31.4", "12.5", "deep thought", "cached"):
        assert secret not in text


@pytest.mark.parametrize(
    "why",
    [
        "test_x.py:3: assert 'a' == 'b' + where 'a' = Reply(text='a', total_s=1.25)",
        "test_x.py:3: assert 'a' == 'b' at 0x7f00 and so on",
        "test_x.py:3: assert 'a' == 'b'Reply(text='a', total_s=1.25)",
    ],
)
def test_the_reason_of_a_failure_is_the_same_in_every_run(why: str) -> None:
    kept = Snapshot(ORIGIN, seen(scores=(Score("assertions", 0.0, why),))).to_json()

    assert kept["scores"][0]["why"] == "test_x.py:3: assert 'a' == 'b'"


def test_lines_of_an_answer_are_lines_of_the_file() -> None:
    text = written(Snapshot(ORIGIN, seen(reply("one\ntwo\n\nfour"))).to_json())

    assert '"one",\n        "two",\n        "",\n        "four"' in text


def test_what_cannot_be_seen_is_spelled_out() -> None:
    text = written({"a": "\x1b[31m \u202e \u2028 \ud800 \U000e0041 é日"})

    assert json.loads(text) == {"a": "\x1b[31m \u202e \u2028 \ud800 \U000e0041 é日"}
    assert "é日" in text
    assert text.encode("utf-8").isascii() is False
    assert "\u202e" not in text


def test_the_recording_is_read_again_without_the_machine() -> None:
    conditions = Conditions(context=512, build="b1", threads=7, batch=64, gpu_layers="all", environment={"GGML_X": "1"})
    made = Recording(card("old"), conditions, Pins(512, 100, why=(("context", "so"),)), settings_of(Settings()))

    text = written(made.to_json())

    found = Recording.from_json(text)
    assert found.conditions == replace(conditions, threads=None, batch=None, gpu_layers="")
    assert (found.pins, found.settings) == (made.pins, made.settings)
    assert found.card == replace(made.card, path="old.gguf")
    assert "/models" not in text


@given(st.text() | st.from_type(dict[str, int]).map(json.dumps) | st.just('{"format": 1}'))
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    for kind in (Snapshot, Recording):
        with pytest.raises(SnapshotError) as caught:
            kind.from_json(text)
        assert "\n" not in str(caught.value)
        assert caught.value.kind == "unreadable"


# --- stale ---


def test_settings_of_the_judgement_and_of_the_machine_do_not_count() -> None:
    usual = settings_of(Settings())

    assert settings_of(Settings(margin=0.2, alpha=0.1, threads=9, gpu_layers=3, strict=True, timeout=3.0)) == usual
    assert other_settings(usual, usual) == ""
    assert other_settings(usual, settings_of(Settings(seed=3))) == "recorded with seed=0, now 3"


def branch(*replies: Reply, passed: bool = True) -> Observation:
    return seen(*replies, value=float(passed))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ([asked("a")], [asked("b")], ""),
        ([asked("a", "p")], [asked("a", "q")], "question 1 is another than the recorded one"),
        ([asked("a"), asked("b", "p")], [asked("a"), asked("b", "r")], "question 2 is another than the recorded one"),
        # the conversation took another course
        ([asked("a"), asked("b", "p")], [asked("x"), asked("b", "r")], ""),
        ([asked("a"), asked("b", "p")], [asked("x")], ""),
        ([asked("a")], [asked("a"), asked("b")], "the test asks 2 questions now, 1 were recorded"),
        ([asked("a"), asked("b")], [asked("a")], "the test asks 1 questions now, 2 were recorded"),
        (
            [asked("", tool_calls=[ToolCall("f", {}, "f()")]), asked("b", "p")],
            [asked("", tool_calls=[ToolCall("g", {}, "g()")]), asked("b", "r")],
            "",
        ),
    ],
)
def test_other_questions(old: Sequence[Reply], new: Sequence[Reply], why: str) -> None:
    assert other_questions(branch(*old), branch(*new)) == why


def test_an_assertion_that_failed_may_end_the_conversation() -> None:
    long, short = (asked("a"), asked("b")), (asked("a"),)

    assert other_questions(branch(*long), branch(*short, passed=False)) == ""
    assert other_questions(branch(*short, passed=False), branch(*long)) == ""


def test_other_checks() -> None:
    extra = seen(scores=(*seen().scores, Score("json", 1.0, "fine")))

    assert other_questions(seen(), extra) == "the test scores json now"
    assert other_questions(extra, seen()) == "the test no longer scores json"
    assert other_questions(seen(), extra, ("json",)) == other_questions(extra, seen(), ("json",)) == ""


def test_other_likelihoods() -> None:
    one = SimpleNamespace(asked="p")
    more: Any = {"choices": (one,)}

    assert other_questions(seen(**more), seen(choices=(SimpleNamespace(asked="q"),))).startswith("choice 1 is another")
    assert other_questions(seen(**more), seen()) == "the test asks for 0 of choices now, 1 were recorded"


def test_a_file_that_is_not_there_is_told_from_one_that_cannot_be_read(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError):
        recording.read(tmp_path / "none.json")
    with pytest.raises(SnapshotError, match="directory"):
        recording.read(tmp_path)


# --- damage ---


def test_a_file_that_is_cut_anywhere_is_told_in_one_line() -> None:
    observation = seen(asked("one\ntwo", thinking="x"), asked("three"))
    whole = written(Snapshot(ORIGIN, observation).to_json())
    recorded = written(Recording(card("q4km"), Conditions(), Pins(), settings_of(Settings())).to_json())

    for text, parse in ((whole, Snapshot.from_json), (recorded, Recording.from_json)):
        for length in range(len(text) - 2):
            with pytest.raises(SnapshotError) as told:
                parse(text[:length])
            assert "\n" not in str(told.value)
        parse(text[:-1])  # the last line's end is nobody's loss


@given(data=st.data(), observation=observations)
@settings(max_examples=100, deadline=None)
def test_random_damage_never_ends_in_a_traceback(data: st.DataObject, observation: Observation) -> None:
    whole = written(Snapshot(ORIGIN, without_machine(observation, ())).to_json())
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    spoilt = (
        whole[:start]
        + data.draw(st.text(max_size=4) | st.sampled_from(["9" * 5000, "[" * 5000, "null"]))
        + whole[stop:]
    )
    for parse in (Snapshot.from_json, Recording.from_json):
        with contextlib.suppress(SnapshotError):
            parse(spoilt)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=4,
    ),
    data=st.data(),
)
@settings(max_examples=1000, deadline=None)
def test_any_value_in_any_place_never_ends_in_a_traceback(value: Any, data: st.DataObject) -> None:
    """JSON that is sound and says something else."""
    snapshot = Snapshot(ORIGIN, seen(asked("a"))).to_json()
    made = Recording(card("q4km"), Conditions(), Pins(), settings_of(Settings())).to_json()
    for whole, parse in ((snapshot, Snapshot.from_json), (made, Recording.from_json)):
        place: Any = json.loads(json.dumps(whole))
        found = place
        for _ in range(data.draw(st.integers(0, 3))):
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or not place[key]:
                place[key] = value
                break
            place = place[key]
        else:
            place[next(iter(place)) if isinstance(place, dict) else 0] = value
        with contextlib.suppress(SnapshotError):
            read = parse(json.dumps(found))
            if isinstance(read, Snapshot):
                other_questions(read.observation, seen(asked("a")))
                other_reference(read.observation, seen(asked("a")))
                judge(read.observation, seen(asked("a")))
