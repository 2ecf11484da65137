"""An engine whose answers are kept on disk: what was asked before of the same file is not asked again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import TypeVar

from pytest_quantcheck.cache import Cache
from pytest_quantcheck.cache import key_of
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.engines.wrapper import Wrapper
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.gguf_parts import part_paths
from pytest_quantcheck.identity import build_identity
from pytest_quantcheck.identity import content_digest
from pytest_quantcheck.record import Payload
from pytest_quantcheck.record import Record
from pytest_quantcheck.records import Reply

_Found = TypeVar("_Found", Reply, Choice, Embeddings, Fidelity)
_NOT_COUNTED = ("threads", "mmproj")
"""Settings that are no part of a key: llama.cpp's sums do not depend on how many threads share the rows, and a
projector counts by its content."""


class CachedEngine(Wrapper):
    """A model in a process of its own that is only loaded for what the cache does not know.

    The key of an answer is the digest of everything that it depends on: all bytes of the files, llama.cpp's libraries,
    this package's code, the machine's kernels, how the model is loaded, and the whole request. Speed is never kept. A
    file that changes while the run goes on is refused: its answers and those of the old one would be mixed.

    :param apart: engines of one file with different words here do not share their answers.
    """

    def __init__(
        self,
        engine: ProcessEngine,
        settings: LoadSettings | Callable[[], LoadSettings],
        cache: Cache,
        apart: str = "",
    ) -> None:
        super().__init__(engine)
        self.fresh = engine
        """The engine itself, for whoever needs to see the model at work."""
        self.cached = 0
        """Answers that the cache gave so far."""
        self._settings = settings
        self._cache = cache
        self._apart = apart
        self._paths: tuple[Path, ...] = part_paths(engine.path)
        self._identity: Payload | None = None
        self._facts: Payload = {}

    @property
    def facts(self) -> Payload:
        """What the engine reported when it was loaded, in this run or in the one that the answers come from."""
        return self.fresh.facts or self._facts

    def tokenize(self, text: str) -> list[int]:
        """Token ids of ``text``."""
        key = self._key("tokenize", text)
        kept = self._cache.get(key) if key else None
        if kept is None:
            kept = {"ids": self.fresh.tokenize(text)}
            self._keep(key, kept)
        ids: list[int] = kept["ids"]
        return ids

    def chat(self, request: ChatRequest) -> Reply:
        """One assistant turn."""
        return self._answer("chat", request, Reply, self.fresh.chat)

    def complete(self, request: CompletionRequest) -> Reply:
        """A raw continuation."""
        return self._answer("complete", request, Reply, self.fresh.complete)

    def choose(self, request: ChoiceRequest) -> Choice:
        """The log-likelihood of every choice."""
        return self._answer("choose", request, Choice, self.fresh.choose)

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector for each text."""
        return self._answer("embed", request, Embeddings, self.fresh.embed)

    def fidelity(self, request: FidelityRequest) -> Fidelity:
        """How likely every token is; of a store its content counts. What writes a store is not kept."""
        if request.write:
            return self.fresh.fidelity(request)
        try:
            store = content_digest([Path(request.store)], self._cache) if request.store else ""
        except OSError:  # the engine says what is wrong with it
            return self.fresh.fidelity(request)
        asked = replace(request, name="", store=store)
        found = self._answer("fidelity", asked, Fidelity, lambda _: self.fresh.fidelity(request))
        return replace(found, name=request.name)

    def _answer(self, op: str, request: Record, kind: type[_Found], ask: Callable[[Any], _Found]) -> _Found:
        key = self._key(op, request)
        kept = self._cache.get(key) if key else None
        if kept is not None:
            try:
                found = kind.from_payload(kept)
            except (TypeError, ValueError, KeyError):  # sound JSON of another shape: nobody wrote that for us
                kept = None
            else:
                self.cached += 1
                return replace(found, cached=True) if isinstance(found, Reply) else found
        answer = ask(request)
        self._keep(key, answer.to_payload())
        return answer

    def _key(self, op: str, asked: Record | str) -> str:
        """The key of an answer; '' where the request or the file cannot be told apart from others."""
        if self._identity is None:
            self._identify()
        if self._identity is None:
            return ""
        self.fresh.check_files()
        try:
            request = asked if isinstance(asked, str) else asked.to_payload()
            return key_of(self._identity, op, request)
        except (TypeError, ValueError, RecursionError):  # the engine says what is wrong with it
            return ""

    def _identify(self) -> None:
        settings = self._settings if isinstance(self._settings, LoadSettings) else self._settings()
        if settings.mmproj:
            self._paths = (*part_paths(self.fresh.path), Path(settings.mmproj))
        self.fresh.check_files()  # before they are read
        try:
            files = content_digest(self._paths, self._cache)
        except OSError:  # the engine says what is wrong with the file
            return
        counted = {name: value for name, value in settings.to_payload().items() if name not in _NOT_COUNTED}
        self._identity = {"files": files, "settings": counted, "apart": self._apart, **build_identity(self._cache)}
        kept = self._cache.get(key_of(self._identity, "facts"))
        if kept is not None:
            self._facts = {**kept, "threads": settings.threads}

    def _keep(self, key: str, answer: Payload) -> None:
        if not key:
            return
        self.fresh.check_files()  # it may have been loaded after it was identified
        self._cache.put(key, answer)
        if not self._facts and self.fresh.facts:
            self._facts = self.fresh.facts
            self._cache.put(key_of(self._identity, "facts"), self._facts)
