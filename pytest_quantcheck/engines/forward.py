"""The logits of many positions at once, in a context of their own. Runs inside the engine's own process only."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from types import TracebackType
from typing import Any
from typing import Final
from typing import Self

import llama_cpp.llama_cpp as C
import numpy as np
import numpy.typing as npt

from pytest_quantcheck.engines.base import CHUNK
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.bounds import Progress
from pytest_quantcheck.engines.llama_log import LlamaLog
from pytest_quantcheck.engines.loading import context_params

MOST_LOGITS: Final = 64 << 20
"""Bytes of logits that one step may ask llama.cpp for. It decides how a text is cut, so it is one for all roles."""

Floats = npt.NDArray[np.float32]

_TOGETHER: Final = 2048
_MOST_TOGETHER: Final = 4
"""llama-perplexity's batch of 2048 tokens holds four of its windows of 512. The cut decides how llama.cpp rounds."""


def rows_at_once(vocabulary: int) -> int:
    """Positions whose logits one step may ask for: 512 up to a vocabulary of 32k, 64 at 262k."""
    return max(1, min(CHUNK, MOST_LOGITS // (4 * vocabulary)))


def together(window: int) -> int:
    """Passages of that many tokens that are read side by side, as many as llama-perplexity takes; at most 4."""
    return max(1, min(_MOST_TOGETHER, _TOGETHER // window))


def steps(length: int, wanted: Sequence[int], passages: int, rows: int) -> list[tuple[int, int]]:
    """How passages of ``length`` tokens that are read side by side are cut: (start, stop) in each of them.

    A step has at most 512 tokens, of which at most ``rows`` are wanted.

    :param wanted: places in each passage whose logits are asked for, ascending.
    """
    most, rows = max(1, CHUNK // passages), max(1, rows // passages)
    found = []
    start = at = 0
    while start < length:
        stop = min(length, start + most)
        if at + rows < len(wanted):
            stop = min(stop, wanted[at + rows])
        while at < len(wanted) and wanted[at] < stop:
            at += 1
        found.append((start, stop))
        start = stop
    return found


class Forward:
    """A context that reads passages from an empty cache and hands out logits of the wanted positions only.

    :param length: tokens of the longest passage.
    :param passages: how many are read side by side at most.
    """

    def __init__(
        self, model: Any, settings: LoadSettings, log: LlamaLog, progress: Progress, length: int, passages: int = 1
    ) -> None:
        self._model = model
        self._settings = settings
        self._log = log
        self._progress = progress
        self._length = length
        self.passages = passages
        self._vocabulary: int = C.llama_vocab_n_tokens(C.llama_model_get_vocab(model))
        self._while_reading = C.ggml_abort_callback(self._go_on)

    def _go_on(self, _: Any) -> bool:
        self._progress("")
        return False

    def __enter__(self) -> Self:
        params = context_params(self._model, self._settings)
        params.n_ctx = self._length * self.passages
        params.n_seq_max = self.passages
        params.kv_unified = False
        params.n_batch = params.n_ubatch = CHUNK
        params.n_outputs_max = max(self.passages, rows_at_once(self._vocabulary))
        self._log.clear()
        self._context = C.llama_init_from_model(self._model, params)
        if not self._context:
            raise EngineRefused(f"llama.cpp cannot make a context for {self._length} tokens: {self._log.cause()}")
        self._memory = C.llama_get_memory(self._context)
        if not self._memory:
            C.llama_free(self._context)
            raise EngineRefused("the model is an encoder: it predicts no next token")
        # one step can outlast the time-out on a slow machine
        C.llama_set_abort_callback(self._context, self._while_reading, None)
        self._batch = C.llama_batch_init(CHUNK, 0, 1)
        self._shape: tuple[int, ...] = ()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        C.llama_batch_free(self._batch)
        C.llama_free(self._context)

    def logits(self, passages: Sequence[Sequence[int]], wanted: Sequence[int]) -> Iterator[list[Floats]]:
        """Logits after the wanted positions of passages of one length, some positions at a time.

        For each passage an array of positions x vocabulary; views until the next ones are asked for.
        """
        C.llama_memory_clear(self._memory, True)
        asked = np.zeros(len(passages[0]), np.int8)
        asked[list(wanted)] = 1
        tokens = np.array(passages, np.int32)
        rows = rows_at_once(self._vocabulary)
        for start, stop in steps(len(asked), wanted, len(passages), rows):
            self._fill(tokens[:, start:stop], start, asked[start:stop])
            self._log.clear()
            code = C.llama_decode(self._context, self._batch)
            if code != 0:
                raise EngineRefused(f"llama_decode failed with code {code}: {self._log.cause()}")
            self._progress("")
            count = int(asked[start:stop].sum())
            if count:
                shape = (len(passages), count, self._vocabulary)
                yield list(np.ctypeslib.as_array(C.llama_get_logits(self._context), shape=shape))

    def _fill(self, tokens: npt.NDArray[np.int32], start: int, asked: npt.NDArray[np.int8]) -> None:
        passages, length = tokens.shape
        count = self._batch.n_tokens = passages * length

        def room(pointer: Any) -> Any:
            return np.ctypeslib.as_array(pointer, shape=(count,))

        room(self._batch.token)[:] = tokens.ravel()
        room(self._batch.pos)[:] = np.tile(np.arange(start, start + length), passages)
        room(self._batch.logits)[:] = np.tile(asked, passages)
        room(self._batch.n_seq_id)[:] = 1
        if self._shape != tokens.shape:
            self._shape = tokens.shape
            for at in range(count):  # pointers: one by one, which takes long enough to be done once only
                self._batch.seq_id[at][0] = at // length
