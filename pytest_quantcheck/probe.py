"""The object behind the ``quant`` fixture: asks the engine and keeps what it answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.engines.base import Tool
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.images import ImageSource
from pytest_quantcheck.images import whole
from pytest_quantcheck.images import with_images
from pytest_quantcheck.measuring import Measuring
from pytest_quantcheck.measuring import OtherModels
from pytest_quantcheck.measuring import turns
from pytest_quantcheck.pins import ATTEMPTS
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.pins import pin
from pytest_quantcheck.record import plain
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Status
from pytest_quantcheck.repeats import Repeats
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.settings import Thinking
from pytest_quantcheck.stop_rules import Stop
from pytest_quantcheck.text import digest


class Probe(Measuring):
    """One test's access to one model.

    Usage::

        reply = quant.chat("What is 27 + 45?")
        reply = quant.chat("Is it cold in Oslo?", tools=tools, max_tokens=256)
        reply = quant.chat([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who is Ada?"}])
        reply = quant.chat("What colour is the car?", images=["car.png"])
        reply = quant.complete("Once upon a time", max_tokens=32)
        choice = quant.choose("What is the capital of Peru?", ["Lima", "Quito", "La Paz"])
        found = quant.embed(["A cat sleeps.", "Rates rise."], queries=["Which animal rests?"])
        found = quant.fidelity(Path("text.txt"))

    Answers are greedy unless ``temperature`` is given, so the same question is never worth asking twice. With
    ``--quant-samples=K`` the whole test runs K times, and answers are drawn as the model's file recommends.
    ``json_schema`` governs every answer whose call brings no grammar of its own.
    """

    def __init__(
        self,
        engine: Engine,
        role: Role,
        settings: Settings,
        pins: Pins | None = None,
        repeats: Repeats | None = None,
        json_schema: dict[str, Any] | None = None,
        others: OtherModels | None = None,
        folder: Path | None = None,
        stop: Stop = (),
    ) -> None:
        super().__init__(engine, others)
        self._folder = folder or Path()
        self.role = role
        self._pins = pins or pin(settings, {})
        self._settings = settings
        self._repeats = repeats or Repeats()
        self._json_schema = json_schema
        self._stop = stop
        self._replies: list[Reply] = []
        self._before: tuple[Reply, ...] = ()
        self._offered: list[tuple[Tool, ...]] = []

    def begin_run(self, number: int) -> None:
        """The body begins for the ``number``-th time, from 0; called by the plugin.

        Replies of the run before are forgotten. Those that the test's own fixtures asked for belong to every run.
        """
        self._begin_measuring(number)
        if number == 0:
            self._before = self.replies
        self._replies = list(self._before)
        del self._offered[len(self._before) :]

    @property
    def asked(self) -> bool:
        """Whether the body itself asked for a reply in this run; nothing else can come out differently in another."""
        return len(self._replies) > len(self._before)

    @property
    def replies(self) -> tuple[Reply, ...]:
        """Every answer of this test, in this run, so far."""
        return tuple(self._replies)

    @property
    def offered(self) -> tuple[Tool, ...]:
        """The tools that the last answered question offered."""
        return self._offered[-1] if self._offered else ()

    @property
    def card(self) -> ModelCard:
        """What the model file says of itself."""
        return self._engine.card()

    def chat(
        self,
        messages: str | Sequence[Message],
        *,
        system: str | None = None,
        images: Sequence[ImageSource] = (),
        tools: Sequence[Tool] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        thinking: bool | None = None,
        grammar: str | None = None,
        json_schema: dict[str, Any] | None = None,
    ) -> Reply:
        """Ask for one assistant turn.

        :param messages: the user's text, or OpenAI-style messages.
        :param system: a system message in front.
        :param images: local files (a relative path starts at the test's file) or their bytes, shown before a user's
            text; PNG, JPEG, GIF or BMP, up to 64 MiB each. Messages hold images as OpenAI-style parts
            ``image_url`` with ``data:`` URLs, or as ``{"type": "image", "path": ...}``.
        :param tools: OpenAI-style tool definitions, rendered by the model's own template.
        :param max_tokens: token budget of this answer, thinking included; an answer that it cuts is asked for again
            with twice and four times as much.
        :param temperature: 0 is greedy, as it is without ``--quant-samples``; the model's own with it.
        :param seed: seed of a sampled answer; ``--quant-seed`` otherwise. Every further run of a test adds one.
        :param thinking: the template's thinking switch; ``--quant-thinking`` otherwise.
        :param grammar: GBNF that governs the whole answer.
        :param json_schema: a JSON Schema that the answer is forced into; the marker's with
            ``quant_json(constrained=True)`` when neither is given, and then no thought unless ``thinking`` asks for it.
        """
        __tracebackhide__ = True
        said = self._guard(lambda: self._said(messages, system, images))
        if json_schema is None and grammar is None and self._json_schema is not None:
            json_schema = self._json_schema
            switch = Thinking(thinking)  # the option speaks of free answers; a thought would have to be JSON
        else:
            switch = self._settings.thinking if thinking is None else Thinking(thinking)
        generation = self._generation(max_tokens, temperature, seed, switch, grammar, json_schema)
        request = ChatRequest(said, tuple(tools), generation)
        return self._keep(
            lambda: replace(self._ask(request), thinking_asked=switch.switch, asked=_asked(request)), request.tools
        )

    def complete(
        self,
        prompt: str,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        grammar: str | None = None,
        json_schema: dict[str, Any] | None = None,
    ) -> Reply:
        """Continue raw text without a template; reaching ``max_tokens`` is a normal end.

        Special tokens in the text are special tokens. The keywords are those of ``chat``.
        """
        __tracebackhide__ = True
        if grammar is None and json_schema is None:
            json_schema = self._json_schema
        generation = self._generation(max_tokens, temperature, seed, Thinking(), grammar, json_schema)
        request = CompletionRequest(prompt, generation)
        return self._keep(lambda: replace(self._engine.complete(request), asked=_asked(request)))

    def tokenize(self, text: str) -> list[int]:
        """The model's token ids of ``text``."""
        ids: list[int] = self._guard(lambda: self._engine.tokenize(text))
        return ids

    def _said(
        self, messages: str | Sequence[Message], system: str | None, images: Sequence[ImageSource]
    ) -> tuple[Message, ...]:
        if images:
            if not isinstance(messages, str):
                raise EngineRefused(
                    'images= goes with a text; in messages an image is a part {"type": "image", "path": ...}'
                )
            given = [images] if isinstance(images, str | bytes) else images
            messages = [{"role": "user", "content": with_images(messages, given)}]
        return whole(turns(messages, system), self._folder)

    def _generation(
        self,
        max_tokens: int | None,
        temperature: float | None,
        seed: int | None,
        thinking: Thinking,
        grammar: str | None,
        json_schema: dict[str, Any] | None,
    ) -> Generation:
        pinned = None if grammar is not None or json_schema is not None else self._pins.thinking
        sampling = self._repeats.sampling
        greedy = Generation(
            max_tokens=max_tokens if max_tokens is not None else self._pins.max_tokens,
            temperature=temperature or 0.0,
            seed=(self._settings.seed if seed is None else seed) + self._repeats.first_seed + self._run,
            # a grammar leaves no room for a thought: the engine keeps it off unless the test says on
            thinking=pinned if thinking.switch is None else thinking.switch,
            thinking_budget=thinking.budget,
            loop=self._settings.loop,
            grammar=grammar,
            json_schema=json_schema,
            stop=self._stop,
        )
        if sampling is None or (temperature == 0 and not self._repeats.always_drawn):
            return greedy
        return replace(greedy, **asdict(sampling) | {"temperature": temperature or sampling.temperature})

    def _ask(self, request: ChatRequest) -> Reply:
        """The answer, asked again with twice the budget while the budget cuts it: up to 4 times, or the context.

        Only the cut side is asked again: what ended by itself would not change under a larger budget.
        """
        reply = self._engine.chat(request)
        attempts = 1
        while reply.status in (Status.STARVED, Status.TRUNCATED) and attempts < ATTEMPTS:
            larger = replace(request.generation, max_tokens=2 * reply.usage.total)
            again = self._engine.chat(replace(request, generation=larger))
            attempts += 1
            if again.usage.total <= reply.usage.total:
                break  # the context is full
            reply = again
        return reply if attempts == reply.attempts else replace(reply, attempts=attempts)

    def _keep(self, ask: Any, tools: tuple[Tool, ...] = ()) -> Reply:
        __tracebackhide__ = True
        if self._stop and self._replies:
            raise MarkerError("quant_early_stop is for tests that ask one question; this one asks a second")
        reply: Reply = self._guard(ask)
        self._replies.append(reply)
        self._offered.append(tools)
        return reply


def _asked(request: ChatRequest | CompletionRequest) -> str:
    """What both sides must be asked alike: all of the request but what only ends the answer.

    The budget grows for the side that is cut.
    """
    said = [request.messages, request.tools] if isinstance(request, ChatRequest) else request.prompt
    return digest([said, plain(request.generation) | {"max_tokens": None, "stop": []}])
