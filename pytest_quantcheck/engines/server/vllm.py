"""vLLM: OpenAI's protocol with settings of its own, token ids, and log-probabilities of prompts.

What it takes and tells: docs/serving/openai_compatible_server.md of vLLM.
"""

from __future__ import annotations

from typing import Any

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.server.client import Client
from pytest_quantcheck.engines.server.dialect import ALL
from pytest_quantcheck.engines.server.dialect import WHOLE_S
from pytest_quantcheck.engines.server.dialect import Dialect
from pytest_quantcheck.engines.server.dialect import Prompt
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Payload
from pytest_quantcheck.thinking import opens_thought


class Vllm(Dialect):
    """One model of vLLM's."""

    name = "vLLM"
    decides = ALL

    def __init__(self, front: Client, wire: Client, model: str, version: str, entry: dict[str, Any]) -> None:
        super().__init__(front, wire, model)
        self._version = version
        length = entry.get("max_model_len")
        self._context = length if isinstance(length, int) and length > 0 else None

    def card(self) -> ModelCard:
        """The longest context that it serves; vLLM tells nothing of the weights."""
        return self._card(context_length=self._context)

    def facts(self, settings: LoadSettings) -> Payload:
        """Context and version."""
        return super().facts(settings) | {"context": self._context, "build": self._build(self._version)}

    def _sampling(self, generation: Generation) -> dict[str, Any]:
        self._no_xtc(generation)
        # all of them: the model's generation_config.json has other defaults, penalties among them
        return super()._sampling(generation) | {
            "top_k": generation.top_k or -1,
            "min_p": generation.min_p,
            "repetition_penalty": generation.penalty_repeat,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
        }

    def _switch(self, request: ChatRequest) -> dict[str, Any]:
        switch = request.generation.thinking_or(None)
        said = {} if switch is None else {"chat_template_kwargs": {"enable_thinking": switch}}
        return self._no_budget(request) | said

    def read_prompt(self, body: dict[str, Any], request: ChatRequest | CompletionRequest) -> Prompt:
        """The tokens that it makes of the conversation, and their text."""
        if isinstance(request, CompletionRequest):
            return Prompt(request.prompt, tuple(self.tokenize(request.prompt, special=True)))
        named = {name: body[name] for name in ("messages", "tools", "chat_template_kwargs") if name in body}
        answer = self.wire.post("/tokenize", named | {"model": self.wire_model, "add_generation_prompt": True})
        if answer.status in (404, 405):
            return Prompt()
        ids = self.token_ids(answer, "/tokenize")
        text = self.expect(self.wire.post("/detokenize", {"model": self.wire_model, "tokens": ids})).get("prompt")
        return Prompt(text if isinstance(text, str) else "", tuple(ids))

    def budget(self, generation: Generation, prompt: Prompt, settings: LoadSettings) -> int:
        """No more than there is room for: it refuses a request whose budget does not fit."""
        wanted = super().budget(generation, prompt, settings)
        cure = "start it with a larger one (--max-model-len N)"
        return self.in_context(wanted, prompt, settings, self._context, cure)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids."""
        body = {"model": self.wire_model, "prompt": text, "add_special_tokens": special}
        answer = self.wire.post("/tokenize", body)
        if answer.status in (404, 405):
            raise EngineCannot("this vLLM tells no token ids")
        return self.token_ids(answer, "/tokenize")

    def bench(self, request: BenchRequest, settings: LoadSettings) -> Bench:
        """By the server's own statistics."""
        from pytest_quantcheck.engines.server.stopwatch import time_vllm

        return time_vllm(self, self._context, request)

    def write(self, ids: list[int], tokens: int) -> None:
        """Have it go on from these tokens with so many, whatever they say."""
        body = {"model": self.model, "prompt": ids, "max_tokens": tokens, "min_tokens": tokens, "ignore_eos": True}
        patience = max(self.front.timeout, WHOLE_S)
        self.expect(self.front.post("/v1/completions", body | {"temperature": 0.0}, patience=patience))

    def choose(self, request: ChoiceRequest) -> Choice:
        """By the log-probabilities of a prompt that holds the choice."""
        from pytest_quantcheck.engines.server.likelihoods import choose

        prompt, note = request.prompt, ""
        if request.messages:
            asked = ChatRequest(request.messages, generation=Generation(thinking=False))
            prompt = self.read_prompt(self.chat_body(asked, LoadSettings()), asked).text
            if not prompt:
                raise EngineCannot("this vLLM does not show what it makes of a conversation")
            if opens_thought(prompt):
                raise EngineRefused(
                    "the chat template opens a thought that cannot be switched off, so no choice can follow it; "
                    "quant.choose_text takes a prompt that ends where the answer begins"
                )
            note = "vLLM does not show its chat template: whether thinking is off, nobody knows"
        return choose(self, prompt, request, note)

    def log_probabilities(self, ids: list[int], shared: int) -> list[float]:
        """Of every token of ``ids`` after the first ``shared``, each after all before it."""
        body = {"model": self.model, "prompt": ids, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 1}
        choices = self.expect(self.front.post("/v1/completions", body)).get("choices")
        told = choices[0].get("prompt_logprobs") if isinstance(choices, list) and choices else None
        if not isinstance(told, list) or len(told) != len(ids):
            raise EngineCannot("this vLLM tells no log-probabilities of prompts")
        rows = [one if isinstance(one, dict) else {} for one in told]
        return [rows[at].get(str(ids[at]), {}).get("logprob") for at in range(shared, len(ids))]
