from __future__ import annotations

from typing import Any
from typing import cast

import pytest

from pytest_quantcheck import Role
from pytest_quantcheck import ScriptedEngine
from pytest_quantcheck import Status
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.probe import Probe
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Reply
from pytest_quantcheck.repeats import Repeats
from pytest_quantcheck.sampling import Sampling
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.settings import Thinking

THOUGHT = "<think> " + "hm " * 30 + "</think> done"
"""33 tokens, the last one visible."""


class Counting(ScriptedEngine):
    """Remembers the budgets and switches that it was asked with; its context may be small."""

    def __init__(self, answer: str, context: int = 10_000) -> None:
        super().__init__(lambda _: answer)
        self._context = context
        self.asked: list[int | None] = []
        self.switches: list[bool | None] = []

    def chat(self, request: ChatRequest) -> Reply:
        self.asked.append(request.generation.max_tokens)
        self.switches.append(request.generation.thinking)
        budget = min(request.generation.max_tokens or 2048, self._context)
        return super().chat(ChatRequest(request.messages, (), type(request.generation)(max_tokens=budget)))


class Choosing(ScriptedEngine):
    """Prefers the first choice; every text has the same vector. Keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(
            lambda _: "x",
            choose=lambda _, choices: [-float(at) for at in range(len(choices))],
            embed=lambda texts: [(1.0, 2.0)] * len(texts),
        )
        self.requests: list[ChoiceRequest | EmbeddingRequest] = []

    def choose(self, request: ChoiceRequest) -> Choice:
        self.requests.append(request)
        return super().choose(request)

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        self.requests.append(request)
        return super().embed(request)


class Older:
    """An engine of somebody else's, without these abilities."""


def probing(engine: Any) -> Probe:
    return Probe(engine, Role.CANDIDATE, Settings(model="x"))


def test_choices_follow_messages_or_raw_text() -> None:
    engine = Choosing()
    probe = probing(engine)

    chat = probe.choose("Peru?", ["Lima", "Quito"], system="Be brief.")
    turns = probe.choose([{"role": "user", "content": "Peru?"}], ["Lima", "Quito"])
    raw = probe.choose_text("Peru:", [" Lima", " Quito"])

    user = {"role": "user", "content": "Peru?"}
    assert engine.requests == [
        ChoiceRequest(("Lima", "Quito"), ({"role": "system", "content": "Be brief."}, user)),
        ChoiceRequest(("Lima", "Quito"), (user,)),
        ChoiceRequest((" Lima", " Quito"), prompt="Peru:"),
    ]
    assert probe.measured.choices == (chat, turns, raw)
    assert (chat.text, raw.text) == ("Lima", " Lima")
    assert len({chat.asked, turns.asked, raw.asked}) == 3


def test_queries_stand_before_documents() -> None:
    engine = Choosing()
    probe = probing(engine)

    found = probe.embed(["a", "b"], queries=["q"])
    one = probe.embed("abc")

    assert engine.requests == [EmbeddingRequest(("q", "a", "b")), EmbeddingRequest(("abc",))]
    assert (found.queries, found.labels, one.labels) == (1, ("q", "a", "b"), ("abc",))
    assert probe.measured.embeddings == (found, one)


def test_what_would_be_the_same_again_is_asked_once_and_belongs_to_its_run() -> None:
    engine = Choosing()
    probe = probing(engine)
    of_a_fixture = probe.choose("Peru?", ["Lima", "Quito"])

    for run in range(3):
        probe.begin_run(run)
        assert probe.measured.choices == (of_a_fixture,)
        probe.choose("Chile?", ["Santiago", "Arica"])
        probe.embed("a")
        assert (len(probe.measured.choices), len(probe.measured.embeddings)) == (2, 1)
        assert not probe.asked

    assert len(engine.requests) == 3


def test_an_engine_without_the_ability_skips_and_one_that_refuses_fails() -> None:
    with pytest.raises(EngineCannot, match=r"^Older has no choose$"):
        probing(Older()).choose("?", ["a", "b"])
    with pytest.raises(EngineCannot, match=r"^this scripted engine has no function embed$"):
        probing(ScriptedEngine(lambda _: "x")).embed("a")
    probe = probing(Choosing())
    with pytest.raises(EngineRefused, match="text 1 of 1 is empty"):
        probe.embed(" ")
    assert str(probe.error) == "text 1 of 1 is empty: ' '"


def ask(engine: Counting, settings: Settings | None = None, **given: object) -> Reply:
    probe = Probe(engine, Role.CANDIDATE, settings or Settings(model="x"))
    return probe.chat("?", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("budget", "asked", "status"),
    [
        (40, [40], Status.OK),
        (20, [20, 40], Status.OK),
        (9, [9, 18, 36], Status.OK),
        (5, [5, 10, 20], Status.STARVED),
    ],
)
def test_a_cut_answer_is_asked_for_with_twice_and_four_times_the_budget(
    budget: int, asked: list[int], status: Status
) -> None:
    engine = Counting(THOUGHT)

    reply = ask(engine, max_tokens=budget)

    assert engine.asked == asked
    assert (reply.status, reply.attempts) == (status, len(asked))
    assert reply.usage.total == (33 if status is Status.OK else asked[-1])


def test_a_full_context_ends_the_asking() -> None:
    engine = Counting(THOUGHT, context=10)

    reply = ask(engine, max_tokens=10)

    assert engine.asked == [10, 20]
    assert (reply.status, reply.usage.total) == (Status.STARVED, 10)


def test_only_the_last_attempt_is_kept() -> None:
    probe = Probe(Counting(THOUGHT), Role.CANDIDATE, Settings(model="x"))

    probe.chat("?", max_tokens=9)

    assert [reply.text for reply in probe.replies] == ["done"]


def test_a_wrong_answer_is_never_asked_again() -> None:
    engine = Counting("<think> hm")

    reply = ask(engine, max_tokens=40)

    assert (reply.status, engine.asked) == (Status.UNCLOSED, [40])


@pytest.mark.parametrize(("setting", "given", "switch"), [
    (None, None, None),
    (True, None, True),
    (False, None, False),
    (True, False, False),
    (None, True, True),
])  # fmt: skip
def test_the_test_s_own_switch_is_closest(setting: bool | None, given: bool | None, switch: bool | None) -> None:
    engine = Counting("4")

    reply = ask(engine, Settings(model="x", thinking=Thinking(setting)), thinking=given)

    assert engine.switches == [switch]
    assert reply.thinking_asked is switch


def test_both_sides_are_held_to_the_pinned_budget_and_switch() -> None:
    engine = Counting("4")
    probe = Probe(engine, Role.CANDIDATE, Settings(model="x"), Pins(max_tokens=77, thinking=True))

    reply = probe.chat("?")
    probe.chat("?", thinking=False)
    probe.chat("?", grammar="root ::= [0-9]")

    assert engine.asked == [77, 77, 77]
    assert engine.switches == [True, False, None], "a grammar leaves no room for a thought"
    assert reply.thinking_asked is None, "nobody asked for it"


def test_the_marker_s_schema_governs_what_brings_no_grammar_of_its_own() -> None:
    asked: list[Generation] = []

    class Noting(ScriptedEngine):
        def chat(self, request: ChatRequest) -> Reply:
            asked.append(request.generation)
            return super().chat(request)

        def complete(self, request: CompletionRequest) -> Reply:
            asked.append(request.generation)
            return super().complete(request)

    settings, pins = Settings(model="x", thinking=Thinking(True, budget=9)), Pins(thinking=True)
    forced, own = {"type": "array"}, {"type": "object"}
    probe = Probe(Noting(lambda _: "4"), Role.CANDIDATE, settings, pins, json_schema=forced)
    calls: list[dict[str, Any]] = [{}, {"json_schema": own}, {"json_schema": {}}, {"grammar": 'root ::= "4"'}]
    for ask in (probe.chat, probe.complete):
        for given in calls:
            ask("?", **given)
    assert [how.json_schema for how in asked] == [forced, own, {}, None] * 2
    assert [how.grammar for how in asked] == [None, None, None, 'root ::= "4"'] * 2
    assert [how.thinking for how in asked[:4]] == [None, True, True, True], "the option speaks of free answers"
    assert asked[0].thinking_budget is None
    probe.chat("?", thinking=True)
    assert (asked[-1].thinking, asked[-1].json_schema) == (True, forced)


def test_a_request_is_recognised_on_the_other_side_whatever_its_budget() -> None:
    def asked(**given: Any) -> str:
        return Probe(Counting("4"), Role.CANDIDATE, Settings(model="x")).chat("?", **given).asked

    assert asked() == asked() == asked(max_tokens=9)
    others = [
        asked(system="s"),
        asked(tools=[{}]),
        asked(thinking=True),
        asked(seed=5),
        asked(grammar="root ::= [0-9]"),
    ]
    assert len({asked(), *others}) == 6
    completed = Probe(Counting("4"), Role.CANDIDATE, Settings(model="x")).complete("?")
    assert completed.asked not in ("", asked())
    assert completed.prompt == Probe(Counting("4"), Role.CANDIDATE, Settings(model="x")).chat("?").prompt


SAMPLING = Sampling(temperature=0.7, top_k=5, top_p=0.5, min_p=0.1)


class Asked(ScriptedEngine):
    """Remembers how it was asked."""

    def __init__(self) -> None:
        super().__init__(lambda _: THOUGHT, bench_tok_s=(1.0, 1.0), memory=Memory(256, "f16", Buffers(1, 2)))
        self.generations: list[Generation] = []
        self.benches = 0
        self.weighed: list[MemoryRequest] = []

    def chat(self, request: ChatRequest) -> Reply:
        self.generations.append(request.generation)
        return super().chat(request)

    def bench(self, request: BenchRequest) -> Bench:
        self.benches += 1
        return super().bench(request)

    def memory(self, request: MemoryRequest) -> Memory:
        self.weighed.append(request)
        return super().memory(request)


def repeated(repeats: Repeats | None, seed: int = 0) -> tuple[Asked, Probe]:
    engine = Asked()
    return engine, Probe(engine, Role.CANDIDATE, Settings(model="x", seed=seed), repeats=repeats)


def test_a_single_run_is_greedy_with_every_other_step_off() -> None:
    engine, probe = repeated(None, seed=3)

    probe.chat("?")
    probe.chat("?", temperature=0.5, seed=8)

    [greedy, drawn] = engine.generations
    assert greedy == Generation(max_tokens=2048, seed=3)
    assert drawn == Generation(max_tokens=2048, seed=8, temperature=0.5)


def test_every_run_adds_one_to_the_seed_and_draws_as_told() -> None:
    engine, probe = repeated(Repeats(3, first_seed=100, sampling=SAMPLING), seed=7)

    for number in range(3):
        probe.begin_run(number)
        probe.chat("?")
        probe.chat("?", seed=50)

    assert [generation.seed for generation in engine.generations] == [107, 150, 108, 151, 109, 152]
    for generation in engine.generations:
        assert (generation.temperature, generation.top_k, generation.top_p, generation.min_p) == (0.7, 5, 0.5, 0.1)


@pytest.mark.parametrize(
    ("given", "always", "temperature", "top_k"), [(1.5, False, 1.5, 5), (0.0, False, 0.0, 0), (0.0, True, 0.7, 5)]
)
def test_a_test_s_own_temperature_is_kept(given: float, always: bool, temperature: float, top_k: int) -> None:
    engine, probe = repeated(Repeats(2, sampling=SAMPLING, always_drawn=always))

    probe.chat("?", temperature=given)

    [generation] = engine.generations
    assert (generation.temperature, generation.top_k) == (temperature, top_k)


def test_a_cut_answer_is_asked_again_with_the_same_seed() -> None:
    engine, probe = repeated(Repeats(2, sampling=SAMPLING))
    probe.begin_run(0)
    probe.begin_run(1)

    probe.chat("?", max_tokens=20)

    assert [(one.max_tokens, one.seed, one.top_k) for one in engine.generations] == [(20, 1, 5), (40, 1, 5)]


def test_each_run_has_its_own_replies_and_those_of_the_fixtures() -> None:
    _, probe = repeated(Repeats(2, sampling=SAMPLING))
    probe.chat("in a fixture")

    probe.begin_run(0)
    assert not probe.asked
    probe.chat("a")
    probe.chat("b")
    assert (len(probe.replies), probe.asked) == (3, True)
    probe.begin_run(1)
    assert (len(probe.replies), probe.asked) == (1, False)


def test_speed_is_measured_once_however_often_the_test_runs() -> None:
    engine, probe = repeated(Repeats(3, sampling=SAMPLING))

    for number in range(3):
        probe.begin_run(number)
        probe.bench()
        probe.bench(BenchRequest(repeats=2))

    assert engine.benches == 2
    assert probe.last_bench is not None
    assert len(probe.last_bench.decode_tok_s) == 2


def test_memory_is_asked_for_once_a_request_however_often_the_body_runs() -> None:
    engine, probe = repeated(Repeats(3, sampling=SAMPLING))

    for number in range(3):
        probe.begin_run(number)
        probe.memory()
        probe.memory(MemoryRequest(budget=7))

    assert engine.weighed == [MemoryRequest(), MemoryRequest(budget=7)]
    assert probe.last_memory == Memory(256, "f16", Buffers(1, 2), budget=7)


def test_an_engine_of_a_users_own_need_not_tell_its_memory() -> None:
    probe = Probe(cast("Engine", object()), Role.CANDIDATE, Settings(model="x"))

    with pytest.raises(EngineCannot, match="object has no memory"):
        probe.memory()


def test_in_a_single_run_every_measurement_is_made() -> None:
    engine, probe = repeated(None)
    probe.begin_run(0)

    probe.bench()
    probe.bench()

    assert engine.benches == 2


def test_the_offered_tools_are_those_of_the_last_question() -> None:
    _, probe = repeated(Repeats(2, sampling=SAMPLING))

    def offered() -> list[str]:
        return [tool["name"] for tool in probe.offered]

    assert offered() == []
    probe.chat("in a fixture", tools=[{"name": "a"}])
    probe.begin_run(0)
    assert offered() == ["a"]
    probe.chat("b", tools=[{"name": "b"}, {"name": "c"}])
    assert offered() == ["b", "c"]
    probe.complete("no tools")
    assert offered() == []
    probe.begin_run(1)
    assert offered() == ["a"]
