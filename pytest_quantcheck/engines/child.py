"""The engine's process: reads one JSON request a line, answers one JSON line, with signs of life in between.

Lines out: ``{"alive": "", "done": 3, "of": 8}`` while it works (bounds.py says what the numbers are), with words when
it begins what must end soon; then ``{"ok": ...}``, ``{"refused": why}`` (this request cannot be served) or
``{"cannot": why}`` (nor any other of its kind).
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any
from typing import TextIO

from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import describe
from pytest_quantcheck.engines.llama import LlamaModel
from pytest_quantcheck.engines.memory import peak_memory

_ALIVE_EVERY_S = 0.25


class Child:
    """Serves requests until its standard input ends."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._last_sign = 0.0
        self._doing = ""
        self._done = self._of = 0
        self._model: LlamaModel | None = None

    def send(self, message: dict[str, Any]) -> None:
        """One line to the parent."""
        with self._lock:
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()

    def progress(self, doing: str, done: int = 0, of: int = 0, /) -> None:
        """A sign of life, at most four a second; what is begun and its end are told at once."""
        if done:
            self._done, self._of = done, of
        now = time.monotonic()
        if doing != self._doing or now - self._last_sign >= _ALIVE_EVERY_S:
            self._doing = doing
            self._last_sign = now
            self.send({"alive": doing, "done": self._done, "of": self._of})

    def serve(self, line: str) -> None:
        """Answer one request; whatever goes wrong becomes a message."""
        request = json.loads(line)
        self._doing, self._done, self._of = "", 0, 0
        try:
            answer = self._answer(request["op"], request.get("with", {}))
        except EngineRefused as error:
            self.send({"refused": str(error)})
        except EngineCannot as error:
            self.send({"cannot": str(error)})
        except Exception as error:  # a bug of ours or of the binding: the test that ran must learn of it
            traceback.print_exc()
            self.send({"refused": f"the engine failed: {describe(error)}"})
        else:
            self.send({"ok": answer, "peak": peak_memory()})

    def _answer(self, op: str, given: dict[str, Any]) -> Any:
        if op == "load":
            self._model = LlamaModel(given["path"], LoadSettings.from_payload(given["settings"]), self.progress)
            return self._model.facts()
        if self._model is None:
            raise EngineRefused("no model is loaded")
        if op == "tokenize":
            return self._model.tokenize(given["text"])
        if op == "chat":
            return self._model.chat(ChatRequest.from_payload(given)).to_payload()
        if op == "complete":
            return self._model.complete(CompletionRequest.from_payload(given)).to_payload()
        if op == "choose":
            return self._model.choose(ChoiceRequest.from_payload(given)).to_payload()
        if op == "embed":
            return self._model.embed(EmbeddingRequest.from_payload(given)).to_payload()
        if op == "memory":
            return self._model.memory()
        if op == "fidelity":
            return self._model.fidelity(FidelityRequest.from_payload(given)).to_payload()
        if op == "bench":
            return self._model.bench(BenchRequest.from_payload(given)).to_payload()
        raise EngineRefused(f"unknown request {op!r}")


def _read(lines: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    # the parent closed the pipe or is gone: nobody wants the rest, and C code cannot be interrupted
    os._exit(0)


def main() -> None:
    """Keep the real standard output for messages; whatever llama.cpp prints goes to the error file."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # both may reach the whole group; the parent decides what becomes of this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=[lines], daemon=True).start()
    child = Child(out)
    while True:
        child.serve(lines.get())


if __name__ == "__main__":
    main()
