"""llama.cpp's own server: it shows its template and its tokens, and takes llama.cpp's own settings.

What it takes and tells: tools/server/README.md of llama.cpp.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import replace
from functools import cached_property
from functools import lru_cache
from pathlib import Path
from typing import Any
from typing import Final

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.server.client import Client
from pytest_quantcheck.engines.server.dialect import ALL
from pytest_quantcheck.engines.server.dialect import WHOLE_S
from pytest_quantcheck.engines.server.dialect import Dialect
from pytest_quantcheck.engines.server.dialect import Prompt
from pytest_quantcheck.engines.server.dialect import family_of
from pytest_quantcheck.engines.server.dialect import served_card
from pytest_quantcheck.engines.server.stream import numbers_of
from pytest_quantcheck.gguf_card import GgufError
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Payload
from pytest_quantcheck.renderings import Renderings
from pytest_quantcheck.renderings import render_probes
from pytest_quantcheck.text import digest
from pytest_quantcheck.thinking import Family
from pytest_quantcheck.thinking import opens_thought

_NO_SWITCH = (
    "the server's chat template has no thinking switch: where the model thinks before it answers, these are the "
    "likelihoods of what it would not say yet"
)


_FORCED: Final = 1000.0
"""Added to a token's logit: more than any model's logits are apart. The log-probability is told of the model's own
logits, before anything is added (tools/server/server-context.cpp, populate_token_probs)."""


@lru_cache(maxsize=8)  # it takes a process, and both sides mostly have one template
def _rendered(template: str, bos: str, eos: str) -> Renderings:
    return render_probes([served_card("", "", chat_template=template, bos=bos, eos=eos)])[0]


class LlamaServer(Dialect):
    """One model of llama-server's."""

    name = "llama-server"
    may_hide = False  # it is asked for the text as the model wrote it
    decides = ALL

    def __init__(self, front: Client, wire: Client, model: str, props: dict[str, Any], meta: dict[str, Any]) -> None:
        super().__init__(front, wire, model)
        # asked for now, while a proxy has the model loaded
        self._drafts = any(one.get("speculative") is True for one in self._slots())
        self._props = props
        self._meta = numbers_of(meta)
        template = props.get("chat_template")
        self._template = template if isinstance(template, str) and template else None
        settings = props.get("default_generation_settings")
        context = settings.get("n_ctx") if isinstance(settings, dict) else None
        self._context = context if isinstance(context, int) and context > 0 else None

    def card(self) -> ModelCard:
        """The whole header where the file lies on this machine, else the few figures that the server tells."""
        return self._whole_card

    @cached_property
    def _whole_card(self) -> ModelCard:
        told = {
            "tensor_bytes": self._number("size"),
            "parameters": self._number("n_params"),
            "vocabulary": self._number("n_vocab") or None,
            "embedding_length": self._number("n_embd") or None,
            "context_length": self._context,
            "chat_template": self._template,
            "bos": self._word("bos_token"),
            "eos": self._word("eos_token"),
        }
        card = self._card(**told)
        local = self._local_card()
        if local is None or (local.parameters, local.tensor_bytes) != (card.parameters, card.tensor_bytes):
            return card
        # the server may have been started with another template and a smaller context; Jinja itself drops one newline
        own = (local.chat_template or "").removesuffix("\n") == (self._template or "").removesuffix("\n")
        return replace(
            local,
            path=card.path,
            name=card.name,
            served=True,
            chat_template=local.chat_template if own else self._template,
            context_length=card.context_length,
        )

    def _local_card(self) -> ModelCard | None:
        path = self._props.get("model_path")
        if not isinstance(path, str) or not path or not self._is_here():
            return None
        try:
            return read_card(Path(path)) if Path(path).is_file() else None
        except (GgufError, OSError, ValueError):
            return None

    def _is_here(self) -> bool:
        host = self.wire.address.place.partition("/")[0].rpartition(":")[0].strip("[]") or self.wire.address.place
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def _word(self, name: str) -> str:
        return str(self._props.get(name) or "")

    def _number(self, name: str) -> int:
        value = self._meta.get(name)
        return value if isinstance(value, int) else 0

    def facts(self, settings: LoadSettings) -> Payload:
        """Context, build and template."""
        known = super().facts(settings)
        return known | {
            "context": self._context,
            "build": self._build(str(self._props.get("build_info") or "")),
            "template": digest(self.card().chat_template) if self._template else "",
            "family": self.family.name if self.family is not None else "",
            "draft": known.get("draft") or ("the server's" if self._drafts else ""),
            "lora": known.get("lora") or ("the server's" if self._params.get("lora") else ""),
        }

    @property
    def _params(self) -> dict[str, Any]:
        settings = self._props.get("default_generation_settings")
        params = settings.get("params") if isinstance(settings, dict) else None
        return params if isinstance(params, dict) else {}

    def _slots(self) -> list[dict[str, Any]]:
        """Its slots; none where it was started with --no-slots."""
        slots = self.wire.get("/slots").value
        return [one for one in slots if isinstance(one, dict)] if isinstance(slots, list) else []

    @cached_property
    def family(self) -> Family | None:
        """By the template that the server shows."""
        return family_of(self._template)

    @cached_property
    def _renderings(self) -> Renderings:
        if self._template is None:
            return Renderings()
        return _rendered(self._template, self._word("bos_token"), self._word("eos_token"))

    def _sampling(self, generation: Generation) -> dict[str, Any]:
        # all of them: the server may have been started with other defaults
        return super()._sampling(generation) | {
            "top_k": generation.top_k,
            "min_p": generation.min_p,
            "typical_p": 1.0,
            "repeat_penalty": generation.penalty_repeat,
            "repeat_last_n": generation.penalty_last_n,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "dry_multiplier": 0.0,
            "xtc_probability": generation.xtc_probability,
            "xtc_threshold": generation.xtc_threshold,
            "mirostat": 0,
            # a prompt that is kept takes no time, and changes greedy answers a little
            "cache_prompt": False,
            "return_progress": True,
        }

    def _shape(self, generation: Generation) -> dict[str, Any]:
        if generation.grammar is not None:
            return {"grammar": generation.grammar}
        return {} if generation.json_schema is None else {"json_schema": generation.json_schema}

    def _switch(self, request: ChatRequest) -> dict[str, Any]:
        # its own parser guesses from the template, and may take a whole answer for a thought: both sides are split
        # by the same rules if the text comes as the model wrote it
        said: dict[str, Any] = {"reasoning_format": "none"}
        generation, seen = request.generation, self._renderings
        if generation.thinking_budget is not None and "thinking_budget" not in (self._template or ""):
            return self._no_budget(request)
        switch = generation.thinking_or(seen.thinking_default) if seen.thinking_switch else None
        given = {"enable_thinking": switch, "thinking_budget": generation.thinking_budget}
        given = {name: value for name, value in given.items() if value is not None}
        return said | ({"chat_template_kwargs": given} if given else {})

    def read_prompt(self, body: dict[str, Any], request: ChatRequest | CompletionRequest) -> Prompt:
        """The rendered text and its tokens."""
        if isinstance(request, CompletionRequest):
            text = request.prompt
        else:
            answer = self.wire.post("/apply-template", body)
            if answer.status == 404:
                return Prompt()
            text = str(self.expect(answer).get("prompt") or "")
            if any(isinstance(message.get("content"), list) for message in request.messages):
                return Prompt(text)  # nobody tells the tokens of an image
        return Prompt(text, tuple(self.tokenize(text, special=True)))

    def budget(self, generation: Generation, prompt: Prompt, settings: LoadSettings) -> int:
        """No more than the context has room for."""
        wanted = super().budget(generation, prompt, settings)
        cure = "start it with a larger one (-c N -np 1)"
        return self.in_context(wanted, prompt, settings, self._context, cure)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids, special tokens parsed."""
        asked = {"content": text, "add_special": special, "parse_special": True}
        return self.token_ids(self.wire.post("/tokenize", asked), "/tokenize")

    def choose(self, request: ChoiceRequest) -> Choice:
        """Token by token, each forced and its log-probability read."""
        from pytest_quantcheck.engines.server.likelihoods import choose

        prompt, note = request.prompt, ""
        if request.messages:
            generation = Generation(thinking=False)
            asked = ChatRequest(request.messages, generation=generation)
            prompt = self.read_prompt(self.chat_body(asked, LoadSettings()), asked).text
            if self.family is not None and opens_thought(prompt, self.family):
                raise EngineRefused(
                    "the server's chat template opens a thought that cannot be switched off, so no choice can follow "
                    "it; quant.choose_text takes a prompt that ends where the answer begins"
                )
            note = "" if self._renderings.thinking_switch or not (self.family and self.family.thinks) else _NO_SWITCH
        return choose(self, prompt, request, note)

    def bench(self, request: BenchRequest, settings: LoadSettings) -> Bench:
        """By the server's own clock."""
        from pytest_quantcheck.engines.server.stopwatch import time_llama_server

        if any(one.get("is_processing") for one in self._slots()):
            raise EngineRefused(f"{self.name} answers another request meanwhile: its speed cannot be measured")
        return time_llama_server(self, self._context, request)

    def log_probabilities(self, ids: list[int], shared: int) -> list[float]:
        """Of every token of ``ids`` after the first ``shared``, each after all before it: each is forced, and told."""
        return [self._log_probability(ids[:at], ids[at]) for at in range(shared, len(ids))]

    def _log_probability(self, before: list[int], token: int) -> float:
        answer = self.native(
            {
                "prompt": before,
                "n_predict": 1,
                "n_probs": 1,
                "temperature": 0.0,
                "logit_bias": [[token, _FORCED]],
                "cache_prompt": True,  # the same prompt once more, longer by a token
                "repeat_penalty": 1.0,
            }
        )
        told = answer.get("completion_probabilities")
        first = told[0] if isinstance(told, list) and told and isinstance(told[0], dict) else {}
        if first.get("id") != token:
            raise EngineRefused(f"{self.name} tells no log-probability of token {token}")
        found: float = first.get("logprob", math.nan)
        return found

    def native(self, body: dict[str, Any]) -> dict[str, Any]:
        """One answer of ``/completion``, whole."""
        patience = max(self.wire.timeout, WHOLE_S)
        return self.expect(
            self.wire.post("/completion", body | {"stream": False, "model": self.wire_model}, patience=patience)
        )
