"""One GGUF through llama.cpp's C API. Runs inside the engine's own process only; why: docs/explanation/engine.md."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as C

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.answer import Run
from pytest_quantcheck.engines.answer import chat_reply
from pytest_quantcheck.engines.answer import completion_reply
from pytest_quantcheck.engines.base import TEMPLATE
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.engines.base import default_budget
from pytest_quantcheck.engines.bench import Stopwatch
from pytest_quantcheck.engines.bounds import Progress
from pytest_quantcheck.engines.bounds import bounded
from pytest_quantcheck.engines.choosing import choose
from pytest_quantcheck.engines.decoder import Decoder
from pytest_quantcheck.engines.embedding import Embedder
from pytest_quantcheck.engines.fidelity import Scorer
from pytest_quantcheck.engines.llama_log import LlamaLog
from pytest_quantcheck.engines.loading import build_facts
from pytest_quantcheck.engines.loading import load_model
from pytest_quantcheck.engines.loading import make_context
from pytest_quantcheck.engines.memory import Footprint
from pytest_quantcheck.engines.sampler import make_sampler
from pytest_quantcheck.engines.sight import SeenPrompt
from pytest_quantcheck.engines.sight import Sight
from pytest_quantcheck.engines.template import ChatTemplate
from pytest_quantcheck.engines.vocabulary import Vocabulary
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Reply
from pytest_quantcheck.stop_rules import watcher
from pytest_quantcheck.text import digest
from pytest_quantcheck.thinking import Family
from pytest_quantcheck.thinking import Splitter
from pytest_quantcheck.thinking import opens_thought
from pytest_quantcheck.thinking import recognise

_NO_SWITCH = (
    "the file's chat template has no thinking switch: where the model thinks before it answers, these are the "
    "likelihoods of what it would not say yet"
)


class LlamaModel:
    """A loaded model. ``progress`` is called after every token and at every step of loading and of reading prompts."""

    def __init__(self, path: str, settings: LoadSettings, progress: Progress) -> None:
        self._progress = progress
        self._log = LlamaLog()
        C.llama_backend_init()
        self._footprint = Footprint()
        self._model = load_model(path, settings, self._log, progress)
        self._vocabulary = Vocabulary(self._model)
        self._decoder = Decoder(self._model, make_context(self._model, settings, self._log), self._log, progress)
        self._footprint.loaded(self._log.buffers, self._decoder.length)
        self._embedder = Embedder(self._model, self._vocabulary, settings, self._log, progress)
        self._sight = Sight(self._model, self._vocabulary, settings, self._log, progress)
        self._scorer = Scorer(path, self._model, self._vocabulary, settings, self._log, progress)
        self._stopwatch = Stopwatch(self._decoder, self._vocabulary, self._log, progress)
        self._settings = settings
        self._template: ChatTemplate | None = None
        self._family = recognise(self._template_source())

    def facts(self) -> dict[str, Any]:
        """What this build and this load are: for the reports."""
        template = self._template_source()
        return {
            "context": self._decoder.length,
            "kv_type": self._settings.kv_type,
            **build_facts(self._decoder.context, self._log),
            "template": digest(template) if template else "",
            "family": self._family.name,
            "projector": Path(self._settings.mmproj).name,
        }

    def memory(self) -> dict[str, Any]:
        """What loading took and what this process holds now, as `Memory` names it."""
        return self._footprint.measured()

    def close(self) -> None:
        """Give everything back; nothing else may be called afterwards."""
        self._embedder.close()
        C.llama_free(self._decoder.context)
        C.llama_model_free(self._model)
        self._log.close()

    def tokenize(self, text: str) -> list[int]:
        """Token ids, special tokens parsed, no BOS added."""
        return self._vocabulary.tokenize(text)

    @property
    def template(self) -> ChatTemplate:
        """The file's chat template; EngineRefused when there is none or it does not parse."""
        if self._template is None:
            self._template = ChatTemplate(
                self._template_source(),
                bos=self._vocabulary.bos,
                eos=self._vocabulary.eos,
            )
        return self._template

    def _template_source(self) -> str | None:
        if self._settings.chat_template is not None:
            return self._settings.chat_template
        source: bytes | None = C.llama_model_chat_template(self._model, None)
        return source.decode("utf-8", "replace") if source else None

    @property
    def family(self) -> Family:
        """How the file's template marks thoughts and tool calls; the plain one when nothing in it is known."""
        return self._family

    def render(self, request: ChatRequest) -> str:
        """The prompt text of a chat request, the thinking switch always given where the template has one."""
        generation = request.generation
        switch = self.template.thinking_default
        thinking = None if switch is None else generation.thinking_or(switch)
        budget = generation.thinking_budget
        if budget is not None and not self.template.takes_budget:
            raise EngineRefused(
                "the file's chat template knows no thinking_budget, so --quant-thinking=budget:N cannot be kept; "
                "--quant-max-tokens bounds the whole answer"
            )
        return self.template.render(request.messages, request.tools, thinking=thinking, thinking_budget=budget)

    def chat(self, request: ChatRequest) -> Reply:
        """One assistant turn."""

        def render(messages: Sequence[Message]) -> str:
            return self.render(replace(request, messages=tuple(messages)))

        with bounded(self._progress, TEMPLATE):
            prompt, images = self._sight.render(request.messages, render)
        tokens: Sequence[int | str]
        opened = opens_thought(prompt, self._family)
        ends = watcher(request.generation.stop, lambda: Splitter(self._family, opened=opened, tools=request.tools))
        if images:
            with self._sight.prompt(prompt, images, self._decoder) as seen:
                run, tokens = self._generate(seen.ids, request.generation, ends, seen), seen.tokens
        else:
            tokens = ids = self._vocabulary.prompt(prompt)
            run = self._generate(ids, request.generation, ends)
        return chat_reply(
            run,
            tokens,
            opened=opened,
            family=self._family,
            tools=request.tools,
            loop=request.generation.loop,
        )

    def complete(self, request: CompletionRequest) -> Reply:
        """A raw continuation; nothing is split off and the budget is its normal end."""
        ids = self._vocabulary.prompt(request.prompt)
        ends = watcher(request.generation.stop, None)
        return completion_reply(self._generate(ids, request.generation, ends), ids)

    def choose(self, request: ChoiceRequest) -> Choice:
        """The log-likelihood of each choice, after raw text or a chat prompt that leaves no room for a thought."""
        prompt, note = request.prompt, ""
        if request.messages:
            with bounded(self._progress, TEMPLATE):
                switch = self.template.thinking_default
                prompt = self.template.render(request.messages, thinking=None if switch is None else False)
            if opens_thought(prompt, self._family):
                raise EngineRefused(
                    "the file's chat template opens a thought that cannot be switched off, so no choice can follow it; "
                    "quant.choose_text takes a prompt that ends where the answer begins"
                )
            note = _NO_SWITCH if switch is None and self._family.thinks else ""
        return choose(
            self._decoder, self._vocabulary, prompt, request.choices, self._progress, noise=request.noise, note=note
        )

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector for each text."""
        return self._embedder.embed(request)

    def fidelity(self, request: FidelityRequest) -> Fidelity:
        """The log-likelihood of a text or of given answers and, with a store, the divergence from its reference."""
        return self._scorer.fidelity(request, lambda: self.template, self._family, self._template_source() or "")

    def _generate(
        self, ids: list[int], generation: Generation, ends: Callable[[bytes], bool], seen: SeenPrompt | None = None
    ) -> Run:
        """An answer to the tokens ``ids``, which are those of the text alone where images were ``seen``.

        :param ends: called with every token, says whether the answer may end with it.
        """
        length = len(ids) if seen is None else len(seen.tokens)
        room = self._decoder.length - length
        if not ids:
            raise EngineRefused("the prompt is empty")
        if room < 1:
            raise EngineRefused(
                f"the prompt has {length} tokens, the context {self._decoder.length}; raise --quant-ctx"
            )
        if generation.max_tokens is not None and generation.max_tokens < 1:
            raise EngineRefused(f"max_tokens must be at least 1, got {generation.max_tokens}")
        budget = min(room, generation.max_tokens or default_budget(thinks=self._family.thinks))
        with bounded(self._progress, "reading the grammar"):
            sampler = make_sampler(self._vocabulary.handle, generation, self._log, ids)
        spoil = self._decoder.noise(generation.noise, generation.seed, ids if seen is None else seen.seeds)
        run = Run()
        start, now = time.perf_counter(), 0.0
        try:
            if seen is None:
                self._decoder.prefill(ids)
            else:
                seen.read(self._decoder)
            for _ in range(budget):
                spoil()
                token = sampler.sample(self._decoder)
                now = max(now, time.perf_counter() - start)  # a clock that goes back takes no time
                if not run.times:
                    run.first = now
                if self._vocabulary.ends(token):
                    run.finish = "stop"
                    break
                piece = self._vocabulary.piece(token)
                run.add(piece, now)
                self._progress("", len(run.times))
                if ends(piece):
                    run.end_early(budget)
                    break
                if len(run.times) == budget:
                    break
                self._decoder.read(token)
        finally:
            sampler.free()
        run.total = max(now, time.perf_counter() - start)
        run.grammar = sampler.cost
        return run

    def bench(self, request: BenchRequest) -> Bench:
        """Fixed token counts on real text."""
        return self._stopwatch.bench(request)
