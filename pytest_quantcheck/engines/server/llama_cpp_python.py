"""llama-cpp-python's own server (``python -m llama_cpp.server``): llama_cpp/server/app.py and types.py."""

from __future__ import annotations

from typing import Any

from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.server.dialect import Dialect

TITLE = "🦙 llama.cpp Python API"
"""How it calls itself in ``/openapi.json``."""


class LlamaCppPython(Dialect):
    """It takes llama.cpp's sampling, and its thoughts and tool calls stand in the text as the model wrote them.

    A stream of its says nothing of usage, and by default a new request breaks off the one before.
    """

    name = "llama_cpp.server"

    def _sampling(self, generation: Generation) -> dict[str, Any]:
        self._no_xtc(generation)
        return super()._sampling(generation) | {
            "top_k": generation.top_k,
            "min_p": generation.min_p,
            # 1.1 unless told otherwise, at temperature 0 too
            "repeat_penalty": generation.penalty_repeat,
        }

    def _shape(self, generation: Generation) -> dict[str, Any]:
        if generation.grammar is not None:
            return {"grammar": generation.grammar}
        if generation.json_schema is None:
            return {}
        return {"response_format": {"type": "json_object", "schema": generation.json_schema}}

    def _switch(self, request: ChatRequest) -> dict[str, Any]:
        if request.generation.thinking is not None:
            raise EngineCannot(
                f"{self.name} takes the thinking switch when it starts (--chat_template_kwargs), not with a request"
            )
        return self._no_budget(request)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids, special tokens parsed, no BOS."""
        return self.token_ids(self.wire.post("/extras/tokenize", {"input": text}), "/extras/tokenize")
