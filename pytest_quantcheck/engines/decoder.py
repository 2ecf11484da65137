"""Reading tokens and the logits that follow, one context. Runs inside the engine's own process only."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Final

import llama_cpp.llama_cpp as C
import numpy as np
import numpy.typing as npt

from pytest_quantcheck.engines.base import CHUNK
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.bounds import Progress
from pytest_quantcheck.engines.llama_log import LlamaLog

DAMAGED: Final = "the model computes NaN or infinity instead of logits: its weights are damaged"


class Decoder:
    """One context of a loaded model. ``progress`` is called at every step of reading a prompt."""

    def __init__(self, model: Any, context: Any, log: LlamaLog, progress: Progress) -> None:
        self.context = context
        self.length: int = C.llama_n_ctx(context)
        self.batch: int = C.llama_n_ubatch(context)
        """Tokens that can be read at once."""
        self._position: int | None = None  # of the next token; None: llama.cpp goes on where the cache ends
        self._memory = C.llama_get_memory(context)
        self._window: int = C.llama_model_n_swa(model)
        self._vocabulary: int = C.llama_vocab_n_tokens(C.llama_model_get_vocab(model))
        self._log = log
        self._progress = progress
        self._while_reading = C.ggml_abort_callback(self._go_on)
        self._one = (C.llama_token * 1)()
        self.prompts = 0
        """How many prompts were read from the beginning."""

    def _go_on(self, _: Any) -> bool:
        """A sign of life from inside llama.cpp; whether to abort: never."""
        self._progress("")
        return False

    def prefill(self, ids: Sequence[int]) -> None:
        """Forget everything and read a prompt."""
        self.begin()
        self.read_on(ids)

    def begin(self) -> None:
        """Forget everything."""
        if not self._memory:
            raise EngineRefused("the model is an encoder: it generates nothing, only quant.embed works")
        # a fresh cache per prompt: a reused prefix changes greedy answers
        C.llama_memory_clear(self._memory, True)
        self._position = None
        self.prompts += 1

    @property
    def position(self) -> int:
        """Of the next token. Not how many were read: an image may take more places than positions (M-RoPE)."""
        end: int = C.llama_memory_seq_pos_max(self._memory, 0)
        return end + 1 if self._position is None else self._position

    def go_on_from(self, position: int) -> None:
        """Something else has read into the cache; the next token has this position."""
        self._position = position

    def read_on(self, ids: Sequence[int]) -> None:
        """Read many tokens more."""
        # one chunk can outlast the time-out on a slow machine; asked after every operation, so not while decoding
        C.llama_set_abort_callback(self.context, self._while_reading, None)
        for begin in range(0, len(ids), CHUNK):
            chunk = ids[begin : begin + CHUNK]
            self._decode((C.llama_token * len(chunk))(*chunk), len(chunk))
            self._progress("", begin + len(chunk), len(ids))
        C.llama_set_abort_callback(self.context, C.ggml_abort_callback(), None)

    def read(self, token: int) -> None:
        """Read one more token."""
        self._one[0] = token
        self._decode(self._one, 1)

    def wait(self) -> None:
        """Until a device has computed what it was told to."""
        C.llama_synchronize(self.context)

    def rewind(self, ids: Sequence[int]) -> None:
        """Forget what was read after the prompt ``ids``, which is read again where the cache cannot go back.

        A recurrent state knows no past. A sliding window says that it went back when what it needs is already gone.
        """
        kept = C.llama_memory_seq_rm(self._memory, 0, len(ids), -1)
        oldest = C.llama_memory_seq_pos_min(self._memory, 0)
        if not kept or not 0 <= oldest <= max(0, len(ids) - self._window):
            self.prefill(ids)

    def _decode(self, tokens: Any, count: int) -> None:
        self._log.clear()
        batch = C.llama_batch_get_one(tokens, count)
        if self._position is not None:
            batch.pos = (C.llama_pos * count)(*range(self._position, self._position + count))
            self._position += count
        code = C.llama_decode(self.context, batch)
        if code != 0:
            raise EngineRefused(f"llama_decode failed with code {code}: {self._log.cause()}")

    def logits(self) -> npt.NDArray[np.float32]:
        """The last token's logits, one for each token of the vocabulary; a view until the next token is read."""
        found: npt.NDArray[np.float32] = np.ctypeslib.as_array(
            C.llama_get_logits_ith(self.context, -1), shape=(self._vocabulary,)
        )
        return found

    def logit(self, token: int) -> float:
        """One of the last token's logits."""
        value: float = C.llama_get_logits_ith(self.context, -1)[token]
        return value

    def noise(self, amount: float, seed: int, ids: Sequence[int]) -> Callable[[], None]:
        """What damages the last token's logits in place, reproducibly; ``amount`` as in ``Generation.noise``."""
        if amount <= 0:
            return lambda: None
        draw = np.random.default_rng([seed, *ids])

        def add() -> None:
            logits = self.logits()
            logits += draw.normal(0.0, amount * float(logits.std()), len(logits)).astype(np.float32)

        return add
