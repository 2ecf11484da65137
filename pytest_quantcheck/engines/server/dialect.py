"""What every OpenAI-compatible server takes and tells; the base of those that take and tell more."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import ClassVar
from typing import Final

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.embeddings import label
from pytest_quantcheck.embeddings import pack
from pytest_quantcheck.engines.answer import Source
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.engines.base import default_budget
from pytest_quantcheck.engines.server.answer import Answer
from pytest_quantcheck.engines.server.answer import objects
from pytest_quantcheck.engines.server.client import Client
from pytest_quantcheck.engines.server.command_line import told_by
from pytest_quantcheck.engines.server.proxies import Proxy
from pytest_quantcheck.engines.server.proxies import let_go
from pytest_quantcheck.engines.server.reply import estimated
from pytest_quantcheck.engines.server.stream import Heard
from pytest_quantcheck.engines.server.stream import hear_openai
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Payload
from pytest_quantcheck.text import one_line
from pytest_quantcheck.thinking import Family
from pytest_quantcheck.thinking import recognise

ALL: Final = ("kv_type", "flash_attention", "system")
"""What a server process decides and no server tells."""
WHOLE_S: Final = 600.0
"""Seconds that an answer may take that is not streamed: nothing comes before all of it is there."""
_OF_MACHINE: Final = ("system",)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the server makes of a conversation, as far as it shows that: the text, and the ids of its tokens."""

    text: str = ""
    ids: tuple[int, ...] | None = None


class Dialect:
    """A server of which nothing is known but OpenAI's protocol.

    :param front: where answers are asked for.
    :param wire: where the server tells about itself; another one behind a proxy.
    :param model: the name that the server knows the model by.
    """

    name: ClassVar[str] = "an OpenAI-compatible server"
    counts_end: ClassVar[bool] = True
    """Whether the reported tokens include the one that ends an answer."""
    may_hide: ClassVar[bool] = True
    """Whether it may keep a thought to itself."""
    more_context: ClassVar[str] = "start it with more, or lower --quant-ctx"
    """What to do where it has less than is asked for."""
    decides: ClassVar[Sequence[str]] = ()
    """Conditions that are the same for all models behind its address, told or not."""
    chat_path: ClassVar[str] = "/v1/chat/completions"
    completion_path: ClassVar[str] = "/v1/completions"

    def __init__(self, front: Client, wire: Client, model: str) -> None:
        self.front = front
        self.wire = wire
        self.model = model
        self.wire_model = model
        """Its name on the wire."""
        self._proxy: Proxy | None = None

    def go_through(self, proxy: Proxy) -> None:
        """Ask for answers at a proxy, which knows the model by its own name."""
        self._proxy, self.model = proxy, proxy.model

    # --- what it tells of itself ----------------------------------------------------------------------------------

    def card(self) -> ModelCard:
        """What the server reveals; everything else is unknown."""
        return self._card()

    def _card(self, **told: Any) -> ModelCard:
        name = one_line(self.model.replace("\\", "/").rpartition("/")[2] or self.name, 120)
        where = self.front.address
        return served_card(f"{where.url}#{self.model}", f"{name} ({where.place})", **told)

    def facts(self, settings: LoadSettings) -> Payload:
        """What of the conditions is known; None and '' overrule what was planned, for nobody knows it."""
        del settings
        unknown = {"context": None, "kv_type": "", "gpu_layers": "", "threads": None}
        told = {} if self._proxy is None else told_by(self._proxy.command)
        return unknown | told | {"build": self._build(), "decided_by": self._deciders()}

    def _build(self, version: str = "") -> str:
        """The server, its version, and the proxy in front of it."""
        behind = "" if self._proxy is None else f" behind {self._proxy.name}"
        return f"{self.name} {version}".rstrip() + behind

    def _deciders(self) -> dict[str, str]:
        """Who decides what is not told. A proxy runs a process for each model, mostly on its own machine."""
        decides = self.decides if self._proxy is None else _OF_MACHINE
        return dict.fromkeys(decides, self.front.address.url)

    @property
    def family(self) -> Family | None:
        """How the model marks thoughts and calls; None where the server does not show its template."""
        return None

    # --- requests ---------------------------------------------------------------------------------------------------

    def chat_body(self, request: ChatRequest, settings: LoadSettings) -> dict[str, Any]:
        """The body of a chat request, its token budget aside."""
        body = {"model": self.model, "messages": openai_messages(request.messages)}
        if request.tools:
            body["tools"] = list(request.tools)
        how = request.generation
        return body | self._sampling(plain(how)) | self._shape(how) | self._switch(request)

    def completion_body(self, request: CompletionRequest, settings: LoadSettings) -> dict[str, Any]:
        """The body of a raw completion, its token budget aside."""
        body = {"model": self.model, "prompt": request.prompt}
        return body | self._sampling(plain(request.generation)) | self._shape(request.generation)

    def budgeted(self, body: dict[str, Any], budget: int) -> dict[str, Any]:
        """The same with a token budget, as a stream."""
        return body | {"max_tokens": budget, "stream": True, "stream_options": {"include_usage": True}}

    def budget(self, generation: Generation, prompt: Prompt, settings: LoadSettings) -> int:
        """Tokens that the answer may have."""
        del prompt, settings
        thinks = self.family is not None and self.family.thinks
        return generation.max_tokens or default_budget(thinks=thinks)

    def in_context(self, wanted: int, prompt: Prompt, settings: LoadSettings, context: int | None, cure: str) -> int:
        """A budget that fits behind the prompt, in a context that both sides have; EngineRefused where nothing does."""
        given = settings.context
        if given is not None and (context is None or given < context):
            context, whose, cure = given, "the run's", "--quant-ctx gives more"
        else:
            whose = "the server's"
        if context is None or prompt.ids is None:
            return wanted
        room = context - len(prompt.ids)
        if room < 1:
            raise EngineRefused(f"the prompt has {len(prompt.ids)} tokens, {whose} context {context}; {cure}")
        return min(room, wanted)

    def _sampling(self, generation: Generation) -> dict[str, Any]:
        return {"temperature": generation.temperature, "top_p": generation.top_p, "seed": generation.seed}

    def _no_xtc(self, generation: Generation) -> None:
        if generation.xtc_probability > 0:
            raise EngineCannot(f"{self.name} cannot draw with xtc, as --quant-samples has it for this model")

    def _shape(self, generation: Generation) -> dict[str, Any]:
        if generation.grammar is not None:
            raise EngineCannot(f"{self.name} takes no grammar")
        if generation.json_schema is None:
            return {}
        schema = {"name": "answer", "schema": generation.json_schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}

    def _switch(self, request: ChatRequest) -> dict[str, Any]:
        """The thinking switch and budget."""
        if request.generation.thinking is not None:
            raise EngineCannot(f"{self.name} has no thinking switch that is known")
        return self._no_budget(request)

    def _no_budget(self, request: ChatRequest) -> dict[str, Any]:
        if request.generation.thinking_budget is not None:
            raise EngineRefused(
                f"{self.name} takes no thinking budget that could be kept (--quant-thinking=budget:N); "
                "--quant-max-tokens bounds the whole answer"
            )
        return {}

    def read_prompt(self, body: dict[str, Any], request: ChatRequest | CompletionRequest) -> Prompt:
        """What the model is going to read, where the server shows it."""
        del body, request
        return Prompt()

    def hear(
        self, found: Iterable[dict[str, Any]], now: Callable[[], float], progress: Callable[[], None], *, raw: bool
    ) -> Heard:
        """The streamed answer."""
        return hear_openai(found, now, progress, raw=raw)

    def was_cut(self, heard: Heard, settings: LoadSettings) -> bool:
        """Whether the model did not see the whole prompt."""
        del heard, settings
        return False

    # --- the rest -------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids; ``special`` adds those that stand around every text."""
        del text, special
        raise EngineCannot(f"{self.name} tells no token ids")

    def token_ids(self, answer: Answer, path: str) -> list[int]:
        """The ids that the tokeniser at ``path`` told; EngineRefused for anything else."""
        tokens = self.expect(answer).get("tokens")
        if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
            raise EngineRefused(f"{self.name} answers {path} without token ids")
        return tokens

    def count(self, text: str) -> tuple[int, Source]:
        """How many tokens a text has, and how that is known."""
        try:
            return len(self.tokenize(text)), "re-tokenised"
        except EngineCannot:
            return estimated(text)

    def choose(self, request: ChoiceRequest) -> Choice:
        """The log-likelihood of every choice."""
        del request
        raise EngineCannot(f"{self.name} tells no log-probabilities of given texts")

    def bench(self, request: BenchRequest, settings: LoadSettings) -> Bench:
        """Prefill and decode speed by the server's own clock."""
        del request, settings
        raise EngineCannot(f"{self.name} tells no times of its own")

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector for each text."""
        answer = self.front.post("/v1/embeddings", {"model": self.model, "input": list(request.texts)})
        if answer.status in (400, 404, 405, 501) or (answer.status == 500 and "embedding=True" in answer.text):
            raise EngineCannot(f"{self.name} gives no vectors of this model: {self.front.refusal(answer)}")
        found = objects(self.expect(answer).get("data"))
        if all(type(row.get("index")) is int for row in found):  # they need not come in order
            found.sort(key=lambda row: int(row["index"]))
        vectors = [row.get("embedding") for row in found]
        return self._embeddings(request, vectors)

    def _embeddings(self, request: EmbeddingRequest, vectors: Sequence[Any]) -> Embeddings:
        if request.noise > 0:
            raise EngineCannot("the vectors of a server cannot be damaged")
        fit = all(isinstance(one, list) and one and all(type(x) in (int, float) for x in one) for one in vectors)
        if len(vectors) != len(request.texts) or not fit or len(set(map(len, vectors))) != 1:
            raise EngineRefused(f"{self.name} gave no vector of one length for each of {len(request.texts)} texts")
        try:
            packed = tuple(map(pack, vectors))
        except (ValueError, OverflowError) as error:
            raise EngineRefused(f"the model computes no usable vector: {error}; its weights are damaged") from None
        return Embeddings(tuple(map(label, request.texts)), packed, pooling="the server's")

    def load(self) -> None:
        """Have the model loaded, where that has to be asked for."""
        if self._proxy is not None:
            self._proxy.load()

    def unload(self) -> None:
        """Let the model go, where the server holds several; the next request loads it again."""
        if self._proxy is not None:
            let_go(self._proxy.unload, self._proxy.is_loaded)

    def expect(self, answer: Answer) -> dict[str, Any]:
        """The fields of a success; EngineRefused otherwise."""
        if not answer.ok:
            raise self.front.refusal(answer)
        return answer.fields


def plain(generation: Generation) -> Generation:
    """The same, with nothing that bends the choice where it is greedy: servers penalise then too."""
    if generation.temperature > 0:
        return generation
    return replace(generation, top_k=0, top_p=1.0, min_p=0.0, penalty_repeat=1.0, xtc_probability=0.0)


def served_card(path: str, name: str, **told: Any) -> ModelCard:
    """A card of which nothing is known but what is told."""
    empty: dict[str, Any] = {
        **dict.fromkeys(("file_bytes", "tensor_bytes", "parameters"), 0),
        **dict.fromkeys(("context_length", "block_count", "embedding_length", "vocabulary", "chat_template"), None),
        "architecture": "",
        "tensor_types": {},
        "metadata": {},
    }
    return ModelCard(path=path, name=name, served=True, **(empty | told))


def family_of(template: str | None) -> Family | None:
    """The family of a template; None where there is no template to be seen."""
    return recognise(template) if template else None


def openai_messages(messages: Sequence[Message]) -> list[Message]:
    """The messages as OpenAI's protocol wants them: arguments as JSON text, and each result with its call's id.

    A result without an id is taken for that of the next call that has none.
    """
    made, open_calls = [], deque[str]()
    for message in map(_with_text_arguments, messages):
        if message.get("role") == "assistant":
            open_calls = deque(str(call.get("id", "")) for call in message.get("tool_calls") or ())
        elif message.get("role") == "tool":
            given = message.get("tool_call_id")
            if given is not None:
                open_calls = deque(one for one in open_calls if one != given)
            elif open_calls:
                message = message | {"tool_call_id": open_calls.popleft()}
        made.append(message)
    return made


def _with_text_arguments(message: Message) -> Message:
    if not message.get("tool_calls"):
        return message
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        arguments = function.get("arguments")
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        calls.append({**call, "function": {**function, "arguments": text}})
    return {**message, "tool_calls": calls}
