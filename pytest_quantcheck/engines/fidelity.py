"""Requests for fidelity: what is read, beside which store, into which. Runs inside the engine's own process only."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as C

from pytest_quantcheck.engines.base import TEMPLATE
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.bounds import Progress
from pytest_quantcheck.engines.bounds import bounded
from pytest_quantcheck.engines.forward import Forward
from pytest_quantcheck.engines.forward import together
from pytest_quantcheck.engines.llama_log import LlamaLog
from pytest_quantcheck.engines.loading import build_words
from pytest_quantcheck.engines.passages import end_of_turn
from pytest_quantcheck.engines.passages import last_turn
from pytest_quantcheck.engines.passages import text_passage
from pytest_quantcheck.engines.passages import windows
from pytest_quantcheck.engines.scoring import measure
from pytest_quantcheck.engines.store_file import StoreReader
from pytest_quantcheck.engines.store_file import StoreWriter
from pytest_quantcheck.engines.template import ChatTemplate
from pytest_quantcheck.engines.vocabulary import Vocabulary
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity_store import TOP
from pytest_quantcheck.fidelity_store import WHOLE_UP_TO
from pytest_quantcheck.fidelity_store import Passage
from pytest_quantcheck.fidelity_store import StoreError
from pytest_quantcheck.fidelity_store import StoreHeader
from pytest_quantcheck.fidelity_store import request_digest
from pytest_quantcheck.gguf_card import GgufError
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.text import digest
from pytest_quantcheck.thinking import Family


class Scorer:
    """Scores with a loaded model, in a context of its own that lives as long as one request."""

    def __init__(
        self,
        path: str,
        model: Any,
        vocabulary: Vocabulary,
        settings: LoadSettings,
        log: LlamaLog,
        progress: Progress,
    ) -> None:
        self._path = path
        self._model = model
        self._vocabulary = vocabulary
        self._settings = settings
        self._log = log
        self._progress = progress

    def fidelity(
        self, request: FidelityRequest, template: Callable[[], ChatTemplate], family: Family, source: str
    ) -> Fidelity:
        """The figures. EngineRefused for a request, a store or a model that cannot give them.

        :param template: makes the chat template, when it is needed; ``source`` is its text.
        """
        if request.text and request.conversations:
            raise EngineRefused("give a text or conversations, not both")
        if not (request.text or request.conversations or request.store):
            raise EngineRefused("there is nothing to score: the text is empty")
        if request.store and request.write:
            raise EngineRefused("a model is compared with a store or makes one, not both at once")
        with ExitStack() as stack:
            reader = stack.enter_context(closing(StoreReader(request.store))) if request.store else None
            if reader is not None:
                passages = self._kept_passages(reader.header, request)
            elif request.conversations:
                passages = self._turns(request, template, family)
            else:
                passages = windows(self._vocabulary, request.text, request.window)
            longest = self._check_room(passages)
            writer = None
            if request.write:
                header = self._header(request, passages, source)
                writer = stack.enter_context(StoreWriter(request.write, header))
            side_by_side = min(together(longest), len(passages)) if passages[0].spans[0][2] == "text" else 1
            context = Forward(self._model, self._settings, self._log, self._progress, longest, side_by_side)
            forward = stack.enter_context(context)
            return measure(request, passages, forward, self._progress, reader=reader, writer=writer)

    def _turns(
        self, request: FidelityRequest, template: Callable[[], ChatTemplate], family: Family
    ) -> tuple[Passage, ...]:
        found = []
        with bounded(self._progress, TEMPLATE):
            end = end_of_turn(self._vocabulary, template())
            for number, messages in enumerate(request.conversations, 1):
                try:
                    found.append(last_turn(self._vocabulary, template(), family, end, messages))
                except EngineRefused as error:
                    raise EngineRefused(f"conversation {number} of {len(request.conversations)}: {error}") from None
        return tuple(found)

    def _kept_passages(self, header: StoreHeader, request: FidelityRequest) -> Sequence[Passage]:
        """The tokens that the reference read, provided that they mean the same to this model."""
        name = Path(request.store).name
        if header.vocabulary != self._vocabulary.size:
            raise StoreError(
                f"{name} keeps log-probabilities of a vocabulary of {header.vocabulary} tokens, "
                f"this model has {self._vocabulary.size}: they cannot be compared"
            )
        own = self._card.vocabulary_digest
        if header.vocabulary_digest and own and header.vocabulary_digest != own:
            raise StoreError(
                f"{name} keeps log-probabilities of another vocabulary ({header.vocabulary} tokens, as many as this "
                "model's, but other texts): they cannot be compared"
            )
        asked = request.text or request.conversations
        if asked and header.asked and header.asked != request_digest(request):
            raise StoreError(f"{name} keeps log-probabilities of another text or window; make it anew")
        if header.base:
            return [text_passage(self._vocabulary, passage.ids) for passage in header.passages]
        return header.passages

    def _header(self, request: FidelityRequest, passages: Sequence[Passage], source: str) -> StoreHeader:
        size = self._vocabulary.size
        card = self._card
        return StoreHeader(
            vocabulary=size,
            kept=size if request.whole or size <= WHOLE_UP_TO else min(TOP, size),
            window=0 if request.conversations else request.window,
            passages=tuple(passages),
            vocabulary_digest=card.vocabulary_digest,
            asked=request_digest(request),
            reference=Path(self._path).name,
            reference_fingerprint=card.fingerprint,
            build=build_words(),
            template=digest(source) if source else "",
        )

    @cached_property
    def _card(self) -> ModelCard:
        try:
            return read_card(self._path)
        except GgufError as error:
            raise EngineRefused(f"{self._path}: {error}") from None

    def _check_room(self, passages: Sequence[Passage]) -> int:
        longest = max(len(passage.ids) for passage in passages)
        most = max(C.llama_model_n_ctx_train(self._model), self._settings.context or 0)
        if longest > most:
            raise EngineRefused(f"a piece of {longest} tokens is to be read at once; the model reads at most {most}")
        return longest
