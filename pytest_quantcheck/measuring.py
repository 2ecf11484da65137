"""What a test can measure of a model beside its answers: likelihoods, vectors, speed. The base of the probe."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from pytest_quantcheck.benches import Duel
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Bench
from pytest_quantcheck.speed_rules import MARGINS
from pytest_quantcheck.text import digest


@dataclass(frozen=True, slots=True)
class Measured:
    """What a test's body measured, in the order in which it asked."""

    choices: tuple[Choice, ...] = ()
    embeddings: tuple[Embeddings, ...] = ()
    fidelities: tuple[Fidelity, ...] = ()


@dataclass(frozen=True, slots=True)
class OtherModels:
    """What takes more than the test's own engine; None where this run cannot do it."""

    fidelity: Callable[[FidelityRequest], Fidelity] | None = None
    duel: Callable[[BenchRequest], Duel] | None = None
    no_speed: str = ""
    """Why no speed can be judged in this run; empty where it can."""


class Measuring:
    """Asks an engine for figures and keeps them; they would be the same in every run, so each is asked for once."""

    def __init__(self, engine: Engine, others: OtherModels | None = None) -> None:
        self._engine = engine
        self._others = others or OtherModels()
        self._run = 0
        self._found: dict[str, list[Any]] = {"choices": [], "embeddings": [], "fidelities": []}
        self._found_before: dict[str, int] = {}
        self._answers: dict[str, Any] = {}
        self._bench: Bench | None = None
        self._benches: dict[BenchRequest, Bench] = {}
        self._duel: Duel | None = None
        self._duels: dict[BenchRequest, Duel] = {}
        self._memory: Memory | None = None
        self._error: EngineError | None = None

    def _begin_measuring(self, number: int) -> None:
        """The body begins for the ``number``-th time: only what its fixtures measured before the first run stays."""
        self._run = number
        if number == 0:
            self._found_before = {name: len(found) for name, found in self._found.items()}
        for name, found in self._found.items():
            del found[self._found_before[name] :]

    @property
    def measured(self) -> Measured:
        """Everything that this test measured in this run, so far."""
        return Measured(**{name: tuple(found) for name, found in self._found.items()})

    @property
    def last_bench(self) -> Bench | None:
        """The speed that this test measured last."""
        return self._bench

    @property
    def last_duel(self) -> Duel | None:
        """The speed of both models that this test measured last."""
        return self._duel

    @property
    def last_memory(self) -> Memory | None:
        """The memory that this test measured last."""
        return self._memory

    @property
    def others(self) -> OtherModels:
        """What takes more than the test's own engine."""
        return self._others

    @property
    def error(self) -> EngineError | None:
        """The engine's failure, even if the test swallowed it."""
        return self._error

    def choose(self, messages: str | Sequence[Message], choices: Sequence[str], *, system: str | None = None) -> Choice:
        """How likely each of several given answers is as the whole answer's beginning; nothing is generated.

        Thinking is switched off through the template, whatever the options say: the answer must come next.

        :param messages: the user's text, or OpenAI-style messages.
        :param choices: two different texts or more, exactly as the model would write them.
        :param system: a system message in front.
        """
        return self._choose(lambda: ChoiceRequest(tuple(choices), turns(messages, system)))

    def choose_text(self, prompt: str, choices: Sequence[str]) -> Choice:
        """The same after raw text without a template.

        Choices begin as the text would go on: ``choose_text("Question: ...\\nAnswer:", [" Lima", " Quito"])``.
        """
        return self._choose(lambda: ChoiceRequest(tuple(choices), prompt=prompt))

    def embed(self, texts: str | Sequence[str], *, queries: Sequence[str] = ()) -> Embeddings:
        """Turn each text into a vector of length 1; what the file says of pooling is kept, else the mean is taken.

        :param texts: the documents, or all texts where there are no queries; prefixes are the test's to add.
        :param queries: texts whose order of the documents counts.
        """
        given = [texts] if isinstance(texts, str) else texts
        found: Embeddings = self._once("embed", lambda: EmbeddingRequest((*queries, *given)))
        if queries:
            found = replace(found, queries=len(queries))
        self._found["embeddings"].append(found)
        return found

    def bench(self, request: BenchRequest | None = None) -> Bench:
        """Measure prefill and decode speed with fixed token counts; once, however often the test runs."""
        request = request or BenchRequest()
        measured = self._benches.get(request) if self._run else None
        self._bench = measured or self._guard(lambda: self._engine.bench(request))
        self._benches[request] = self._bench
        return self._bench

    def duel(self, request: BenchRequest | None = None, margins: Mapping[str, float] = MARGINS) -> Duel:
        """Measure the baseline and the candidate in turn; once, however often the test runs.

        :param margins: metric ('decode', 'prefill', 'ttft') -> the loss of speed that counts as none.
        :raises EngineCannot: where there is no baseline, and on the baseline's own side.
        """
        measure = self._others.duel
        if measure is None:
            raise EngineCannot("there is no baseline to compare the speed with")
        request = request or BenchRequest()
        measured = self._duels.get(request) if self._run else None
        self._duels[request] = measured or self._guard(lambda: measure(request))
        self._duel = replace(self._duels[request], margins=dict(margins))
        return self._duel

    def _choose(self, make: Callable[[], ChoiceRequest]) -> Choice:
        choice: Choice = self._once("choose", make)
        self._found["choices"].append(choice)
        return choice

    def _once(self, ability: str, make: Callable[[], ChoiceRequest | EmbeddingRequest]) -> Any:
        """What the engine says of a request; it would say the same again, so it is asked once."""

        def ask() -> Any:
            request = make()
            asked = digest(request.to_payload())
            if asked not in self._answers:
                self._answers[asked] = replace(self._able(ability)(request), asked=asked)
            return self._answers[asked]

        return self._guard(ask)

    def _able(self, ability: str) -> Any:
        """The engine's method; an engine of a user's own may lack it."""
        method = getattr(self._engine, ability, None)
        if method is None:
            raise EngineCannot(f"{type(self._engine).__name__} has no {ability}")
        return method

    def _guard(self, ask: Any) -> Any:
        __tracebackhide__ = True
        try:
            return ask()
        except EngineError as error:
            self._error = error
            raise


def turns(messages: str | Sequence[Message], system: str | None) -> tuple[Message, ...]:
    """OpenAI-style messages: those that were given, or one of the user's, with a system message in front."""
    said: list[Message] = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    return (*([] if system is None else [{"role": "system", "content": system}]), *said)
