"""What becomes of a request whose process is killed, stopped, or left alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import EngineHung
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from tests import ggufs

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

LONG = 20_000
"""Tokens: many seconds of work."""


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ggufs.write_random_llama(tmp_path_factory.mktemp("a") / "a.gguf", ctx=32768, likely={ggufs.END: -50})


@pytest.fixture
def engine(endless: Path) -> Iterator[ProcessEngine]:
    made = ProcessEngine(endless, LoadSettings(), timeout=60)
    yield made
    made.close()


def ask(engine: ProcessEngine, tokens: int, prompt: str = "Hello") -> str:
    return engine.complete(CompletionRequest(prompt, Generation(max_tokens=tokens))).text


def make_impatient(engine: ProcessEngine) -> int:
    """Load with patience, whatever else the machine does, and lose it then; the process id."""
    ask(engine, 1)
    engine._timeout = 2
    assert engine.pid is not None
    return engine.pid


def in_the_middle(engine: ProcessEngine, act: Callable[[int], None]) -> EngineError:
    """Ask for a long answer, act on the process while it works, and return how the question ended."""
    ask(engine, 1)
    assert engine.pid is not None
    timer = threading.Timer(0.4, act, [engine.pid])
    timer.start()
    with pytest.raises(EngineError) as caught:
        ask(engine, LONG)
    timer.join()
    return caught.value


def kill(number: int) -> Callable[[int], None]:
    return lambda pid: os.kill(pid, number)


def is_gone(pid: int) -> bool:
    """Whether no such process is left, not even as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, r"SIGKILL, killed from outside or out of memory"),
        (signal.SIGSEGV, r"SIGSEGV, a crash inside llama.cpp"),
        (signal.SIGABRT, r"SIGABRT"),
    ],
)
def test_death_in_the_middle_of_an_answer(number: int, reason: str, engine: ProcessEngine) -> None:
    before = ask(engine, 8)

    error = in_the_middle(engine, kill(number))

    assert isinstance(error, EngineDied)
    assert f"({reason}); its last words: none" in str(error)
    assert engine.pid is None
    assert ask(engine, 8) == before
    assert engine.loads == 2


def test_a_stopped_process_hangs_and_is_killed(engine: ProcessEngine) -> None:
    pid = make_impatient(engine)
    error = in_the_middle(engine, kill(signal.SIGSTOP))

    assert isinstance(error, EngineHung)
    assert str(error) == "no sign of progress for 2 s, the engine was killed; --quant-timeout sets it"
    assert is_gone(pid)
    engine._timeout = 60
    assert len(ask(engine, 8)) >= 8


def test_a_stopped_process_and_a_prompt_that_fills_the_pipe(engine: ProcessEngine) -> None:
    os.kill(make_impatient(engine), signal.SIGSTOP)
    with pytest.raises(EngineHung):
        ask(engine, 1, "x" * 2_000_000)
    engine._timeout = 60
    assert ask(engine, 1)


def test_the_last_words_are_those_of_this_request(engine: ProcessEngine) -> None:
    with pytest.raises(EngineRefused, match="refuses the grammar"):
        engine.complete(CompletionRequest("x", Generation(grammar="root ::= (")))
    assert "last words: none" in str(in_the_middle(engine, kill(signal.SIGKILL)))


def test_an_answer_may_take_longer_than_the_time_out(endless: Path) -> None:
    engine = ProcessEngine(endless, LoadSettings(), timeout=60)
    ask(engine, 1)
    engine._timeout = 1.5
    tokens, seconds = 2000, 0.0
    while seconds < 1.8 and tokens < 32_000:
        tokens *= 2
        start = time.monotonic()
        ask(engine, tokens)
        seconds = time.monotonic() - start
    engine.close()


def test_three_deaths_in_a_row_are_enough(engine: ProcessEngine) -> None:
    in_the_middle(engine, kill(signal.SIGKILL))  # asks a short question before, which is answered
    for _ in range(2):
        ask_and_kill(engine)

    with pytest.raises(EngineRefused, match=r"^a\.gguf: the engine died 3 times in a row and is not started again$"):
        ask(engine, 1)
    assert engine.loads == 3
    assert engine.pid is None


def ask_and_kill(engine: ProcessEngine) -> None:
    def act() -> None:
        wait_until(lambda: engine.pid is not None and engine.loads > loads)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)

    loads = engine.loads
    thread = threading.Thread(target=act)
    thread.start()
    with pytest.raises(EngineDied):
        ask(engine, LONG)
    thread.join()


def test_an_answer_between_two_deaths_starts_the_count_again(engine: ProcessEngine) -> None:
    for _ in range(4):
        in_the_middle(engine, kill(signal.SIGKILL))
    assert ask(engine, 1)


def test_closing_leaves_nothing(engine: ProcessEngine) -> None:
    engine.close()  # before anything was started
    before = open_files()
    ask(engine, 1)
    pid = engine.pid
    assert pid is not None

    process = engine._process
    assert process is not None
    engine.close()

    assert process.returncode == 0, "it had to be killed"
    assert is_gone(pid)
    assert engine.pid is None
    assert open_files() <= before  # other tests' garbage may have gone meanwhile
    engine.close()
    assert ask(engine, 1)
    assert engine.loads == 2


def open_files() -> set[str]:
    """What this process holds open, by the names that Linux gives it (a pipe has its own number)."""
    names = set()
    if sys.platform == "linux":
        for descriptor in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):  # the one that lists them
                names.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return {name for name in names if not name.startswith("/proc/")}


def test_closing_during_an_answer(engine: ProcessEngine) -> None:
    assert isinstance(in_the_middle(engine, lambda pid: engine.close()), EngineDied)
    assert ask(engine, 1)


def test_a_question_that_was_interrupted_answers_no_later_one(engine: ProcessEngine) -> None:
    class Interruption(BaseException):
        """What Ctrl-C and time-out plugins raise in the main thread."""

    def interrupt(number: int, frame: object) -> None:
        raise Interruption

    expected = ask(engine, 8, "other")
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(Interruption):
            ask(engine, LONG)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert ask(engine, 8, "other") == expected


def test_questions_from_several_threads_get_their_own_answers(engine: ProcessEngine) -> None:
    prompts = [f"{letter} " * 5 for letter in "abcdef"]
    alone = [ask(engine, 10, prompt) for prompt in prompts]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda prompt: ask(engine, 10, prompt), prompts))
    assert together == alone
    assert len(set(alone)) > 1


def test_the_process_ends_with_its_parent(endless: Path) -> None:
    code = f"""
import threading, time
from pytest_quantcheck.engines.base import *
from pytest_quantcheck.engines.process import ProcessEngine
engine = ProcessEngine({str(endless)!r}, LoadSettings())
engine.tokenize("x")
print(engine.pid, flush=True)
engine.complete(CompletionRequest("x", Generation(max_tokens={LONG})))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.3)
        assert not is_gone(child)
        parent.kill()
    wait_until(lambda: is_gone(child) or is_zombie(child))


def is_zombie(pid: int) -> bool:
    """Orphans are for the init process to collect; in a container there may be none that does."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_a_whole_group_leaves_it_to_the_parent(number: int, engine: ProcessEngine) -> None:
    ask(engine, 1)
    assert engine.pid is not None
    os.kill(engine.pid, number)
    ask(engine, 1)
    assert engine.loads == 1


def test_files_of_the_directory_are_not_imported(
    engine: ProcessEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "llama_cpp", "queue", "jinja2", "threading", "pytest_quantcheck", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    assert ask(engine, 1)


def test_warnings_as_errors_do_not_stop_it(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    assert ask(engine, 1)
