"""The keeper of the process, without a model: children that cannot start, words made fit, nothing heavy imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_quantcheck.engines import process
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineHung
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.text import one_line


def engine(timeout: float = 30.0) -> ProcessEngine:
    return ProcessEngine("a.gguf", LoadSettings(), timeout=timeout)


def child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> Path:
    """A program in the place of the interpreter; it notes every start."""
    program, starts = tmp_path / "python", tmp_path / "starts"
    program.write_text(f"#!{sys.executable} -S\nopen({str(starts)!r}, 'a').write('x')\nimport sys, os, time\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return starts


def test_the_parent_imports_nothing_heavy() -> None:
    heavy = "{'llama_cpp', 'numpy', 'jinja2', 'jsonschema', 'torch', 'gguf', 'httpx'}"
    ours = "pytest_quantcheck.plugin, pytest_quantcheck.engines.process, pytest_quantcheck.cli"
    code = f"import sys, {ours}; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("program", ["/nowhere/python", "", "/"])
def test_an_interpreter_that_is_not_there(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(EngineRefused, match=r"^a\.gguf did not load: cannot start '[^\n]+$"):
        engine().tokenize("x")


def test_a_broken_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(
        EngineDied, match=r"^a\.gguf did not load: the engine's process died \(exit code 1\)[^\n]*encod"
    ):
        engine().tokenize("x")


def test_a_role_that_did_not_load_is_not_started_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    starts = child(monkeypatch, tmp_path, "sys.stderr.write('no\\nsuch \\x1b[2Jlibrary\\n'); sys.exit(7)")
    tried = engine()

    with pytest.raises(
        EngineDied, match=r"^a\.gguf did not load: [^\n]*\(exit code 7\); its last words: no \| such .+\[2J"
    ):
        tried.tokenize("x")
    with pytest.raises(EngineRefused, match=r"^a\.gguf did not load: "):
        tried.tokenize("x")
    assert starts.read_text() == "x"
    assert (tried.loads, tried.pid) == (0, None)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_role_that_was_killed_while_it_loaded_gets_two_more_tries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    starts = child(monkeypatch, tmp_path, "os.kill(os.getpid(), 9)")
    tried = engine()

    for _ in range(3):
        with pytest.raises(EngineDied, match=r"^a\.gguf did not load: [^\n]*SIGKILL"):
            tried.tokenize("x")
    with pytest.raises(EngineRefused, match=r"^a\.gguf: the engine died 3 times in a row and is not started again$"):
        tried.tokenize("x")
    assert starts.read_text() == "xxx"


def test_a_child_that_says_nothing_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, tmp_path, "time.sleep(60)")
    with pytest.raises(EngineHung, match=r"^a\.gguf did not load: no sign of progress for 0.5 s"):
        engine(timeout=0.5).tokenize("x")


def test_a_child_that_closes_its_output_and_lives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, tmp_path, "os.close(1); time.sleep(60)")
    with pytest.raises(EngineDied, match=r"SIGKILL"):
        engine().tokenize("x")


def test_lines_that_are_no_messages_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    noise = r"os.write(1, b'hello\n\xff\xfe\n[1]\n7\n{\n')"
    answer = """os.write(1, b'{"ok": [1, 2], "peak": null}\\n')"""
    child(monkeypatch, tmp_path, f"for line in sys.stdin: {noise}; {answer}")
    tried = engine()
    assert tried.tokenize("x") == [1, 2]
    tried.close()


def test_an_answer_that_death_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, tmp_path, """sys.stdin.readline(); os.write(1, b'{"ok": [1, '); sys.exit(3)""")
    with pytest.raises(EngineDied, match=r"exit code 3"):
        engine().tokenize("x")


def test_a_child_that_never_reads_a_long_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, tmp_path, """sys.stdin.readline(); os.write(1, b'{"ok": {}, "peak": 1}\\n'); time.sleep(60)""")
    tried = engine(timeout=0.5)
    with pytest.raises(EngineHung):
        tried.tokenize("x" * 1_000_000)
    tried.close()


def test_the_file_is_found_from_another_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    tried = engine()
    monkeypatch.chdir("/")
    assert tried.path == tmp_path / "a.gguf"


def test_a_larger_file_has_more_time_to_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, tmp_path, "time.sleep(60)")
    monkeypatch.setattr(process, "_SLOWEST_DISK", 10.0)
    path = tmp_path / "a.gguf"
    path.write_bytes(b"12345")
    with pytest.raises(EngineHung, match=r"for 0.6 s"):
        ProcessEngine(path, LoadSettings(), timeout=0.1).tokenize("x")


@pytest.mark.parametrize("message", [{"content": object()}, {"content": {1, 2}}, {"content": b"x"}])
def test_a_request_that_is_no_json_starts_nothing(message: dict[str, object]) -> None:
    with pytest.raises(EngineRefused, match=r"^the request is no plain JSON: "):
        engine().chat(ChatRequest((message,)))


def test_a_request_that_is_nested_too_deep_starts_nothing() -> None:
    deep: dict[str, object] = {}
    for _ in range(100_000):  # newer interpreters count C's recursion apart
        deep = {"x": deep}
    with pytest.raises(EngineRefused, match=r"^the request is no plain JSON: "):
        engine().chat(ChatRequest((deep,)))


def test_words_are_made_fit_for_a_terminal() -> None:
    assert one_line(" a\n\tb \x1b[2J\u202e\ud800 c") == r"a b \x1b[2J\u202e\ud800 c"
    assert len(one_line("x" * 10_000)) < 700
