"""One model behind a server as an engine: asks in the server's dialect and keeps what it tells of itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import wraps
from typing import Any
from typing import Concatenate
from typing import ParamSpec
from typing import TypeVar

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.base import describe
from pytest_quantcheck.engines.server.address import Address
from pytest_quantcheck.engines.server.client import Client
from pytest_quantcheck.engines.server.client import http_errors
from pytest_quantcheck.engines.server.dialect import Dialect
from pytest_quantcheck.engines.server.dialect import Prompt
from pytest_quantcheck.engines.server.dialects import recognise
from pytest_quantcheck.engines.server.patience import Patience
from pytest_quantcheck.engines.server.reply import Asked
from pytest_quantcheck.engines.server.reply import chat_reply
from pytest_quantcheck.engines.server.reply import completion_reply
from pytest_quantcheck.engines.server.stream import Heard
from pytest_quantcheck.engines.server.stream import events
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.images import said
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Payload
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Status
from pytest_quantcheck.text import digest
from pytest_quantcheck.text import one_line
from pytest_quantcheck.thinking import THINK
from pytest_quantcheck.thinking import Kind
from pytest_quantcheck.thinking import opens_thought

_Request = TypeVar("_Request", ChatRequest, CompletionRequest)
_Asked = ParamSpec("_Asked")
_Told = TypeVar("_Told")


def _malformed() -> tuple[type[Exception], ...]:
    """What reading an answer of another shape than any server's raises; a test's body would take it for its failure."""
    return ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, *http_errors()


def _sound(
    ask: Callable[Concatenate[ServerEngine, _Asked], _Told],
) -> Callable[Concatenate[ServerEngine, _Asked], _Told]:
    """The same, with EngineDied for what a malformed answer raises."""

    @wraps(ask)
    def asking(self: ServerEngine, /, *args: _Asked.args, **kwargs: _Asked.kwargs) -> _Told:
        try:
            return ask(self, *args, **kwargs)
        except _malformed() as error:
            said = one_line(self._client.blot(describe(error)), 300)
            raise EngineDied(
                f"{self.address}: no sense can be made of what it was asked or answered ({ask.__name__}: {said})"
            ) from None

    return asking


def _uncut(reply: Reply, dialect: Dialect, heard: Heard, settings: LoadSettings) -> Reply:
    """The same, where the model saw the whole prompt."""
    return replace(reply, status=Status.PROMPT_TRUNCATED) if dialect.was_cut(heard, settings) else reply


class ServerEngine:
    """A model behind an HTTP server. Answers are always streamed: a silence of ``timeout`` seconds ends them.

    Requests from several threads do not wait for each other.

    :param address: where the server is, and the name of the model.
    :param settings: how a file would be loaded, or a function that says so; a server takes the context from it where
        that is asked for with each request.
    :param timeout: seconds without any new token.
    :param key: the server's key, '' for none.
    :param shared: other processes ask the same server meanwhile: the model is not taken away from them.
    """

    def __init__(
        self,
        address: Address,
        settings: LoadSettings | Callable[[], LoadSettings],
        *,
        timeout: float = 120.0,
        key: str = "",
        shared: bool = False,
    ) -> None:
        self.address = address
        self._settings = settings
        self._client = Client(address, timeout=timeout, key=key)
        self._timeout = timeout
        self._shared = shared
        self._splits = False  # whether it was seen to tell a thought apart
        self._is_loaded = False  # as far as we know
        self._lock = threading.Lock()
        self._dialect: Dialect | None = None
        self._card: ModelCard | None = None
        self._facts: Payload = {}
        self._signature = ""

    @property
    def loads(self) -> int:
        """How often the server was asked to have the model ready; when it loads is its own business."""
        return int(bool(self._facts))

    @property
    def peak_memory(self) -> int | None:
        """Unknown: it is the server's."""
        return None

    @property
    def facts(self) -> Payload:
        """Under which conditions the model runs, as far as the server tells; empty before the first request."""
        return self._facts

    @property
    @_sound
    def foretold(self) -> Payload:
        """What is known of these conditions before the first request."""
        return self.dialect.facts(self._load_settings())

    @property
    @_sound
    def dialect(self) -> Dialect:
        """The server's dialect, found out once; EngineRefused when nobody answers, or nobody who is known."""
        with self._lock:
            if self._dialect is None:
                try:
                    self._dialect = recognise(self._client)
                    self._client.will_load(always=self._shared)
                finally:
                    if self._dialect is None:
                        self._client.close()
            return self._dialect

    @_sound
    def card(self) -> ModelCard:
        """What the server tells of the model; what it does not is unknown."""
        if self._card is None:
            self._card = self.dialect.card()
        return self._card

    @_sound
    def tokenize(self, text: str) -> list[int]:
        """Token ids of ``text``, as the server has them."""
        return self._ready().tokenize(text)

    @_sound
    def chat(self, request: ChatRequest) -> Reply:
        """One assistant turn."""
        settings = self._load_settings()
        dialect = self._ready(settings)
        prompt, heard = self._hear(dialect, dialect.chat_path, dialect.chat_body, request, settings)
        family, how = dialect.family, request.generation
        self._splits |= bool(heard.text(Kind.THINKING))
        reply = chat_reply(
            heard,
            Asked(
                count=dialect.count,
                prompt_tokens=None if prompt.ids is None else len(prompt.ids),
                said="\n".join(map(said, request.messages)),
                prompt="" if prompt.ids is None else digest(list(prompt.ids)),
                family=family,
                opened=opens_thought(prompt.text, family or THINK),
                tools=request.tools,
                loop=how.loop,
                counts_end=dialect.counts_end,
                splits=self._splits,
                # a grammar governs from the first token and has no room for a thought
                may_hide=dialect.may_hide and how.grammar is None and how.json_schema is None,
            ),
        )
        return _uncut(reply, dialect, heard, settings)

    @_sound
    def complete(self, request: CompletionRequest) -> Reply:
        """A raw continuation."""
        settings = self._load_settings()
        dialect = self._ready(settings)
        prompt, heard = self._hear(dialect, dialect.completion_path, dialect.completion_body, request, settings)
        known = prompt.ids is not None
        reply = completion_reply(
            heard,
            Asked(
                count=dialect.count,
                prompt_tokens=len(prompt.ids or ()) if known else None,
                said=request.prompt,
                prompt=digest(list(prompt.ids or ())) if known else "",
                counts_end=dialect.counts_end,
            ),
        )
        return _uncut(reply, dialect, heard, settings)

    @_sound
    def choose(self, request: ChoiceRequest) -> Choice:
        """The log-likelihood of every choice."""
        return self._ready().choose(request)

    @_sound
    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector for each text."""
        return self._ready().embed(request)

    def fidelity(self, request: FidelityRequest) -> Fidelity:
        """Refused: no server tells the log-probabilities of a whole text and of every other token."""
        del request
        raise EngineCannot(f"{self.dialect.name} tells no log-probabilities of whole texts; name the file for fidelity")

    @_sound
    def bench(self, request: BenchRequest) -> Bench:
        """Prefill and decode speed by the server's own clock."""
        settings = self._load_settings()
        return self._ready(settings).bench(request, settings)

    def memory(self, request: MemoryRequest) -> Memory:
        """Refused: the memory is the server's."""
        del request
        raise EngineCannot(f"{self.dialect.name} does not tell what the model takes; name the file for memory")

    def let_go(self) -> None:
        """Let the model go, where the server holds several; the next request has it loaded again."""
        if self._dialect is not None and not self._shared:
            self._dialect.unload()
            self._is_loaded = False
            self._client.will_load()

    def close(self) -> None:
        """Let the model go, where the server holds several, and close the connections."""
        self.let_go()
        self._client.close()

    def _load_settings(self) -> LoadSettings:
        return self._settings if isinstance(self._settings, LoadSettings) else self._settings()

    def _ready(self, settings: LoadSettings | None = None) -> Dialect:
        dialect = self.dialect
        if not self._facts:
            settings = settings or self._load_settings()
            facts = dialect.facts(settings)
            if settings.chat_template is not None and digest(settings.chat_template) != facts.get("template"):
                raise EngineRefused(
                    "a server renders with its own chat template: --quant-pin-template cannot be kept; "
                    "start the server with that template"
                )
            has = facts.get("context")
            if has is not None and settings.context is not None and settings.context > has:
                raise EngineRefused(
                    f"a context of {settings.context} tokens is asked for, the server has {has}: {dialect.more_context}"
                )
            self._facts = facts
        with self._lock:
            if not self._is_loaded:
                dialect.load()
                self._is_loaded = True
        return dialect

    def _hear(
        self,
        dialect: Dialect,
        path: str,
        make_body: Callable[[_Request, LoadSettings], dict[str, Any]],
        request: _Request,
        settings: LoadSettings,
    ) -> tuple[Prompt, Heard]:
        """What the model read, as far as it is told, and its streamed answer."""
        generation = request.generation
        if generation.max_tokens is not None and generation.max_tokens < 1:
            raise EngineRefused(f"max_tokens must be at least 1, got {generation.max_tokens}")
        if generation.noise > 0:
            raise EngineCannot("the logits of a server cannot be damaged")
        body = make_body(request, settings)
        prompt = dialect.read_prompt(body, request)
        body = dialect.budgeted(body, dialect.budget(generation, prompt, settings))
        patience = Patience(self._timeout)
        with closing(dialect.front.lines(path, body, patience)) as lines:
            try:
                heard = dialect.hear(
                    events(lines, dialect.front.blot),
                    patience.elapsed,
                    patience.progress,
                    raw=path == dialect.completion_path,
                )
            except EngineError as error:  # in the server's own words, which may hold the key
                raise type(error)(one_line(dialect.front.blot(str(error)))) from None
        with self._lock:
            first = self._signature = self._signature or heard.signature
        if heard.signature != first:
            new, old = (one_line(dialect.front.blot(one), 120) for one in (heard.signature, first))
            raise EngineRefused(
                f"{self.address.place} answers as {new!r}, before it was {old!r}: "
                "another model or build took its place while the run went on"
            )
        return prompt, heard
