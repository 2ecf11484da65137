"""The Engine protocol, its requests, and the ways in which an engine says no.

Exceptions::

    EngineError                what a test sees as 'error', never as a wrong answer
      +-- EngineRefused        the model or the request cannot be served; the message says why
      +-- EngineDied           the process ended in the middle
      +-- EngineHung           no new token for the time-out
    EngineCannot               this engine lacks the ability; the test is skipped with that reason
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Protocol
from typing import runtime_checkable

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Record
from pytest_quantcheck.records import Reply
from pytest_quantcheck.repetition import DEFAULT_RULE
from pytest_quantcheck.repetition import LoopRule
from pytest_quantcheck.stop_rules import Stop
from pytest_quantcheck.stop_rules import read_stop
from pytest_quantcheck.text import short

Message = dict[str, Any]
Tool = dict[str, Any]


class EngineError(Exception):
    """The engine gave no answer; the text is one clear line."""


class EngineRefused(EngineError):
    """The model or this request cannot be served."""


class EngineDied(EngineError):
    """The engine's process ended while it worked."""


class EngineHung(EngineError):
    """No sign of progress for the time-out; the process was killed."""


class EngineCannot(Exception):
    """This engine lacks what the test asks for."""


def describe(error: Exception) -> str:
    """An exception of somebody else's in words."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


# what the parent is told when the child begins to render (bounds.py)
TEMPLATE = "rendering the file's chat template"

# type of the KV cache -> ggml's number for it
KV_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2, "iq4_nl": 20}


CHUNK: Final = 512
"""Tokens that are read at once. Chunking changes logits, so both roles use this one."""

DEFAULT_CONTEXT: Final = 32768
"""Most tokens of context that a model gets unless somebody asks for more."""

MOST_CONTEXT: Final = 10**7
"""Tokens of context that anybody may ask the memory of: llama.cpp keeps 60 bytes a token in any case."""

MOST_TEXTS: Final = 256
"""Texts that are embedded at a time."""


@dataclass(frozen=True, slots=True)
class LoadSettings(Record):
    """How to load. ``context=None``: min(32768, trained). ``gpu_layers=-1``: all.

    ``chat_template`` renders and parses in place of the file's own. ``mmproj`` is the file of the projector that turns
    images into embeddings, '' for none; it is loaded by the first image. ``devices`` are the names of what layers are
    offloaded to; none: llama.cpp decides.
    """

    context: int | None = None
    gpu_layers: int = -1
    kv_type: str = "f16"
    threads: int = 1
    chat_template: str | None = None
    mmproj: str = ""
    devices: tuple[str, ...] = ()

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"devices": tuple}


def default_context(trained: int | None) -> int:
    """The context of a model when nobody asks for one."""
    return min(DEFAULT_CONTEXT, trained or DEFAULT_CONTEXT)


def default_budget(*, thinks: bool) -> int:
    """Tokens that an answer may have when nobody says: more for a model whose template knows thoughts."""
    return 8192 if thinks else 2048


@dataclass(frozen=True, slots=True)
class Generation(Record):
    """How to generate. ``max_tokens=None``: 8192 for a thinking model, else 2048, bounded by the context.

    ``thinking_budget`` is handed to the chat template, which has to know it. ``loop`` says what repetition makes an
    answer wrong, None that none does. ``grammar`` is GBNF, ``json_schema`` a JSON Schema that is turned into a grammar;
    at most one of them.

    ``temperature=0`` is greedy. What comes after ``loop`` shapes a draw in llama.cpp's usual order and is switched off
    by its default; ``sampling.py`` has the defaults that are used when a test runs more than once. ``noise`` damages
    the model: the standard deviation of Gaussian noise on its logits, in units of their own spread; for the self-test.
    ``stop`` says when the answer may end early; an engine that cannot watch its tokens may go on.
    """

    max_tokens: int | None = None
    temperature: float = 0.0
    seed: int = 0
    thinking: bool | None = None
    grammar: str | None = None
    json_schema: dict[str, Any] | None = None
    thinking_budget: int | None = None
    loop: LoopRule | None = DEFAULT_RULE
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    penalty_repeat: float = 1.0
    penalty_last_n: int = 64
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    noise: float = 0.0
    stop: Stop = ()

    def thinking_or(self, default: bool | None) -> bool | None:
        """The thinking switch to ask for: what was said, else ``default``.

        A grammar governs the answer from its first token, so under it there is no room for a thought.
        """
        if self.thinking is not None:
            return self.thinking
        return default if self.grammar is None and self.json_schema is None else False

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"loop": lambda rule: None if rule is None else LoopRule.from_payload(rule), "stop": read_stop}


@dataclass(frozen=True, slots=True)
class ChatRequest(Record):
    """OpenAI-style messages and tools; every image is a part with a ``data:`` URL (images.py)."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    generation: Generation = Generation()

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"messages": tuple, "tools": tuple, "generation": Generation.from_payload}


@dataclass(frozen=True, slots=True)
class CompletionRequest(Record):
    """Raw text to continue, no template; special tokens in it are parsed."""

    prompt: str
    generation: Generation = Generation()

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"generation": Generation.from_payload}


def _refuse_images(messages: Iterable[Message], who: str) -> None:
    for message in messages:
        content = message.get("content")
        if isinstance(content, list) and any(isinstance(part, dict) and part.get("type") != "text" for part in content):
            raise EngineRefused(f"{who} takes text only; quant.chat takes images")


@dataclass(frozen=True, slots=True)
class ChoiceRequest(Record):
    """Which of several texts is the likeliest after ``messages``, thinking switched off, or after the raw ``prompt``.

    EngineRefused unless there are two choices or more, each a text of its own. ``noise`` is that of `Generation`.
    """

    choices: tuple[str, ...]
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    noise: float = 0.0

    def __post_init__(self) -> None:
        wrong = next((choice for choice in self.choices if not isinstance(choice, str) or not choice), None)
        if wrong is not None:
            raise EngineRefused(f"the choice {short(wrong)} is no text")
        twice = next((choice for number, choice in enumerate(self.choices) if choice in self.choices[:number]), None)
        if twice is not None:
            raise EngineRefused(f"the choice {short(twice)} is given twice")
        if len(self.choices) < 2:
            raise EngineRefused(f"{len(self.choices)} choices given; it takes two or more")
        if bool(self.messages) == bool(self.prompt):
            raise EngineRefused("nothing is asked: the messages or the prompt are empty")
        _refuse_images(self.messages, "quant.choose")

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"choices": tuple, "messages": tuple}


@dataclass(frozen=True, slots=True)
class EmbeddingRequest(Record):
    """Texts to turn into vectors, as they are: a prefix that the model knows ('query: ') is the test's to add.

    EngineRefused unless there are 1 to 256 texts, none of them blank. ``noise`` damages the vectors, in units of their
    own spread; for the self-test.
    """

    texts: tuple[str, ...]
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.texts) <= MOST_TEXTS:
            raise EngineRefused(f"{len(self.texts)} texts given; it takes 1 to {MOST_TEXTS} at a time")
        for number, text in enumerate(self.texts, 1):
            if not isinstance(text, str) or not text.strip():
                raise EngineRefused(f"text {number} of {len(self.texts)} is empty: {short(text)}")

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"texts": tuple}


@dataclass(frozen=True, slots=True)
class FidelityRequest(Record):
    """Score a text, or the last turns of conversations, token by token.

    A text is read in chunks of ``window`` tokens of which the second half is scored, as llama-perplexity does. Of a
    conversation the last message, the assistant's, is scored in the place where the model would write it.

    :param name: the text's label.
    :param window: tokens of context in each chunk of a text; a conversation is read whole.
    :param store: file with a reference's log-probabilities of the same tokens, to compare with; '' for none. Its tokens
        are what is read, so text and conversations may be left out.
    :param write: file to write this model's log-probabilities to, as a reference's; '' for none.
    :param whole: with ``write``: keep the whole vocabulary, however large.
    :param noise: that of `Generation`.
    """

    name: str
    text: str = ""
    conversations: tuple[tuple[Message, ...], ...] = ()
    window: int = 512
    store: str = ""
    write: str = ""
    whole: bool = False
    noise: float = 0.0

    def __post_init__(self) -> None:
        for messages in self.conversations:
            _refuse_images(messages, "quant.fidelity")

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"conversations": lambda turns: tuple(tuple(messages) for messages in turns)}


@dataclass(frozen=True, slots=True)
class BenchRequest(Record):
    """Read ``prompt_tokens`` of real text, then ``generate_tokens`` one by one, ``repeats`` times.

    :param warmup: rounds that are discarded at most before that; they end when a round is no faster than those before.
    :param depth: tokens that stand in the context before the prompt, read unmeasured; None: as many as there is room.
    """

    prompt_tokens: int = 512
    generate_tokens: int = 128
    repeats: int = 5
    warmup: int = 8
    depth: int | None = 0


@dataclass(frozen=True, slots=True)
class MemoryRequest(Record):
    """What a model takes at ``context`` tokens (None: the run's own), and the largest context within ``budget`` bytes.

    EngineRefused for a context or a budget below 1, and for a context of more than ten million tokens.
    """

    context: int | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        for name, value, most in (("context", self.context, MOST_CONTEXT), ("budget", self.budget, 1 << 62)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most):
                raise EngineRefused(f"a {name} of {short(value)} makes no sense; allowed: 1 to {most}")


@runtime_checkable
class Engine(Protocol):
    """One model. Loading is lazy: nothing heavy happens before the first request."""

    def card(self) -> ModelCard:
        """What the file says of itself, without loading it; EngineRefused when it is no usable model file."""

    def tokenize(self, text: str) -> list[int]:
        """Token ids of ``text``, special tokens parsed, no BOS added."""

    def chat(self, request: ChatRequest) -> Reply:
        """One assistant turn."""

    def complete(self, request: CompletionRequest) -> Reply:
        """A raw continuation; reaching ``max_tokens`` is its normal end."""

    def choose(self, request: ChoiceRequest) -> Choice:
        """The log-likelihood of every choice."""

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector for each text."""

    def fidelity(self, request: FidelityRequest) -> Fidelity:
        """How likely every token of a text or of given answers is and, with a store, how far from its reference."""

    def bench(self, request: BenchRequest) -> Bench:
        """Prefill and decode speed."""

    def memory(self, request: MemoryRequest) -> Memory:
        """What the model takes: an estimate, and what loading it took."""

    @property
    def loads(self) -> int:
        """How many times the model was loaded so far."""

    @property
    def peak_memory(self) -> int | None:
        """Most memory that the model's process held so far, in bytes; None when unknown."""

    def close(self) -> None:
        """Release everything; the next request would load again."""
