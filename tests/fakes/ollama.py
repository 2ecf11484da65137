"""Ollama: its native API with its context, and its OpenAI-compatible one, which ignores it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.fakes.base import Body
from tests.fakes.base import Fake
from tests.fakes.base import Script
from tests.fakes.base import tokens_of
from tests.fakes.base import words_of

TEMPLATE = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<think>{{ .Thinking }}"


class Ollama(Fake):
    """Ollama.

    :param version: before 0.12.6 it ignores ``truncate`` and ``shift`` and cuts a prompt to the context.
    :param thinks: whether the model has a thinking switch; one that has none refuses it.
    :param chunk: tokens that come in one piece.
    """

    def __init__(
        self, script: Script, *, version: str = "0.20.0", thinks: bool = True, chunk: int = 1, **more: Any
    ) -> None:
        super().__init__(script, **{"model": "tiny:q4"} | more)
        self.version = version
        self.thinks = thinks
        self.chunk = chunk
        self.loaded = False
        self.writes: int | None = None
        """Tokens after which the model ends a raw text; None goes on to the budget."""
        self.keeps_from = 10**9
        """The raw text from which on it has half of a prompt from an earlier one."""
        self._texts = 0

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/api/version":
            return 200, {"version": self.version}
        if path == "/api/tags":
            entry = {"name": self.model, "model": self.model, "size": 1234567, "digest": "ab" * 32}
            return 200, {"models": [entry, entry | {"name": "other:latest", "model": "other:latest"}]}
        if path == "/api/ps":
            return 200, {"models": [{"name": self.model}] if self.loaded else []}
        if path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": self.model, "owned_by": "library"}]}
        return 404, "404 page not found"

    def post(self, path: str, body: Body) -> tuple[int, Any] | Iterator[str]:
        if path == "/api/show":
            return 200, {
                "template": TEMPLATE,
                "parameters": 'temperature                    0.5\ntop_k                          64\nstop "<x>"',
                "details": {"family": "llama", "quantization_level": "Q4_0"},
                "model_info": {
                    "general.architecture": "llama",
                    "general.parameter_count": 1000,
                    "llama.context_length": 8192,
                    "llama.block_count": 4,
                    "llama.embedding_length": 256,
                    "tokenizer.ggml.model": "gpt2",
                    "tokenizer.ggml.tokens": None,
                },
                "capabilities": ["completion", "tools", *(["thinking"] if self.thinks else [])],
            }
        if path == "/api/generate" and body.get("keep_alive") == 0:
            self.loaded = False
            return 200, {"model": self.model, "response": "", "done": True, "done_reason": "unload"}
        if path == "/api/generate":
            return self._times(body)
        if path == "/api/chat":
            return self.chat(body)
        if path == "/api/embed":
            vectors = [[float(len(text)), 1.0, 0.0] for text in body["input"]]
            return 200, {"model": self.model, "embeddings": vectors, "prompt_eval_count": 7}
        return self.get(path)

    def _times(self, body: Body) -> tuple[int, Any]:
        """A raw text, not streamed: 10 ms a token read, 20 ms a token written after the first."""
        assert (body["raw"], body["stream"]) == (True, False)
        self._texts += 1
        read = len(tokens_of(body["prompt"])) // (2 if self._texts > self.keeps_from else 1)
        written = min(body["options"]["num_predict"], self.writes or 10**9)
        return 200, {
            "response": "x",
            "done": True,
            "done_reason": "length",
            "prompt_eval_count": read,
            "prompt_eval_duration": read * 10_000_000,
            "eval_count": written,
            "eval_duration": (written - 1) * 20_000_000,
            "load_duration": 10**9,
        }

    @property
    def _is_old(self) -> bool:
        return tuple(map(int, self.version.split("."))) < (0, 12, 6)

    def chat(self, body: Body) -> tuple[int, Any] | Iterator[str]:
        """A streamed answer, one JSON object a line."""
        if body["model"] != self.model:
            return 404, {"error": f"model '{body['model']}' not found"}
        if body.get("think") is not None and not self.thinks:
            return 400, {"error": f'"{self.model}" does not support thinking'}
        options = body["options"]
        prompt = sum(len(tokens_of(str(one["content"]))) + 4 for one in body["messages"])
        context = options["num_ctx"]
        if prompt >= context and not self._is_old and body.get("truncate") is False:
            words = f"request ({prompt} tokens) exceeds the available context size ({context} tokens)"
            return 400, {"error": json.dumps({"error": {"code": 400, "message": words}})}
        self.loaded = True
        says, finish, written = self.script(words_of(body["messages"])).cut(options["num_predict"])
        thought = says.thought if body.get("think") is not False else ()
        written -= 0 if thought or not says.thought else len(says.thought) + 2
        return self._lines(thought, says.text, says.calls, finish, min(prompt, context), written)

    def _lines(self, thought: Any, text: Any, calls: Any, finish: str, prompt: int, written: int) -> Iterator[str]:
        def line(message: Body, **more: Any) -> str:
            said = {"role": "assistant", "content": ""} | message
            return json.dumps({"model": self.model, "message": said, "done": False} | more) + "\n"

        for name, tokens in (("thinking", thought), ("content", text)):
            for at in range(0, len(tokens), self.chunk):
                yield line({name: "".join(tokens[at : at + self.chunk])})
        for index, (name, arguments) in enumerate(calls):
            yield line({"tool_calls": [{"function": {"index": index, "name": name, "arguments": arguments}}]})
        counts = {"prompt_eval_count": prompt, "eval_count": written, "load_duration": 0, "eval_duration": 1000}
        yield line({}, done=True, done_reason=finish, **counts)
