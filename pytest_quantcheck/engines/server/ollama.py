"""Ollama, by its native API: its OpenAI-compatible one ignores the context and cuts a long prompt without a word.

What it takes and tells: docs/api.md and api/types.go of Ollama.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from typing import Any

from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import MOST_CONTEXT
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.engines.base import default_context
from pytest_quantcheck.engines.server.answer import objects
from pytest_quantcheck.engines.server.client import Client
from pytest_quantcheck.engines.server.dialect import ALL
from pytest_quantcheck.engines.server.dialect import WHOLE_S
from pytest_quantcheck.engines.server.dialect import Dialect
from pytest_quantcheck.engines.server.dialect import family_of
from pytest_quantcheck.engines.server.dialect import plain
from pytest_quantcheck.engines.server.ollama_card import template_of
from pytest_quantcheck.engines.server.ollama_card import told_fields
from pytest_quantcheck.engines.server.proxies import let_go
from pytest_quantcheck.engines.server.stream import Heard
from pytest_quantcheck.engines.server.stream import hear_ollama
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.images import image_bytes
from pytest_quantcheck.images import part_text
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Payload
from pytest_quantcheck.text import digest
from pytest_quantcheck.thinking import Family


class Ollama(Dialect):
    """One model of Ollama's."""

    name = "Ollama"
    decides = ALL
    more_context = "the model was trained for no more; lower --quant-ctx"
    chat_path = "/api/chat"
    completion_path = "/api/generate"

    def __init__(self, client: Client, model: str, version: str, entry: dict[str, Any], show: dict[str, Any]) -> None:
        super().__init__(client, client, model)
        self._version = version
        self._entry = entry
        self._show = show
        self._template = template_of(show)
        capabilities = show.get("capabilities")
        self._thinks = isinstance(capabilities, list) and "thinking" in capabilities

    def card(self) -> ModelCard:
        """What ``/api/show`` says of the GGUF and of the Modelfile."""
        return self._told

    @cached_property
    def _told(self) -> ModelCard:
        told = told_fields(self._show, self._entry)
        return self._card(template_is_go=self._template is not None, thinks=self._thinks or None, **told)

    def facts(self, settings: LoadSettings) -> Payload:
        """The context is the one that every request asks for."""
        return super().facts(settings) | {
            "context": self._context(settings),
            "build": self._build(self._version),
            "template": digest(self._template) if self._template else "",
        }

    def _context(self, settings: LoadSettings) -> int:
        """What it is asked for, and gives: it takes no more than the trained one, and says so in its log only."""
        trained = self.card().context_length
        return min(settings.context or default_context(trained), trained or MOST_CONTEXT)

    @property
    def family(self) -> Family | None:
        """By the template that Ollama renders; unknown where a program of its own does that."""
        family = family_of(self._template)
        return family if family is not None and family.thinks else None

    def chat_body(self, request: ChatRequest, settings: LoadSettings) -> dict[str, Any]:
        """Messages with arguments as objects and images apart; what does not fit is refused instead of cut."""
        body = super().chat_body(request, settings)
        return body | self._loading(request.generation, settings) | {"messages": list(map(_message, request.messages))}

    def completion_body(self, request: CompletionRequest, settings: LoadSettings) -> dict[str, Any]:
        """The text as it is (``raw``)."""
        body = super().completion_body(request, settings)
        return body | self._loading(request.generation, settings) | {"raw": True}

    def _loading(self, generation: Generation, settings: LoadSettings) -> dict[str, Any]:
        how = plain(generation)
        options = {
            "num_ctx": self._context(settings),
            "temperature": how.temperature,
            "seed": how.seed,
            "top_k": how.top_k,
            "top_p": how.top_p,
            "min_p": how.min_p,
            "typical_p": 1.0,
            "repeat_penalty": how.penalty_repeat,
            "repeat_last_n": how.penalty_last_n,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
        }
        # older than 0.12.6 it ignores these two; was_cut sees what came of it
        return {"options": options, "truncate": False, "shift": False}

    def _sampling(self, generation: Generation) -> dict[str, Any]:
        self._no_xtc(generation)
        return {}

    def _shape(self, generation: Generation) -> dict[str, Any]:
        if generation.grammar is not None:
            raise EngineCannot("Ollama takes no grammar")
        return {} if generation.json_schema is None else {"format": generation.json_schema}

    def _switch(self, request: ChatRequest) -> dict[str, Any]:
        # its own default, said as the others are told theirs; a model that cannot think refuses any switch
        switch = request.generation.thinking_or(True)
        return self._no_budget(request) | ({"think": switch} if self._thinks and switch is not None else {})

    def budgeted(self, body: dict[str, Any], budget: int) -> dict[str, Any]:
        """The budget stands among the options."""
        return body | {"options": body["options"] | {"num_predict": budget}, "stream": True}

    def hear(
        self, found: Iterable[dict[str, Any]], now: Callable[[], float], progress: Callable[[], None], *, raw: bool
    ) -> Heard:
        """One JSON object a line."""
        return hear_ollama(found, now, progress, raw=raw)

    def was_cut(self, heard: Heard, settings: LoadSettings) -> bool:
        """Whether the model did not see the whole prompt: what is reported fills the context, or does not fit in."""
        read, written = (heard.usage.get(name, 0) for name in ("prompt_tokens", "completion_tokens"))
        context = self._context(settings)
        return read >= context or read + written > context + 1

    def bench(self, request: BenchRequest, settings: LoadSettings) -> Bench:
        """By Ollama's own durations."""
        from pytest_quantcheck.engines.server.stopwatch import time_ollama

        def generate(text: str, tokens: int) -> dict[str, Any]:
            asked = CompletionRequest(text, Generation(max_tokens=tokens))
            body = self.budgeted(self.completion_body(asked, settings), tokens) | {"stream": False}
            patience = max(self.front.timeout, WHOLE_S)
            return self.expect(self.front.post(self.completion_path, body, patience=patience))

        return time_ollama(generate, request, self._context(settings))

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """By ``/api/embed``; a text that does not fit is refused instead of cut."""
        body = {"model": self.model, "input": list(request.texts), "truncate": False}
        answer = self.front.post("/api/embed", body)
        if answer.status in (400, 404, 500, 501) and "support embed" in answer.text:
            raise EngineCannot(f"Ollama gives no vectors of {self.model}")
        vectors = self.expect(answer).get("embeddings")
        return self._embeddings(request, vectors if isinstance(vectors, list) else [])

    def unload(self) -> None:
        """Let the model go, and wait until it is gone."""
        nothing = {"model": self.model, "keep_alive": 0}
        let_go(lambda seconds: self.front.post("/api/generate", nothing, patience=seconds, attempts=1), self._is_loaded)

    def _is_loaded(self, patience: float) -> bool:
        running = objects(self.front.get("/api/ps", patience=patience).fields.get("models"))
        return any(one.get("name") == self.model for one in running)


def _message(message: Message) -> Message:
    content = message.get("content")
    told: Message = {"role": message["role"], "content": content or ""}
    if isinstance(content, list):
        images = [b64encode(data).decode() for data in map(image_bytes, content) if data is not None]
        told["content"] = "\n".join(part_text(part) for part in content if image_bytes(part) is None)
        told |= {"images": images} if images else {}
    if message.get("tool_calls"):
        told["tool_calls"] = [{"function": _as_object(call["function"])} for call in message["tool_calls"]]
    if message.get("role") == "tool" and message.get("name"):
        told["tool_name"] = message["name"]
    return told


def _as_object(function: dict[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        with suppress(ValueError):
            arguments = json.loads(arguments)
    return {"name": function.get("name"), "arguments": arguments}
