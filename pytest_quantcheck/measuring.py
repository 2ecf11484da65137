"""What a test can measure of a model beside its answers: likelihoods, vectors, speed, memory. The base of the probe."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final
from typing import TypeVar

from pytest_quantcheck.benches import Duel
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import checked_count
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity_store import request_digest
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Bench
from pytest_quantcheck.speed_rules import MARGINS
from pytest_quantcheck.text import digest
from pytest_quantcheck.text import one_line
from pytest_quantcheck.text import short

_Request = TypeVar("_Request", BenchRequest, MemoryRequest)
_Found = TypeVar("_Found", Bench, Duel, Memory)
_LEAST_WINDOW: Final = 8
_SHOWN_NAME: Final = 60


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
        self._duel: Duel | None = None
        self._memory: Memory | None = None
        self._figures: dict[tuple[str, BenchRequest | MemoryRequest], Any] = {}
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

    def fidelity(
        self,
        text: str | Path | Sequence[Sequence[Message]],
        *,
        name: str | None = None,
        window: int = 512,
    ) -> Fidelity:
        """How surprised the model is by a text: perplexity and, with ``--quant-reference``, KL divergence from it.

        :param text: a plain text; a `Path` to one (UTF-8); or conversations, each a list of OpenAI-style messages whose
            last one is the assistant's. Of a conversation only that last message is scored, in the model's own chat
            template, thoughts (``reasoning_content``) and answer apart.
        :param name: what the reports call it.
        :param window: tokens of context in each chunk of a text; the second half of each is scored.
        :raises MarkerError: when the text cannot be meant: the test itself is wrong.
        """
        __tracebackhide__ = True
        request = fidelity_request(text, name, window)
        asked = request_digest(request)

        def ask() -> Fidelity:
            if asked not in self._answers:
                measure = self._able("fidelity")
                if self._others.fidelity is not None:
                    measure = self._others.fidelity
                self._answers[asked] = measure(request)
            measured: Fidelity = self._answers[asked]
            return replace(measured, name=request.name, asked=asked)

        found: Fidelity = self._guard(ask)
        if found not in self._found["fidelities"]:
            self._found["fidelities"].append(found)
        return found

    def bench(self, request: BenchRequest | None = None) -> Bench:
        """Measure prefill and decode speed with fixed token counts; once, however often the test runs."""
        self._bench = bench = self._first("bench", request or BenchRequest(), self._engine.bench)
        return bench

    def duel(self, request: BenchRequest | None = None, margins: Mapping[str, float] = MARGINS) -> Duel:
        """Measure the baseline and the candidate in turn; once, however often the test runs.

        :param margins: metric ('decode', 'prefill', 'ttft') -> the loss of speed that counts as none.
        :raises EngineCannot: where there is no baseline, and on the baseline's own side.
        """
        measure = self._others.duel
        if measure is None:
            raise EngineCannot("there is no baseline to compare the speed with")
        measured = self._first("duel", request or BenchRequest(), measure)
        self._duel = duel = replace(measured, margins=dict(margins))
        return duel

    def memory(self, request: MemoryRequest | None = None) -> Memory:
        """What the model takes at this run's context or another one: an estimate, and what loading it took.

        Asked once, however often the test runs.

        :param request: another context, or the budget of bytes whose largest context shall be found.
        """
        memory: Memory = self._first("memory", request or MemoryRequest(), lambda asked: self._able("memory")(asked))
        self._memory = memory
        return memory

    def _first(self, what: str, request: _Request, measure: Callable[[_Request], _Found]) -> _Found:
        """Measured anew whenever the first run of the body asks; the further runs get what it found."""
        measured: _Found | None = self._figures.get((what, request)) if self._run else None
        if measured is None:
            measured = self._guard(lambda: measure(request))
        self._figures[what, request] = measured
        return measured

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


def fidelity_request(text: str | Path | Sequence[Sequence[Message]], name: str | None, window: int) -> FidelityRequest:
    """What `Measuring.fidelity` asks of the engine; MarkerError when it cannot be meant."""
    __tracebackhide__ = True
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise MarkerError(f"quant.fidelity: name={short(name)}; allowed: a text, not empty")
    try:
        checked_count("window", window, least=_LEAST_WINDOW)
    except MarkerError as error:
        raise MarkerError(f"quant.fidelity: {error}") from None
    if isinstance(text, Path):
        return FidelityRequest(one_line(name or text.name, _SHOWN_NAME), _read(text), window=window)
    if isinstance(text, str):
        if not text.strip():
            raise MarkerError("quant.fidelity: the text is empty")
        return FidelityRequest(one_line(name or "text", _SHOWN_NAME), text, window=window)
    if not isinstance(text, list | tuple) or not text:
        raise MarkerError(f"quant.fidelity: {short(text)} is no text, no path and no list of conversations")
    for number, conversation in enumerate(text, 1):
        if not isinstance(conversation, list | tuple) or not all(isinstance(turn, dict) for turn in conversation):
            raise MarkerError(f"quant.fidelity: conversation {number} is no list of messages: {short(conversation)}")
        if not conversation or conversation[-1].get("role") != "assistant":
            raise MarkerError(f"quant.fidelity: the last message of conversation {number} is not the assistant's")
    return FidelityRequest(
        one_line(name or "conversations", _SHOWN_NAME), conversations=tuple(map(tuple, text)), window=window
    )


def _read(path: Path) -> str:
    __tracebackhide__ = True
    try:
        said = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise MarkerError(f"quant.fidelity: {path}: no UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise MarkerError(f"quant.fidelity: {path}: cannot be read: {error.strerror or error}") from None
    if not said.strip():
        raise MarkerError(f"quant.fidelity: {path}: the text is empty")
    return said


def turns(messages: str | Sequence[Message], system: str | None) -> tuple[Message, ...]:
    """OpenAI-style messages: those that were given, or one of the user's, with a system message in front."""
    said: list[Message] = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    return (*([] if system is None else [{"role": "system", "content": system}]), *said)
