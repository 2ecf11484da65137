from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

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
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.probe import Probe
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.sabotage import CHANGED
from pytest_quantcheck.sabotage import KINDS
from pytest_quantcheck.sabotage import Saboteur
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.stop_rules import Fact

ANSWERS = {"sum": "<think>two and two</think>it is four", "city": "Oslo is a city in Norway"}


class Remembering(ScriptedEngine):
    """Keeps what it was asked, and can do something that is not in the protocol."""

    special = "only here"

    def __init__(self, script: Any = ANSWERS.__getitem__) -> None:
        super().__init__(script, name="real", bench_tok_s=(5.0, 7.0), memory=Memory(256, "f16", Buffers(1, 2)))
        self.asked: list[ChatRequest | CompletionRequest] = []

    def chat(self, request: ChatRequest) -> Reply:
        self.asked.append(request)
        return super().chat(request)

    def complete(self, request: CompletionRequest) -> Reply:
        self.asked.append(request)
        return super().complete(request)


def ask(engine: Engine, text: str, **generation: Any) -> Reply:
    return engine.chat(ChatRequest(({"role": "user", "content": text},), (), Generation(**generation)))


@pytest.mark.parametrize("kind", KINDS)
def test_everything_but_the_answers_is_the_engine_s_own(kind: str) -> None:
    real = Remembering()
    bad = Saboteur(real, kind)

    assert isinstance(bad, Engine)
    assert bad.card() == real.card()
    assert bad.tokenize("a b c") == real.tokenize("a b c")
    assert bad.bench(BenchRequest(repeats=2)) == real.bench(BenchRequest(repeats=2))
    assert bad.memory(MemoryRequest(budget=7)) == Memory(256, "f16", Buffers(1, 2), budget=7)
    assert (bad.loads, bad.peak_memory, bad.special) == (real.loads, real.peak_memory, "only here")
    assert bad.facts == {CHANGED: 0}


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind 'rust'; known: noise, "):
        Saboteur(Remembering(), "rust")


def test_noise_garbles_words_the_same_way_every_time() -> None:
    first, second = (ask(Saboteur(Remembering(), "noise"), "sum", seed=3) for _ in range(2))

    assert first == second
    assert first.text != "it is four"
    assert len(first.text.split()) == 3
    assert (first.status, first.usage.thinking) == (Status.OK, ask(Remembering(), "sum").usage.thinking)
    assert ask(Saboteur(Remembering(), "noise"), "sum", seed=4).text != first.text


class Talkative(Remembering):
    """Damage makes it talk, or think, on and on."""

    def __init__(self, damaged: str) -> None:
        super().__init__(lambda _: "it is four")
        self._damaged = damaged

    def chat(self, request: ChatRequest) -> Reply:
        self.asked.append(request)
        if request.generation.noise:
            return ScriptedEngine(lambda _: self._damaged).chat(request)
        return ScriptedEngine(lambda _: "it is four").chat(request)


@pytest.mark.parametrize(
    ("damaged", "status"), [("word " * 999, Status.OK), ("<think> " + " ".join(map(str, range(999))), Status.UNCLOSED)]
)
def test_a_damaged_model_does_not_run_on_for_ever_nor_into_the_budget(damaged: str, status: Status) -> None:
    reply = ask(Saboteur(Talkative(" ".join(map(str, range(999))) if "word" in damaged else damaged), "noise"), "?")

    assert reply.usage.total == 2 * 3 + 16
    assert (reply.status, reply.finish) == (status, "stop")


def test_a_quarter_of_what_an_answer_needs_is_all_it_ever_gets() -> None:
    """Also through the probe, which asks cut answers again with twice the budget."""
    real = Remembering()
    probe = Probe(Saboteur(real, "budget"), Role.CANDIDATE, Settings(model="x"))

    reply = probe.chat("sum")

    needed = ask(Remembering(), "sum").usage.total
    assert reply.usage.total == needed // 4
    assert reply.status is Status.STARVED
    assert probe.chat("city").status is Status.TRUNCATED
    assert len(real.asked) == 4


def test_each_seed_has_its_own_quarter() -> None:
    class Seeded(Remembering):
        def chat(self, request: ChatRequest) -> Reply:
            return ScriptedEngine(lambda _: "a b c d " * (request.generation.seed + 1)).chat(request)

    bad = Saboteur(Seeded(), "budget")

    assert [ask(bad, "?", seed=seed).usage.total for seed in (0, 1, 0)] == [1, 2, 1]


def test_without_a_template_the_bare_text_is_continued_and_bounded() -> None:
    real = Remembering(lambda text: f"<think>a</think>{text} and so on")
    messages: tuple[dict[str, Any], ...] = (
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "Where is"}, {"type": "text", "text": "Oslo?"}]},
    )

    reply = Saboteur(real, "template").chat(ChatRequest(messages, ({"name": "f"},), Generation(max_tokens=9000)))

    [request] = real.asked
    assert isinstance(request, CompletionRequest)
    assert (request.prompt, request.generation.max_tokens) == ("Be brief.\nWhere is\nOslo?", 256)
    assert (reply.thinking, reply.text[:7]) == ("", "<think>")
    ask(Saboteur(real, "template"), "x", max_tokens=5)
    assert real.asked[-1].generation.max_tokens == 5


def test_swapped_answers_come_from_another_question() -> None:
    real = Remembering()
    bad = Saboteur(real, "swapped")

    said = [ask(bad, text).text for text in ("sum", "sum", "city", "city", "sum")]

    four, oslo = "it is four", ANSWERS["city"]
    assert said == [four, four, four, four, oslo]
    assert bad.facts == {CHANGED: 3}


def test_spare_thinking_doubles_the_cost_and_keeps_the_answer() -> None:
    honest, bad = ask(Remembering(), "sum"), ask(Saboteur(Remembering(), "thinking"), "sum")

    assert (bad.text, bad.tool_calls, bad.status, bad.finish) == (honest.text, (), honest.status, honest.finish)
    assert bad.usage.total == 2 * honest.usage.total
    assert bad.usage.visible == honest.usage.visible
    assert bad.usage.thinking == bad.usage.total - bad.usage.visible
    assert bad.timings.total_s == 2 * honest.timings.total_s
    assert bad.timings.first_visible_s is not None
    assert bad.timings.first_visible_s > honest.timings.total_s
    assert len(bad.thinking) > len(honest.thinking)


@pytest.mark.parametrize("kind", ["template", "thinking"])
def test_a_completion_has_neither_template_nor_thinking_to_lose(kind: str) -> None:
    bad = Saboteur(Remembering(), kind)

    assert bad.complete(CompletionRequest("city")) == Remembering().complete(CompletionRequest("city"))
    assert bad.facts == {CHANGED: 0}


@pytest.mark.parametrize("kind", ["noise", "budget"])
def test_a_completion_is_spoilt_too(kind: str) -> None:
    bad = Saboteur(Remembering(), kind)

    assert bad.complete(CompletionRequest("city")).text != ANSWERS["city"]
    assert bad.facts == {CHANGED: 1}


class Measuring(Remembering):
    """Keeps how it was asked to choose and to embed."""

    def __init__(self) -> None:
        ScriptedEngine.__init__(
            self,
            ANSWERS.__getitem__,
            choose=lambda prompt, choices: [-float(len(prompt) + at) for at in range(len(choices))],
            embed=lambda texts: [(1.0, float(at)) for at in range(len(texts))],
        )
        self.requests: list[ChoiceRequest | EmbeddingRequest] = []

    def choose(self, request: ChoiceRequest) -> Choice:
        self.requests.append(request)
        return super().choose(request)

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        self.requests.append(request)
        return super().embed(request)


PERU = ChoiceRequest(("Lima", "Quito"), ({"role": "system", "content": "S"}, {"role": "user", "content": "Peru?"}))
PAIR = EmbeddingRequest(("a", "b"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_does_to_choices_and_vectors(kind: str) -> None:
    true, real = Measuring(), Measuring()
    bad = Saboteur(real, kind)

    choice, found = bad.choose(PERU), bad.embed(PAIR)

    good_choice, good_found = true.choose(PERU), true.embed(PAIR)
    if kind == "swapped":
        assert choice.loglikelihoods == good_choice.loglikelihoods[::-1]
        assert found.packed == good_found.packed[::-1]
    elif kind == "noise":
        assert [request.noise > 0 for request in real.requests] == [True, True]
    elif kind == "template":
        assert real.requests == [ChoiceRequest(("Lima", "Quito"), prompt="S\nPeru?"), PAIR]
    else:
        assert (choice, found) == (good_choice, good_found)
    assert bad.facts[CHANGED] == {"swapped": 2, "noise": 2, "template": 1}.get(kind, 0)


def test_raw_text_has_no_template_to_lose() -> None:
    bad = Saboteur(Measuring(), "template")

    bad.choose(ChoiceRequest(("a", "b"), prompt="x"))

    assert bad.facts[CHANGED] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_noise_alone_spoils_what_the_model_only_reads(kind: str) -> None:
    asked: list[FidelityRequest] = []

    def measure(request: FidelityRequest) -> Fidelity:
        asked.append(request)
        return Fidelity("words", ())

    request = FidelityRequest("words", "some text")
    bad = Saboteur(ScriptedEngine(lambda _: "", fidelity=measure), kind)
    bad.fidelity(request)
    noisy = kind == "noise"
    assert asked == [replace(request, noise=2.0) if noisy else request]
    assert bad.facts[CHANGED] == int(noisy)


def test_what_an_answer_needs_is_what_all_of_it_needs() -> None:
    """A true answer that may end early would leave the spoilt one too little to say anything wrong."""
    engine = Saboteur(ScriptedEngine(lambda prompt: "<think></think>" + "no " * 40), "budget")
    stop = ((Fact("tokens", "visible", 5),),)

    spoilt = engine.chat(ChatRequest(({"role": "user", "content": "?"},), (), Generation(stop=stop)))

    assert (spoilt.finish, spoilt.usage.total, spoilt.spared) == ("early", 8, 2)
