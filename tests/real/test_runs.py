"""Whole pytest runs on real llama.cpp and random models: what can go wrong while tests run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import ggufs

SUITE = """
import os, signal, threading, time
import pytest

def test_first(quant):
    quant.chat("hello", max_tokens=8)

{middle}

def test_last(quant):
    quant.complete("hello", max_tokens=8)

def test_of_another_kind():
    pass
"""


class Runs:
    """Runs a suite on two real files and reads the report."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        # its answers are short and end by themselves
        self.good = ggufs.write_random_llama(pytester.path / "good.gguf", likely={ggufs.END: 1.0})
        self.report: dict[str, Any] = {}

    def run(self, middle: str, *args: str, model: Path | None = None, baseline: Path | None = None) -> pytest.RunResult:
        self.pytester.makepyfile(test_it=SUITE.format(middle=middle))
        path = self.pytester.path / "report.json"
        result = self.pytester.runpytest(
            "-p", "no:randomly",
            f"--quant-model={model or self.good}", f"--quant-baseline={baseline or self.good}",
            f"--quant-report={path}", "--quant-timeout=30", *args,
        )  # fmt: skip
        self.report = json.loads(path.read_text(encoding="ascii"))
        assert "Traceback" not in result.stdout.str()
        assert self.report["exit_status"] == result.ret
        return result

    @property
    def words(self) -> dict[str, str]:
        """Test name -> verdict word."""
        return {pair["pair"].split("::")[-1]: pair["verdict"]["word"] for pair in self.report["pairs"]}

    @property
    def errors(self) -> dict[str, str]:
        """Test name -> the engine's words on the candidate's side."""
        return {pair["pair"].split("::")[-1]: pair["candidate"]["error"] for pair in self.report["pairs"]}


@pytest.fixture
def runs(pytester: pytest.Pytester) -> Runs:
    return Runs(pytester)


@pytest.mark.parametrize("dist", [(), ("-n2",)], ids=["plain", "n2"])
def test_a_file_against_itself_is_labelled_and_passes(runs: Runs, dist: tuple[str, ...]) -> None:
    result = runs.run("", *dist)

    result.assert_outcomes(passed=3)
    assert result.ret == 0
    assert set(runs.words.values()) <= {"held", "inherited"}
    result.stdout.fnmatch_lines(["A/A, both files have the same content: *"])
    for role in ("baseline", "candidate"):
        assert runs.report["roles"][role]["use"]["loads"] == (2 if dist else 1)


def test_a_file_that_llama_cpp_refuses(runs: Runs, tmp_path: Path) -> None:
    alien = ggufs.write_random_llama(tmp_path / "alien.gguf", architecture="nosucharch")

    result = runs.run("", model=alien)

    result.assert_outcomes(passed=1, errors=2)
    assert result.ret == 1
    assert runs.errors["test_first"].startswith("alien.gguf did not load: llama.cpp cannot load it: ")
    assert runs.errors["test_first"].endswith("unknown model architecture: 'nosucharch'")
    # a role that failed to load stays failed: the second test meets the same words at once
    assert runs.errors["test_last"] == runs.errors["test_first"]


def test_a_baseline_that_llama_cpp_refuses_gives_no_green(runs: Runs, tmp_path: Path) -> None:
    alien = ggufs.write_random_llama(tmp_path / "alien.gguf", architecture="nosucharch")

    result = runs.run("", baseline=alien)

    assert set(runs.words.values()) == {"unpaired"}
    result.stdout.fnmatch_lines(
        ["CRASHED: 2 tests not compared, the baseline's engine failed", "Next: cure the baseline: *alien.gguf*"]
    )
    assert result.ret == 1


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for x in %}", "the file's chat template does not parse"),
        ("{{ raise_exception('no users here') }}", "the file's chat template refuses these messages: no users here"),
        (None, "the file has no chat template"),
    ],
)
def test_a_bad_template_fails_what_needs_it_only(runs: Runs, tmp_path: Path, template: str | None, words: str) -> None:
    bad = ggufs.write_random_llama(tmp_path / "bad.gguf", chat_template=template, likely={ggufs.END: 50.0})

    result = runs.run("", model=bad)

    assert words in runs.errors["test_first"]
    assert "\n" not in runs.errors["test_first"]
    assert runs.words["test_last"] != "unscored"
    assert result.ret == 1


def test_a_template_that_never_ends(runs: Runs, tmp_path: Path) -> None:
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    bad = ggufs.write_random_llama(tmp_path / "bad.gguf", chat_template=loops)

    result = runs.run("", model=bad)

    assert "chat template did not finish" in runs.errors["test_first"]
    result.assert_outcomes(passed=1, errors=2)


def test_a_context_larger_than_memory(runs: Runs) -> None:
    result = runs.run("", "--quant-ctx=2000000000")

    assert "context" in runs.errors["test_first"]
    assert "--quant-ctx" in runs.errors["test_first"]
    result.assert_outcomes(passed=1, errors=2)
    assert result.ret == 1


@pytest.mark.parametrize(
    "argument",
    [
        "grammar='root ::= ('",
        'grammar=\'root ::= root "a" | "b"\'',
        "grammar='root ::= missing'",
        "json_schema={'type': 'object', 'properties': {'a': {'$ref': '#/nowhere'}}}",
    ],
)
def test_a_grammar_that_would_crash_llama_cpp(runs: Runs, argument: str) -> None:
    result = runs.run(f"def test_grammar(quant):\n    quant.chat('hi', max_tokens=8, {argument})\n")

    assert runs.words["test_grammar"] == "unscored"
    assert runs.errors["test_grammar"]
    assert "\n" not in runs.errors["test_grammar"]
    assert runs.words["test_last"] in ("held", "inherited")
    assert result.ret == 1


KILLED = """
def test_killed(quant, quant_model):
    if quant_model.role == "candidate":
        def kill():
            time.sleep(0.3)
            os.kill(quant_model.engine.pid, signal.{signal})
        quant.chat("start", max_tokens=1)
        threading.Thread(target=kill).start()
        quant.complete("hello", max_tokens=2000)
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT"])
def test_an_engine_killed_in_the_middle_of_an_answer(runs: Runs, tmp_path: Path, name: str) -> None:
    endless = ggufs.write_random_llama(tmp_path / "endless.gguf", ctx=1_000_000, likely={ggufs.END: -50.0})
    middle = KILLED.format(signal=name).replace("max_tokens=2000", "max_tokens=30000")

    result = runs.run(middle, model=endless, baseline=endless)

    assert runs.words["test_killed"] == "unscored"
    assert name in runs.errors["test_killed"]
    assert runs.words["test_last"] == "held"
    assert runs.report["roles"]["candidate"]["use"]["loads"] == 2
    result.stdout.fnmatch_lines([f"*no answer from the engine: *{name}*"])
    assert result.ret == 1


def test_a_prompt_longer_than_the_context(runs: Runs) -> None:
    result = runs.run("def test_long(quant):\n    quant.chat('word ' * 5000)\n")

    assert "the context" in runs.errors["test_long"]
    assert runs.words["test_last"] in ("held", "inherited")
    assert result.ret == 1


REPLACED = """
def test_replaced(quant, quant_model):
    if quant_model.role == "{role}":
        path = quant_model.engine.path
        os.replace(path.with_name("new.gguf"), path)
        os.kill(quant_model.engine.pid, signal.SIGKILL)
    quant.complete("x", max_tokens=1)
"""


@pytest.mark.parametrize("role", ["baseline", "candidate"])
@pytest.mark.parametrize("cache", ["off", "on"])
def test_a_file_that_is_replaced_during_the_run(runs: Runs, tmp_path: Path, role: str, cache: str) -> None:
    files = {name: ggufs.write_random_llama(tmp_path / f"{name}.gguf", likely={ggufs.END: 1.0}) for name in ("a", "b")}
    ggufs.write_random_llama(tmp_path / "new.gguf", seed=7, likely={ggufs.END: 1.0})
    middle = REPLACED.format(role=role)

    result = runs.run(
        middle, f"--quant-cache={cache if cache == 'off' else tmp_path}", model=files["b"], baseline=files["a"]
    )

    name = {"baseline": "a.gguf", "candidate": "b.gguf"}[role]
    why = f"{name} was replaced or changed while the run went on; answers of two files do not mix"
    assert runs.words["test_first"] == "held", "what was answered before stays"
    assert runs.words["test_last"] == {"baseline": "unpaired", "candidate": "unscored"}[role]
    side = {pair["pair"].split("::")[-1]: pair[role]["error"] for pair in runs.report["pairs"]}
    assert side["test_first"] == ""
    assert side["test_last"] == why
    assert result.ret == 1


def test_a_file_that_is_replaced_before_a_worker_loads_it(runs: Runs, tmp_path: Path) -> None:
    files = [ggufs.write_random_llama(tmp_path / f"{name}.gguf", likely={ggufs.END: 1.0}) for name in ("a", "b")]
    new = ggufs.write_random_llama(tmp_path / "new.gguf", seed=7, likely={ggufs.END: 1.0})
    runs.pytester.makeconftest(
        f"""
        import os

        def pytest_collection_finish(session):
            if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
                os.replace({str(new)!r}, {str(files[1])!r})
        """
    )

    result = runs.run("", "-n2", model=files[1], baseline=files[0])

    assert set(runs.words.values()) <= {"held", "unscored"}
    why = "b.gguf was replaced or changed while the run went on; answers of two files do not mix"
    assert why in runs.errors.values(), "a worker would have compared with another file"
    assert result.ret == 1


STOPPED = """
def test_stopped(quant, quant_model):
    quant.complete("x", max_tokens=1)
    engine = quant_model.engine
    if quant_model.role == "candidate":
        engine._timeout = 1
        os.kill(engine.pid, signal.SIGSTOP)
    try:
        quant.complete("x", max_tokens=1)
    finally:
        engine._timeout = 60  # to be loaded anew
"""


def test_an_engine_that_hangs_is_killed_and_the_run_goes_on(runs: Runs, tmp_path: Path) -> None:
    result = runs.run(STOPPED, "--quant-cache=off")

    assert runs.words["test_stopped"] == "unscored"
    assert runs.errors["test_stopped"].startswith("no sign of progress for 1 s, the engine was killed")
    assert runs.words["test_last"] == "held"
    assert result.ret == 1
