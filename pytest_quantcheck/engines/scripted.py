"""A public double: an engine whose answers come from a function, for testing tests without a model."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_letters

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.embeddings import label
from pytest_quantcheck.embeddings import pack
from pytest_quantcheck.engines.answer import Run
from pytest_quantcheck.engines.answer import chat_reply
from pytest_quantcheck.engines.answer import completion_reply
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.images import said
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Reply
from pytest_quantcheck.stop_rules import watcher
from pytest_quantcheck.text import digest
from pytest_quantcheck.thinking import Family
from pytest_quantcheck.thinking import Splitter
from pytest_quantcheck.thinking import family_named

_DEFAULT_BUDGET = 2048


class ScriptedEngine:
    """Answers with what ``script`` returns for the last message: raw text, thinking and tool-call markers included.

    Usage::

        # conftest.py
        from pytest_quantcheck import ScriptedEngine


        def pytest_quantcheck_engine(role, source):
            return ScriptedEngine(lambda prompt: "<think>easy</think>4" if "2 + 2" in prompt else "no idea")

    An image in the message is a line ``<image 0123456789abcdef>``, by the digest of its bytes.

    A token is a word or a marker, with the space before it. A text longer than the budget is cut as a model's would
    be. The script may raise an ``EngineError`` to play a dying engine. ``bench_tok_s`` are the (prefill, decode) speeds
    it pretends to, or a function that is told how many repetitions it pretended to before and returns them; ``memory``
    is what it pretends to take. ``choose`` gets a prompt and its choices and returns their log-likelihoods, ``embed``
    gets texts and returns their vectors, ``fidelity`` gets the request and returns the record. ``family`` names the
    way in which it marks thoughts and tool calls, as docs/explanation/thinking-tokens.md lists them: ``<think>`` and
    ``<tool_call>`` unless told otherwise. With noise (``Generation.noise``) its words are garbled.
    """

    def __init__(
        self,
        script: Callable[[str], str],
        *,
        name: str = "scripted",
        seconds_per_token: float = 0.01,
        bench_tok_s: tuple[float, float] | Callable[[int], tuple[float, float]] | None = None,
        family: str = "think",
        choose: Callable[[str, tuple[str, ...]], Iterable[float]] | None = None,
        embed: Callable[[tuple[str, ...]], Iterable[Sequence[float]]] | None = None,
        memory: Memory | None = None,
        fidelity: Callable[[FidelityRequest], Fidelity] | None = None,
    ) -> None:
        self._script = script
        self._name = name
        self._seconds_per_token = seconds_per_token
        self._bench_tok_s = bench_tok_s
        self._benches = 0
        self._choose = choose
        self._embed = embed
        self._memory = memory
        self._fidelity = fidelity
        self._family = family_named(family)
        self._token = _tokens(self._family)
        self._loaded = False
        self._loads = 0

    @property
    def loads(self) -> int:
        """How many times the 'model' was loaded so far."""
        return self._loads

    @property
    def peak_memory(self) -> int | None:
        """Unknown: there is no model."""
        return None

    def card(self) -> ModelCard:
        """A card that says nothing but the name."""
        return ModelCard(
            path=self._name,
            name=self._name,
            architecture="scripted",
            file_bytes=0,
            tensor_bytes=0,
            parameters=0,
            tensor_types={},
            context_length=None,
            block_count=None,
            embedding_length=None,
            vocabulary=None,
            chat_template=None,
            metadata={},
        )

    def tokenize(self, text: str) -> list[int]:
        """One id a word."""
        return list(range(len(text.split())))

    def chat(self, request: ChatRequest) -> Reply:
        """What the script says to the last message."""
        prompt = said(request.messages[-1])
        ends = watcher(request.generation.stop, lambda: Splitter(self._family, tools=request.tools))
        run = self._generate(prompt, request.generation, ends)
        return chat_reply(
            run,
            prompt.split(),
            opened=False,
            family=self._family,
            tools=request.tools,
            loop=request.generation.loop,
            source="estimated",
        )

    def complete(self, request: CompletionRequest) -> Reply:
        """What the script says to the prompt."""
        run = self._generate(request.prompt, request.generation, watcher(request.generation.stop, None))
        return completion_reply(run, request.prompt.split(), source="estimated")

    def choose(self, request: ChoiceRequest) -> Choice:
        """What the function says of the last message, or of the prompt; with noise every likelihood is another."""
        if self._choose is None:
            raise EngineCannot("this scripted engine has no function choose")
        self._load()
        prompt = str(request.messages[-1]["content"]) if request.messages else request.prompt
        found = [float(value) for value in self._choose(prompt, request.choices)]
        if len(found) != len(request.choices):
            raise EngineRefused(f"the function choose gave {len(found)} numbers for {len(request.choices)} choices")
        if request.noise > 0:
            found = [*found[1:], found[0]]
        return Choice(
            choices=request.choices,
            loglikelihoods=tuple(found),
            tokens=tuple(len(choice.split()) for choice in request.choices),
            prompt_tokens=len(prompt.split()),
            prompt=digest([prompt, *request.choices]),
        )

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """What the function says of the texts; with noise every text gets another's vector."""
        if self._embed is None:
            raise EngineCannot("this scripted engine has no function embed")
        self._load()
        vectors = list(self._embed(request.texts))
        if len(vectors) != len(request.texts) or len(set(map(len, vectors))) > 1:
            raise EngineRefused(
                f"the function embed gave no vector of one length for each of {len(request.texts)} texts"
            )
        if request.noise > 0:
            vectors = [*vectors[1:], vectors[0]]
        return Embeddings(
            labels=tuple(map(label, request.texts)),
            packed=tuple(map(pack, vectors)),
            pooling="mean",
            tokens=tuple(len(text.split()) for text in request.texts),
            prompt=digest(request.texts),
        )

    def fidelity(self, request: FidelityRequest) -> Fidelity:
        """What the function says; it is the function's to honour the request's noise."""
        if self._fidelity is None:
            raise EngineCannot("this scripted engine has no function fidelity")
        self._load()
        return self._fidelity(request)

    def bench(self, request: BenchRequest) -> Bench:
        """The pretended speeds."""
        if self._bench_tok_s is None:
            raise EngineCannot("this scripted engine has no bench_tok_s")
        self._load()
        given = self._bench_tok_s
        speeds = [given(self._benches + more) if callable(given) else given for more in range(request.repeats)]
        self._benches += request.repeats
        return Bench(
            tuple(prefill for prefill, _ in speeds),
            tuple(decode for _, decode in speeds),
            request.prompt_tokens,
            request.generate_tokens,
            tuple(request.prompt_tokens / prefill for prefill, _ in speeds),
            request.depth or 0,
        )

    def memory(self, request: MemoryRequest) -> Memory:
        """The pretended figures, whatever context and budget are asked for."""
        if self._memory is None:
            raise EngineCannot("this scripted engine has no memory")
        self._load()
        return replace(self._memory, budget=request.budget)

    def close(self) -> None:
        """Forget that it was loaded."""
        self._loaded = False

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            self._loads += 1

    def _generate(self, prompt: str, generation: Generation, ends: Callable[[bytes], bool]) -> Run:
        budget = _DEFAULT_BUDGET if generation.max_tokens is None else generation.max_tokens
        if budget < 1:
            raise EngineRefused(f"max_tokens must be at least 1, got {budget}")
        self._load()
        run = Run()
        pieces = self._token.findall(self._script(prompt))
        if generation.noise > 0:
            pieces = _garbled(pieces, self._family, generation.seed)
        for piece in pieces:
            if len(run.times) == budget:
                break
            token = piece.encode("utf-8", "replace")
            run.add(token, (len(run.times) + 1) * self._seconds_per_token)
            if ends(token):
                run.end_early(budget)
                break
        else:
            run.finish = "stop"
        run.first = self._seconds_per_token
        run.total = len(run.times) * self._seconds_per_token
        return run


def _garbled(pieces: Sequence[str], family: Family, seed: int) -> list[str]:
    """The same number of tokens, markers and white space kept, every letter and digit elsewhere a random letter."""
    draw = random.Random(seed)

    def garble(piece: str) -> str:
        return piece if piece.strip() in family.markers else re.sub(r"\w", lambda _: draw.choice(ascii_letters), piece)

    return [garble(piece) for piece in pieces]


def _tokens(family: Family) -> re.Pattern[str]:
    """A word with the space before it, or a marker."""
    marker = "|".join(re.escape(marker) for marker in sorted(family.markers, key=len, reverse=True)) or r"(?!)"
    return re.compile(rf"\s*(?:{marker}|(?:(?!{marker})\S)+)|\s+")
