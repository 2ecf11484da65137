"""Records cross processes as JSON builtins and come back as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_quantcheck.benches import Duel
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.companions import Projector
from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.confirmation import Confirmation
from pytest_quantcheck.devices import Device
from pytest_quantcheck.devices import Place
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.error_counts import ErrorCounts
from pytest_quantcheck.fairness import Difference
from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.gguf_card import KvLayers
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import SpecialToken
from pytest_quantcheck.instruments import Instrument
from pytest_quantcheck.ledger import RoleUse
from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.progress import Doing
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import GrammarCost
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Record
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import RunScores
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Timings
from pytest_quantcheck.records import ToolCall
from pytest_quantcheck.records import Usage
from pytest_quantcheck.records import Verdict
from pytest_quantcheck.records import Word
from pytest_quantcheck.renderings import Renderings
from pytest_quantcheck.repetition import LoopRule
from pytest_quantcheck.said import Said
from pytest_quantcheck.samples import Samples
from pytest_quantcheck.samples import SampleVerdict
from pytest_quantcheck.sampling import Sampling
from pytest_quantcheck.session import KINDS
from pytest_quantcheck.session import SessionVerdict
from pytest_quantcheck.statistics import Ratio
from pytest_quantcheck.statistics import Rule
from pytest_quantcheck.stop_rules import Fact
from pytest_quantcheck.tally import Tally
from pytest_quantcheck.verdict import Result
from pytest_quantcheck.voice import Voice
from tests.builders import reply

# a model may write lone surrogates; they must not break the way back
texts = st.text(st.characters(), max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 10**12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=5,
)
mappings = st.dictionaries(texts, plain, max_size=2)


def tuples(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=2).map(tuple)


tool_calls = st.builds(ToolCall, texts, st.none() | mappings, texts)
usages = st.builds(
    Usage, counts, counts, counts, counts, st.sampled_from(["exact", "reported", "re-tokenised", "estimated"])
)
grammar_costs = st.builds(GrammarCost, counts, counts, numbers)
timings = st.builds(Timings, numbers, st.none() | numbers, numbers)
replies = st.builds(
    Reply,
    texts,
    texts,
    tuples(tool_calls),
    texts,
    st.sampled_from(["stop", "length", "early"]),
    st.sampled_from(Status),
    usages,
    timings,
    counts,
    st.none() | st.booleans(),
    texts,
    texts,
    st.none() | grammar_costs,
    st.booleans(),
    counts,
)
choices = st.builds(Choice, tuples(texts), tuples(numbers), tuples(counts), counts, texts, texts, texts)
embeddings = st.builds(Embeddings, tuples(texts), tuples(texts), counts, texts, tuples(counts), texts, texts)
benches = st.builds(
    Bench,
    tuples(numbers),
    tuples(numbers),
    counts,
    counts,
    tuples(numbers),
    counts,
    st.none() | numbers,
    counts,
    st.booleans(),
)
duels = st.builds(
    Duel,
    tuples(benches),
    tuples(benches),
    texts,
    st.booleans(),
    tuples(texts),
    st.none() | numbers,
    st.dictionaries(texts, numbers, max_size=2),
)
figures = st.none() | numbers
chunks = st.builds(
    Chunk, st.sampled_from(["text", "thought", "answer"]), counts, numbers, figures, figures, st.none() | counts
)
tails = st.dictionaries(texts, st.dictionaries(texts, numbers, max_size=2), max_size=2)
fidelities = st.builds(
    Fidelity, texts, tuples(chunks), texts, texts, counts, tails, figures, texts, texts, st.booleans()
)
maybe = st.none() | counts
buffers = st.builds(Buffers, counts, maybe, maybe, maybe, maybe)
memories = st.builds(
    Memory,
    *(counts, texts, buffers, st.none() | buffers, maybe, st.none() | st.dictionaries(texts, buffers, max_size=2)),
    *(st.none() | st.booleans(), maybe, maybe, maybe, st.none() | st.dictionaries(texts, counts, max_size=2)),
    *(maybe, maybe, maybe, maybe, tuples(texts)),
)
answers = st.sampled_from(["regression", "no-regression", "cannot-tell"])
scores = st.builds(
    Score, texts, numbers, texts, numbers, st.dictionaries(texts, counts, max_size=2), answers | st.just("")
)
run_scores = st.builds(RunScores, st.sampled_from(Status), st.booleans(), tuples(numbers), counts)
observations = st.builds(
    Observation,
    texts,
    st.sampled_from(Role),
    st.sampled_from(Status),
    tuples(scores),
    tuples(replies),
    st.none() | benches,
    texts,
    counts,
    tuples(run_scores),
    tuples(choices),
    tuples(embeddings),
    tuples(fidelities),
    st.none() | duels,
    st.none() | memories,
)
verdicts = st.builds(
    Verdict,
    st.sampled_from(Word),
    st.sampled_from(["passed", "failed", "xfailed", "error"]),
    texts,
    st.booleans(),
    st.booleans(),
    numbers,
)
tallies = st.builds(Tally, texts, counts, counts, counts, counts, counts, counts, counts, counts)
scalars = st.dictionaries(texts, st.booleans() | counts | numbers | texts, max_size=2)
special_tokens = st.builds(SpecialToken, counts, texts, texts, tuples(texts))
kv_layers = st.builds(KvLayers, counts, counts, counts, st.none() | counts)
cards = st.builds(
    ModelCard,
    texts,
    texts,
    texts,
    counts,
    counts,
    counts,
    st.dictionaries(texts, counts, max_size=2),
    st.none() | counts,
    st.none() | counts,
    st.none() | counts,
    st.none() | counts,
    st.none() | texts,
    scalars,
    special_tokens=tuples(special_tokens),
    end_of_generation=tuples(texts),
    add_bos=st.none() | st.booleans(),
    kv_layers=tuples(kv_layers),
    sliding_window=st.none() | counts,
    sampling=scalars,
    parts=counts,
)
rules = st.builds(LoopRule, counts, counts, counts)
facts = st.builds(Fact, st.sampled_from(["tokens", "json", "word"]), texts, counts, tuples(texts), st.booleans())
generations = st.builds(
    Generation,
    st.none() | counts,
    numbers,
    counts,
    st.none() | st.booleans(),
    st.none() | texts,
    st.none() | mappings,
    st.none() | counts,
    st.none() | rules,
    counts,
    numbers,
    numbers,
    numbers,
    counts,
    numbers,
    numbers,
    numbers,
    tuples(tuples(facts)),
)

ratios = st.builds(Ratio, counts, numbers, st.none() | numbers, st.none() | numbers)
differences = st.builds(
    Difference, texts, st.sampled_from(["blocks", "explains", "informs"]), texts, tuples(texts), st.booleans()
)
statistical_rules = st.builds(Rule, numbers, numbers, numbers)
sample_verdicts = st.builds(SampleVerdict, texts, answers, *[counts] * 5, *[numbers] * 5, counts, texts)
samples = st.builds(Samples, statistical_rules, sample_verdicts, tuples(sample_verdicts))

results = st.builds(Result, texts, texts, texts, texts, observations, verdicts, st.none() | observations)

RECORDS: dict[type[Record], st.SearchStrategy[Any]] = {
    ToolCall: tool_calls,
    Usage: usages,
    Timings: timings,
    Reply: replies,
    Bench: benches,
    Score: scores,
    RunScores: run_scores,
    Observation: observations,
    Verdict: verdicts,
    Result: results,
    Said: st.builds(
        Said, st.none() | observations, st.none() | results, st.none() | observations, st.booleans(), texts
    ),
    Doing: st.builds(Doing, texts, texts, counts, counts, numbers),
    Tally: tallies,
    SessionVerdict: st.builds(
        SessionVerdict,
        st.sampled_from(sorted(KINDS)),
        st.booleans(),
        texts,
        texts,
        texts,
        tuples(tallies),
        tuples(tallies),
        st.none() | samples,
        st.none() | numbers,
        st.none() | ratios,
        tuples(differences),
    ),
    Rule: statistical_rules,
    SampleVerdict: sample_verdicts,
    Samples: samples,
    Ratio: ratios,
    Difference: differences,
    ErrorCounts: st.builds(ErrorCounts, st.sampled_from(Role), counts, st.dictionaries(texts, counts, max_size=2)),
    LoopRule: rules,
    RoleUse: st.builds(RoleUse, counts, st.none() | counts, mappings),
    ModelCard: cards,
    SpecialToken: special_tokens,
    KvLayers: kv_layers,
    Projector: st.builds(Projector, texts, texts, tuples(texts), st.none() | counts, counts),
    Renderings: st.builds(
        Renderings,
        st.dictionaries(texts, texts),
        st.dictionaries(texts, texts),
        st.none() | st.booleans(),
        st.booleans(),
    ),
    LoadSettings: st.builds(
        LoadSettings, st.none() | counts, counts, texts, counts, st.none() | texts, texts, tuples(texts)
    ),
    Pins: st.builds(
        Pins,
        st.none() | counts,
        counts,
        st.none() | st.booleans(),
        st.none() | texts,
        tuples(st.tuples(texts, texts)),
        st.none() | counts,
        texts,
    ),
    Conditions: st.builds(Conditions, st.none() | counts, environment=st.dictionaries(texts, texts, max_size=2)),
    Generation: generations,
    Fact: facts,
    Confirmation: st.builds(
        Confirmation,
        texts,
        tuples(st.booleans()),
        tuples(st.booleans()),
        st.none() | numbers,
        st.none() | st.booleans(),
        texts,
    ),
    Sampling: st.builds(Sampling, numbers, counts, numbers, numbers, numbers, counts, numbers, numbers),
    GrammarCost: grammar_costs,
    Device: st.builds(Device, texts, texts, texts),
    Place: st.builds(Place, tuples(texts), counts),
    Choice: choices,
    Embeddings: embeddings,
    Voice: st.builds(Voice, tuples(texts), tuples(numbers)),
    EmbeddingRequest: st.builds(
        EmbeddingRequest, st.lists(texts.filter(str.strip), min_size=1, max_size=2).map(tuple), numbers
    ),
    ChoiceRequest: st.builds(
        ChoiceRequest,
        st.lists(st.text(min_size=1), min_size=2, max_size=3, unique=True).map(tuple),
        st.tuples(mappings),
        st.just(""),
        numbers,
    ),
    ChatRequest: st.builds(ChatRequest, tuples(mappings), tuples(mappings), generations),
    CompletionRequest: st.builds(CompletionRequest, texts, generations),
    Duel: duels,
    Chunk: chunks,
    Fidelity: fidelities,
    Buffers: buffers,
    Memory: memories,
    Instrument: st.builds(Instrument, texts, texts, answers, texts),
    FidelityRequest: st.builds(FidelityRequest, texts, texts, tuples(tuples(mappings)), counts, texts, texts),
    MemoryRequest: st.builds(MemoryRequest, st.none() | st.integers(1, 10**7), st.none() | st.integers(1, 1 << 62)),
    BenchRequest: st.builds(BenchRequest, counts, counts, counts, counts, st.none() | counts),
}
every_record = pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)


def subclasses(kind: type[Record]) -> set[type[Record]]:
    return {kind for child in kind.__subclasses__() for kind in (child, *subclasses(child))}


def is_builtin(value: object) -> bool:
    """By exact type: execnet refuses a StrEnum, which json takes for a str."""
    if type(value) is dict:
        return all(type(key) is str and is_builtin(inner) for key, inner in value.items())
    if type(value) is list:
        return all(is_builtin(inner) for inner in value)
    return type(value) in (str, int, float, bool, type(None))


def test_the_table_above_names_every_record() -> None:
    # slots=True makes a class twice; the first one lives on until it is collected
    assert {kind.__qualname__ for kind in subclasses(Record)} == {kind.__qualname__ for kind in RECORDS}


@every_record
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_round_trip_through_json(kind: type[Record], data: st.DataObject) -> None:
    record = data.draw(RECORDS[kind])

    payload = record.to_payload()

    assert is_builtin(payload)
    assert kind.from_payload(json.loads(json.dumps(payload))) == record
    # equal is not enough: 'ok' == Status.OK
    assert repr(kind.from_payload(payload)) == repr(record)


@every_record
@settings(max_examples=1, deadline=None)
@given(data=st.data())
def test_unknown_keys_are_refused(kind: type[Record], data: st.DataObject) -> None:
    payload = data.draw(RECORDS[kind]).to_payload()

    with pytest.raises(ValueError, match=rf"^{kind.__name__}: unknown keys \['b', 'c'\]$"):
        kind.from_payload({**payload, "c": 1, "b": 2})


def test_unknown_keys_of_an_inner_record_are_refused() -> None:
    payload = Observation("a", Role.BASELINE, Status.OK, (), (reply("x"),)).to_payload()
    payload["replies"][0]["usage"]["reasoning"] = 3

    with pytest.raises(ValueError, match=r"^Usage: unknown keys"):
        Observation.from_payload(payload)


def test_a_payload_shares_nothing_with_its_record() -> None:
    arguments = {"cities": ["Oslo"]}

    ToolCall("f", arguments, "").to_payload()["arguments"]["cities"].append("Rome")

    assert arguments == {"cities": ["Oslo"]}


def test_deeply_nested_arguments_come_back() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    call = ToolCall("f", {"x": deep}, "")

    assert ToolCall.from_payload(call.to_payload()) == call


@pytest.mark.parametrize("status", Status)
def test_only_an_answer_that_ended_by_itself_is_one(status: Status) -> None:
    assert status.has_answer == (status in {"ok", "empty", "unclosed", "loop"})


def test_statuses_are_ranked_from_fine_to_worst() -> None:
    assert sorted(Status, key=lambda status: status.rank) == [
        "ok", "empty", "unclosed", "loop", "truncated", "starved", "prompt truncated", "error",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "status", "passed"),
    [
        ((), Status.OK, True),
        ((1.0,), Status.OK, True),
        ((1.0, 0.9), Status.OK, False),
        ((1.0,), Status.EMPTY, True),
        ((1.0,), Status.STARVED, False),
        ((1.0,), Status.TRUNCATED, False),
        ((), Status.ERROR, False),
    ],
)
def test_an_observation_passes_with_an_answer_and_every_score(
    values: tuple[float, ...], status: Status, passed: bool
) -> None:
    scores = tuple(Score(f"check {value}", value, "") for value in values)

    assert Observation("a", Role.CANDIDATE, status, scores).passed is passed


@pytest.mark.parametrize(("value", "floor", "passed"), [(0.5, 0.5, True), (0.49, 0.5, False), (0.0, 0.0, True)])
def test_a_floor_is_reached_by_being_equal(value: float, floor: float, passed: bool) -> None:
    assert Score("recall", value, "", floor).passed is passed


@pytest.mark.parametrize(
    ("total", "status", "total_s", "speed"),
    [
        pytest.param(11, Status.OK, 1.1, 11.0, id="ended by itself: one step more than tokens"),
        pytest.param(11, Status.TRUNCATED, 1.1, 10.0, id="cut"),
        pytest.param(1, Status.OK, 1.1, None, id="one token has no decode time"),
        pytest.param(0, Status.EMPTY, 1.1, None, id="none"),
        pytest.param(11, Status.OK, 0.1, None, id="no time went by"),
    ],
)
def test_decode_speed_leaves_the_first_token_out(
    total: int, status: Status, total_s: float, speed: float | None
) -> None:
    assert reply("x", total=total, status=status, total_s=total_s).decode_tok_s == (
        None if speed is None else pytest.approx(speed)
    )


@pytest.mark.parametrize(
    ("outcome", "counts"), [("passed", False), ("xfailed", False), ("failed", True), ("error", True)]
)
def test_what_makes_a_run_fail(outcome: Any, counts: bool) -> None:
    assert Verdict(Word.UNSCORED, outcome, "").counts is counts
