"""Asks llama.cpp what contexts of a model would take, without its weights: one JSON request in, one JSON line out.

A process of its own, so that whatever it dies of costs figures and no model. In: ``path``, ``settings``, ``budget``.
Out: ``context`` and ``size`` of the context that was asked for, weights included, ``trained`` and, with a budget, the
``largest`` context within it; or ``refused``.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from typing import Any

import llama_cpp.llama_cpp as C

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.buffers import BufferLog
from pytest_quantcheck.engines.llama_log import LlamaLog
from pytest_quantcheck.engines.loading import context_params
from pytest_quantcheck.engines.loading import load_model
from pytest_quantcheck.gguf_parts import read_parts
from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory import together
from pytest_quantcheck.memory_estimate import ROUNDING
from pytest_quantcheck.memory_estimate import held_weights
from pytest_quantcheck.memory_estimate import repacked_types


class Sizer:
    """A model without weights."""

    def __init__(self, path: str, settings: LoadSettings) -> None:
        self._log = LlamaLog()
        C.llama_backend_init()
        self._settings = settings
        self._model = load_model(path, settings, self._log, lambda *_: None, allocate=False)
        self.trained: int = C.llama_model_n_ctx_train(self._model)
        self._weights, self._repacked = self._held(path)

    def _held(self, path: str) -> tuple[int, int | None]:
        """Bytes of weights and how many of them are repacked; None for these where this processor's way is not known.

        With some layers on another device and some here it is taken that none are repacked. Tensors that nobody uses
        stay in what is mapped and are not copied to other devices.
        """
        tensors = [part.header.tensors for part in read_parts(path)]
        types = repacked_types(C.llama_print_system_info().decode("utf-8", "replace"))
        elsewhere = self._log.gpu_layers != "none"
        held, repacked = held_weights(tensors, () if elsewhere else types or (), offloaded=elsewhere)
        held -= self._log.buffers.unused if elsewhere else 0
        return held, repacked if elsewhere or types is not None else None

    def size(self, context: int | None) -> tuple[int, Buffers]:
        """A context's length and what it takes with the weights; EngineRefused where llama.cpp makes none."""
        self._log.buffers = BufferLog()
        params = context_params(self._model, replace(self._settings, context=context))
        made = C.llama_init_from_model(self._model, params)
        if not made:
            raise EngineRefused(f"llama.cpp cannot make a context of {params.n_ctx} tokens: {self._log.cause()}")
        length = C.llama_n_ctx(made)
        C.llama_free(made)
        said = together(self._log.buffers.devices().values())
        # states are allocated all the same; keys and values are not, but their tensors' sizes are told
        cache = (said.kv or 0) + self._log.buffers.cache
        return length, replace(said, weights=self._weights, kv=cache, repacked=self._repacked)

    def largest(self, budget: int) -> int:
        """The largest context that takes no more than ``budget``, 0 for none; what was trained is the most."""
        low, high = 0, -(-self.trained // ROUNDING)
        while low < high:
            middle = (low + high + 1) // 2
            _, size = self.size(middle * ROUNDING)
            low, high = (middle, high) if size.total <= budget else (low, middle - 1)
        return min(low * ROUNDING, self.trained)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the request asks for."""
    sizer = Sizer(request["path"], LoadSettings.from_payload(request["settings"]))
    length, size = sizer.size(request["settings"]["context"])
    budget = request["budget"]
    largest = None if budget is None else sizer.largest(budget)
    return {"context": length, "size": size.to_payload(), "trained": sizer.trained, "largest": largest}


def main() -> None:
    """Keep the real standard output for the answer; whatever llama.cpp prints goes to the error stream."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        said = answer(json.load(sys.stdin))
    except EngineRefused as error:
        said = {"refused": str(error)}
    out.write(json.dumps(said) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
