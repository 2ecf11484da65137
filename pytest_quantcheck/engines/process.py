"""The keeper of the engine's process: start, ask, time out, kill, restart; turns every way to die into one line."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO
from typing import Any

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import TEMPLATE
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import EngineHung
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.sizing import expected_memory
from pytest_quantcheck.engines.unchanged import Unchanged
from pytest_quantcheck.engines.words import exit_reason
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.gguf_card import GgufError
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.gguf_parts import first_part
from pytest_quantcheck.gguf_parts import part_paths
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.pipes import read_lines
from pytest_quantcheck.pipes import started
from pytest_quantcheck.pipes import write_line
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Payload
from pytest_quantcheck.records import Record
from pytest_quantcheck.records import Reply
from pytest_quantcheck.text import one_line

_MAX_DEATHS_IN_A_ROW = 3
_KILLED = -9  # SIGKILL; Windows has no such exit status
_TAIL_BYTES = 4096
_PATIENCE_AT_THE_END = 20.0  # seconds that an idle child may take to leave: much, on a machine that swaps
_SLOWEST_DISK = 50e6  # bytes a second, for the patience while loading


class _Killed(EngineDied):
    """From outside: by the system, which had no memory left, or by a person. The next attempt may do better."""


class ProcessEngine:
    """llama.cpp in a process of its own: it may abort, hang or eat all memory, pytest does not.

    Requests from several threads wait for each other.

    :param path: the GGUF file.
    :param settings: how to load it, or a function that says so when it is loaded.
    :param timeout: seconds without any sign of progress before the process is killed. Loading gets more time, by the
        size of the file.
    :param code_timeout: seconds that the file's chat template, and the reading of a grammar, may take.
    :param state: how the file was when the run began (`files`), where another process has seen that.
    :param tell: called with what is asked for and how far it is, as `bounds.Progress` counts; with '' when it is over.
    """

    def __init__(
        self,
        path: str | Path,
        settings: LoadSettings | Callable[[], LoadSettings],
        *,
        timeout: float = 120.0,
        code_timeout: float = 10.0,
        state: Sequence[Sequence[Any]] | None = None,
        tell: Callable[[str, int, int], None] = lambda op, done, of: None,
    ) -> None:
        # absolute: a test may change the directory before the first request loads the file
        self.path = first_part(Path(path).absolute())
        self.files = Unchanged(part_paths(self.path), state)
        """The model's file or files; one that changes while the run goes on is refused."""
        self.facts: Payload = {}
        self._settings = settings
        self._projector: Unchanged | None = None
        self._timeout = timeout
        self._code_timeout = code_timeout
        self._tell = tell
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._errors_read = 0
        self._reader = self._writer = threading.Thread()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._refusal: str | None = None
        self._loads = 0
        self._deaths = 0
        self._peak: int | None = None

    @property
    def loads(self) -> int:
        """How many times the model was loaded so far."""
        return self._loads

    @property
    def peak_memory(self) -> int | None:
        """Most memory that the process held so far, in bytes."""
        return self._peak

    @property
    def pid(self) -> int | None:
        """The process id while it lives."""
        return self._process.pid if self._process is not None else None

    def card(self) -> ModelCard:
        """What the file says of itself, without loading it."""
        self.files.check()
        try:
            return read_card(self.path)
        except GgufError as error:
            raise EngineRefused(f"{self.path}: {error}") from None

    def tokenize(self, text: str) -> list[int]:
        """Token ids of ``text``."""
        ids: list[int] = self._ask("tokenize", {"text": text})
        return ids

    def chat(self, request: ChatRequest) -> Reply:
        """One assistant turn."""
        return Reply.from_payload(self._ask("chat", _payload(request)))

    def complete(self, request: CompletionRequest) -> Reply:
        """A raw continuation."""
        return Reply.from_payload(self._ask("complete", _payload(request)))

    def choose(self, request: ChoiceRequest) -> Choice:
        """The log-likelihood of every choice."""
        return Choice.from_payload(self._ask("choose", _payload(request)))

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector for each text."""
        return Embeddings.from_payload(self._ask("embed", _payload(request)))

    def fidelity(self, request: FidelityRequest) -> Fidelity:
        """The log-likelihood of a text or of given answers, and the divergence from a reference."""
        # absolute: the process keeps the directory in which it was started
        here = replace(request, store=_absolute(request.store), write=_absolute(request.write))
        return Fidelity.from_payload(self._ask("fidelity", _payload(here)))

    def bench(self, request: BenchRequest) -> Bench:
        """Prefill and decode speed."""
        return Bench.from_payload(self._ask("bench", request.to_payload()))

    def memory(self, request: MemoryRequest) -> Memory:
        """An estimate at the context that is asked for, and what loading took at the run's own."""
        found = self._ask("memory", {})
        expected = expected_memory(self.path, self.card(), self._load_settings(), request)
        return Memory.from_payload(expected.to_payload() | found)

    def close(self) -> None:
        """End the process: only its exit frees video memory for sure."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            if self._lock.locked():
                process.kill()  # it is at work, or does not even read its request: closing the pipe would wait for that
                if self._writer.is_alive():
                    self._writer.join()
            with contextlib.suppress(OSError):
                process.stdin.close()  # an idle child leaves at the end of its input
            try:
                process.wait(_PATIENCE_AT_THE_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._reader.join(5)
            process.stdout.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    # --- the conversation with the child ------------------------------------------------------------------------

    def _ask(self, op: str, given: Payload) -> Any:
        with self._lock:
            if self._refusal is not None:
                raise EngineRefused(self._refusal)
            try:
                if self._process is None:
                    self._start()
                self._tell(op, 0, 0)
                answer = self._exchange(op, given, self._timeout)
            except (EngineError, EngineCannot):
                raise
            except BaseException:
                # Ctrl-C or a time-out plugin: the late answer must not be taken for that of the next question
                self.close()
                raise
            finally:
                self._tell("", 0, 0)
            self._deaths = 0
            return answer

    def check_files(self) -> None:
        """EngineRefused when the model or its projector is no longer the file that it was."""
        self.files.check()
        if self._projector is None:
            mmproj = self._load_settings().mmproj
            self._projector = Unchanged([Path(mmproj)] if mmproj else [])
        self._projector.check()

    def _start(self) -> None:
        self.check_files()
        self._errors_read = 0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        environment = {
            **os.environ,
            "GGML_NO_BACKTRACE": "1",  # an assertion otherwise waits for a debugger first
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),  # spinning threads starve a busy machine
            "PYTHONIOENCODING": "utf-8",
        }
        try:
            try:
                self._process = subprocess.Popen(
                    # -P: a file of the user's that is called like a module of ours must not be imported
                    [sys.executable, "-P", "-m", "pytest_quantcheck.engines.child"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=environment,
                    encoding="utf-8",
                    errors="replace",
                )
            except OSError as error:
                raise EngineRefused(f"cannot start {sys.executable!r}: {error}") from None
            self._lines = queue.SimpleQueue()
            self._reader = started(read_lines, self._process.stdout, self._lines)
            patience = self._timeout + self._file_bytes() / _SLOWEST_DISK
            self._tell("load", 0, 0)
            given = {"path": str(self.path), "settings": self._load_settings().to_payload()}
            self.facts = self._exchange("load", given, patience)
        except EngineError as error:
            why = f"{self.path.name} did not load: {error}"
            # a role that failed to load stays failed: no reload storm
            self._refusal = self._refusal or (None if isinstance(error, _Killed) else why)
            self.close()
            raise type(error)(why) from None
        self._loads += 1

    def _load_settings(self) -> LoadSettings:
        return self._settings if isinstance(self._settings, LoadSettings) else self._settings()

    def _file_bytes(self) -> int:
        try:
            return sum(path.stat().st_size for path in part_paths(self.path))
        except OSError:  # the child says why
            return 0

    def _exchange(self, op: str, given: Payload, patience: float) -> Any:
        process = self._process
        assert process is not None
        self._writer = started(write_line, process.stdin, json.dumps({"op": op, "with": given}) + "\n")
        doing = ""
        while True:
            try:
                line = self._lines.get(timeout=self._code_timeout if doing else patience)
            except queue.Empty:
                raise self._late(process, doing, patience) from None
            if process is not self._process:
                raise EngineDied("the engine was closed while it worked")
            if line is None:
                raise self._died(process, doing)
            message = _message(line)
            if "alive" in message:
                doing = message["alive"]
                self._tell(op, message.get("done", 0), message.get("of", 0))
                continue
            if message:
                self._forget_words()
            if "ok" in message:
                self._peak = max(self._peak or 0, message["peak"] or 0) or None
                return message["ok"]
            if "refused" in message:
                raise EngineRefused(one_line(message["refused"]))
            if "cannot" in message:
                raise EngineCannot(one_line(message["cannot"]))

    def _late(self, process: subprocess.Popen[str], doing: str, patience: float) -> EngineError:
        process.kill()
        process.wait()
        self._after_death()
        if not doing:
            return EngineHung(f"no sign of progress for {patience:g} s, the engine was killed; --quant-timeout sets it")
        why = f"{doing} did not finish within {self._code_timeout:g} s"
        if doing == TEMPLATE:  # the file's own fault, every chat would end like this
            self._refusal = why = f"{self.path.name} cannot be used: {why}"
        return EngineRefused(why)

    def _died(self, process: subprocess.Popen[str], doing: str) -> EngineDied:
        try:
            code = process.wait(2)
            died = _Killed if code == _KILLED else EngineDied
        except subprocess.TimeoutExpired:  # it closed its output and lives
            process.kill()
            code, died = process.wait(), EngineDied
        words = self._last_words()
        self._after_death()
        how = exit_reason(code) + (f", while {doing}" if doing else "")
        return died(f"the engine's process died ({how}); its last words: {words}")

    def _after_death(self) -> None:
        self.close()
        self._deaths += 1
        if self._deaths >= _MAX_DEATHS_IN_A_ROW:
            self._refusal = f"{self.path.name}: the engine died {self._deaths} times in a row and is not started again"

    def _forget_words(self) -> None:
        """What was printed until now is not the cause of a later death."""
        if self._errors is not None:
            self._errors_read = os.fstat(self._errors.fileno()).st_size

    def _last_words(self) -> str:
        if self._errors is None:
            return "none"
        end = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(self._errors_read, end - _TAIL_BYTES))
        lines = self._errors.read().decode("utf-8", "replace").splitlines()
        return one_line(" | ".join([line.strip() for line in lines if line.strip()][-3:])) or "none"


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def _payload(request: Record) -> Payload:
    try:
        return request.to_payload()
    except (TypeError, ValueError, RecursionError) as error:
        raise EngineRefused(one_line(f"the request is no plain JSON: {error}")) from None


def _message(line: str) -> Payload:
    """One message; what is none (a line that death cut, words that a start-up file prints) says nothing."""
    with contextlib.suppress(ValueError):
        message = json.loads(line)
        if isinstance(message, dict):
            return message
    return {}
