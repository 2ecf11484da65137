"""Ollama, by its native API: its OpenAI-compatible one ignores the context and cuts a long prompt without a word.

What it takes and tells: docs/api.md and api/types.go of Ollama.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from typing import Final

from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.engines.base import default_context
from pytest_quantcheck.engines.server.client import Client
from pytest_quantcheck.engines.server.dialect import Dialect
from pytest_quantcheck.engines.server.dialect import family_of
from pytest_quantcheck.engines.server.dialect import plain
from pytest_quantcheck.engines.server.stream import Heard
from pytest_quantcheck.engines.server.stream import hear_ollama
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.images import image_bytes
from pytest_quantcheck.images import part_text
from pytest_quantcheck.records import Payload
from pytest_quantcheck.text import digest
from pytest_quantcheck.thinking import Family

_SAMPLING: Final = {"temperature": "temp", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p"}
"""Parameters of a Modelfile -> the keys that a GGUF header has for the same."""
_UNLOADED_S: Final = 10.0


class Ollama(Dialect):
    """One model of Ollama's."""

    name = "Ollama"
    chat_path = "/api/chat"
    completion_path = "/api/generate"

    def __init__(self, client: Client, model: str, version: str, entry: dict[str, Any], show: dict[str, Any]) -> None:
        super().__init__(client, client, model)
        self._version = version
        self._entry = entry
        self._info = show.get("model_info") if isinstance(show.get("model_info"), dict) else {}
        self._parameters = str(show.get("parameters") or "")
        template = show.get("template")
        self._template = template if isinstance(template, str) and template else None
        capabilities = show.get("capabilities")
        self._thinks = isinstance(capabilities, list) and "thinking" in capabilities

    def card(self) -> ModelCard:
        """What ``/api/show`` says of the GGUF and of the Modelfile; the digest tells contents apart."""
        info: dict[str, Any] = self._info or {}
        scalars = {name: of for name, of in info.items() if isinstance(of, str | int | float)}
        architecture = str(scalars.get("general.architecture") or "")

        def number(name: str) -> int | None:
            value = scalars.get(name)
            return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

        return self._card(
            architecture=architecture,
            file_bytes=self._entry["size"] if isinstance(self._entry.get("size"), int) else 0,
            parameters=number("general.parameter_count") or 0,
            context_length=number(f"{architecture}.context_length"),
            block_count=number(f"{architecture}.block_count"),
            embedding_length=number(f"{architecture}.embedding_length"),
            chat_template=self._template,
            metadata=scalars | self._sampling_keys(),
            tokenizer=str(scalars.get("tokenizer.ggml.model") or ""),
            pre=str(scalars.get("tokenizer.ggml.pre") or ""),
            fingerprint=str(self._entry.get("digest") or "")[:64],
        )

    def _sampling_keys(self) -> dict[str, float]:
        found = {}
        for line in self._parameters.splitlines():
            name, _, value = line.strip().partition(" ")
            with suppress(ValueError):
                if name in _SAMPLING:
                    found[f"general.sampling.{_SAMPLING[name]}"] = float(value)
        return found

    def facts(self, settings: LoadSettings) -> Payload:
        """The context is the one that every request asks for."""
        return super().facts(settings) | {
            "context": self._context(settings),
            "build": f"Ollama {self._version}",
            "template": digest(self._template) if self._template else "",
        }

    def _context(self, settings: LoadSettings) -> int:
        return settings.context or default_context(self.card().context_length)

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
        switch = request.generation.thinking_or(None)
        # a model that cannot think refuses the switch, whatever it says
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
        with suppress(EngineError):
            self.front.post("/api/generate", {"model": self.model, "keep_alive": 0})
            deadline = time.monotonic() + _UNLOADED_S
            while time.monotonic() < deadline:
                running = self.front.get("/api/ps").fields.get("models")
                if not any(one.get("name") == self.model for one in running or () if isinstance(one, dict)):
                    return
                time.sleep(0.1)


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
