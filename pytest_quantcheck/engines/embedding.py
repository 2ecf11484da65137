"""Vectors of texts, in a context of their own. Runs inside the engine's own process only."""

from __future__ import annotations

from typing import Any
from typing import Final

import llama_cpp.llama_cpp as C
import numpy as np

from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.embeddings import label
from pytest_quantcheck.embeddings import pack
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.bounds import Progress
from pytest_quantcheck.engines.llama_log import LlamaLog
from pytest_quantcheck.engines.loading import context_params
from pytest_quantcheck.engines.vocabulary import Vocabulary
from pytest_quantcheck.text import digest

_POOLING: Final = {
    C.LLAMA_POOLING_TYPE_MEAN: "mean",
    C.LLAMA_POOLING_TYPE_CLS: "cls",
    C.LLAMA_POOLING_TYPE_LAST: "last",
}
_MOST_TOKENS = 32768
_LEAST_TOKENS = 512
_MOST_NUMBERS = 256 * 8192


class Embedder:
    """Embeds with a loaded model: each text by itself, in one batch, so that no other text touches its vector.

    The file says how a text's tokens are pooled; where it does not (a model made for generating) their mean is taken.
    """

    def __init__(
        self, model: Any, vocabulary: Vocabulary, settings: LoadSettings, log: LlamaLog, progress: Progress
    ) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._settings = settings
        self._log = log
        self._progress = progress
        self._while_reading = C.ggml_abort_callback(self._go_on)
        self._context: Any = None
        self._room = 0
        self._dimensions: int = C.llama_model_n_embd_out(model)
        self._limit = min(C.llama_model_n_ctx_train(model), settings.context or _MOST_TOKENS)

    def _go_on(self, _: Any) -> bool:
        self._progress("")
        return False

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """The vectors. EngineRefused for too many, for a text that is too long, for a model that ranks pairs."""
        numbers = len(request.texts) * self._dimensions
        if numbers > _MOST_NUMBERS:
            raise EngineRefused(
                f"{len(request.texts)} vectors of {self._dimensions} numbers are too many; "
                f"at most {_MOST_NUMBERS // self._dimensions} texts at a time"
            )
        ids = [self._vocabulary.tokenize(text, add_special=True) for text in request.texts]
        for text, tokens in zip(request.texts, ids, strict=True):
            if len(tokens) > self._limit:
                words = f"the text {label(text)!r} has {len(tokens)} tokens"
                raise EngineRefused(f"{words}; the model reads at most {self._limit}")
            if not tokens:
                raise EngineRefused(f"the text {label(text)!r} has no tokens")
        self._make_room(max(map(len, ids)))
        return Embeddings(
            labels=tuple(map(label, request.texts)),
            packed=tuple(self._vector(tokens, request.noise) for tokens in ids),
            pooling=_POOLING[C.llama_pooling_type(self._context)],
            tokens=tuple(map(len, ids)),
            prompt=digest(ids),
        )

    def close(self) -> None:
        """Give the context back."""
        if self._context is not None:
            C.llama_free(self._context)
        self._room, self._context = 0, None

    def _make_room(self, tokens: int) -> None:
        """A context in which the longest text fits into one batch, as pooling and attention both ways need it."""
        if tokens <= self._room:
            return
        self.close()
        self._room = max(_LEAST_TOKENS, 1 << (tokens - 1).bit_length())
        params = context_params(self._model, self._settings)
        params.n_ctx = params.n_batch = params.n_ubatch = self._room
        params.n_outputs_max = 0  # every token counts
        params.embeddings = True
        self._context = C.llama_init_from_model(self._model, params)
        if self._context and C.llama_pooling_type(self._context) == C.LLAMA_POOLING_TYPE_NONE:
            C.llama_free(self._context)
            params.pooling_type = C.LLAMA_POOLING_TYPE_MEAN
            self._context = C.llama_init_from_model(self._model, params)
        if not self._context:
            self._room, self._context = 0, None
            raise EngineRefused(f"llama.cpp cannot make a context for {tokens} tokens: {self._log.cause()}")
        if C.llama_pooling_type(self._context) not in _POOLING:
            self._room = 0
            raise EngineRefused("the model ranks pairs of texts (a reranker); it has no vectors of single texts")
        C.llama_set_abort_callback(self._context, self._while_reading, None)

    def _vector(self, ids: list[int], noise: float) -> str:
        C.llama_memory_clear(C.llama_get_memory(self._context), True)
        batch = C.llama_batch_init(len(ids), 0, 1)
        try:
            batch.n_tokens = len(ids)
            for at, token in enumerate(ids):
                batch.token[at], batch.pos[at], batch.n_seq_id[at], batch.logits[at] = token, at, 1, 1
                batch.seq_id[at][0] = 0
            self._log.clear()
            code = C.llama_decode(self._context, batch)
        finally:
            C.llama_batch_free(batch)
        if code != 0:
            raise EngineRefused(f"llama_decode failed with code {code}: {self._log.cause()}")
        found = np.ctypeslib.as_array(C.llama_get_embeddings_seq(self._context, 0), shape=(self._dimensions,))
        vector = found.astype(np.float64)
        if noise > 0:
            vector += np.random.default_rng(ids).normal(0.0, noise * float(vector.std()), len(vector))
        self._progress("")
        try:
            return pack(vector.tolist())
        except ValueError as error:
            raise EngineRefused(f"the model computes no usable vector: {error}; its weights are damaged") from None
