"""The commands of the documentation are run, page by page and in their order: the tiny models stand for all files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import yaml

from pytest_quantcheck.reports.last_line import PREFIX
from tests import ggufs
from tests.doc_blocks import ROOT
from tests.doc_blocks import Block
from tests.doc_blocks import Command
from tests.doc_blocks import blocks
from tests.doc_blocks import commands
from tests.fakes.base import Says
from tests.fakes.llama_swap import LlamaSwap
from tests.fakes.ollama import Ollama
from tests.fakes.openai import LlamaServer
from tests.fakes.openai import Vllm
from tests.fakes.router import Router

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

MODELS: Final = ROOT / "example_suites" / "tiny" / "models"
TEMPLATE: Final = "example_suites/project_template/README.md"
SUITE: Final = """
def test_sum(quant):
    assert quant.chat("What is 27 + 45?", max_tokens=64).text


def test_text(quant):
    quant.fidelity("What is 27 + 45? Otto is a cook from Tunis, 74 years old. " * 20, window=64)
"""
_ELSEWHERE: Final = {"docs/tutorial.md": "docs/make_outputs.py runs it"}
_MAY_FAIL: Final = {
    "--quant-selftest": "a model that knows as little as the tiny one leaves little to spoil",
    "ollama:gemma4:12b-qat": "the fake tells no vocabulary, which Ollama does",
    "build,not told": "a fake is another model than the file beside it; tests/real/test_mixed_pairs.py has real ones",
}
"""Commands with such a word may exit 1."""


def has_commands(page: str) -> bool:
    """Whether something of ours is to be run here."""
    return page not in _ELSEWHERE and any(
        command.program in ("pytest", "quantcheck") for block in of(page) for command in lines_of(block)
    )


def of(page: str) -> list[Block]:
    return [block for block in blocks() if block.page == page and block.language in ("sh", "yaml")]


def lines_of(block: Block) -> list[Command]:
    """The commands of a block, of a workflow those of its steps."""
    texts = [block.text]
    if block.language == "yaml":
        jobs = yaml.safe_load(block.text).get("jobs", {}).values()
        texts = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    return [command for text in texts for line in commands(text) for command in line]


PAGES: Final = [page for page in dict.fromkeys(block.page for block in blocks()) if has_commands(page)]


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers, for all pages: a file under another name answers the same."""
    return tmp_path_factory.mktemp("kept")


@pytest.mark.once
@pytest.mark.parametrize("page", PAGES)
def test_commands_run(tmp_path: Path, kept: Path, page: str) -> None:
    folder = tmp_path / "project"
    if page == TEMPLATE:
        shutil.copytree((ROOT / page).parent, folder)
        for name in ("today", "new"):
            stand_in(folder / "models" / f"{name}.gguf")
    else:
        for name in ("tests", "my_tests"):
            (folder / name).mkdir(parents=True)
            (folder / name / f"test_in_{name}.py").write_text(SUITE, encoding="utf-8")
        (folder / "test_mine.py").write_text(SUITE, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    with servers() as addresses:
        for block in of(page):
            for command in lines_of(block):
                if command.program in ("pytest", "quantcheck", "git"):
                    run(command, folder, kept, addresses)


def run(command: Command, folder: Path, kept: Path, addresses: dict[str, str]) -> None:
    words = [standing_in(word, folder, addresses) for word in command.words[1:]]
    line = [sys.executable, "-m", {"quantcheck": "pytest_quantcheck"}.get(command.program, command.program), *words]
    if command.program == "git":
        line = ["git", "-c", "user.name=a", "-c", "user.email=a", *words]
    if command.program == "pytest":
        line += ["-p", "no:randomly", f"--quant-cache={kept}"]
        if any(word.startswith("--quant-devices") for word in words):
            line.append(f"--quant-model={stand_in(folder / 'new.gguf')}")
    if any(word.startswith("example_suites/") for word in words):
        folder = ROOT
        # others run the suites; here their options are read and they are collected
        line += ["--quant-plan", "-p", "no:cacheprovider"] if command.program == "pytest" else []
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"} | command.variables

    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    may_fail = any(word in _MAY_FAIL for said in command.words for word in (said, said.partition("=")[2]))
    assert done.returncode <= may_fail, f"{' '.join(command.words)}\n{done.stdout[-3000:]}{done.stderr[-2000:]}"
    last = (done.stdout.splitlines() or [""])[-1]
    if last.startswith(PREFIX):
        kind = json.loads(last.removeprefix(PREFIX))["kind"]
        assert kind in ("no-loss", "no-regression", "cannot-tell", "recorded", *(["unfair"] if may_fail else []))


def standing_in(word: str, folder: Path, addresses: dict[str, str]) -> str:
    """A word with files that exist, servers that answer and the one device that every machine has."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    if option == "--quant-devices":
        return f"{option}=CPU"
    if value.endswith(".gguf") and not value.startswith(("http", "example_suites/")):
        stand_in(folder / value)
    return f"{option}{equals}{addresses.get(value, value)}"


def stand_in(file: Path) -> Path:
    """A tiny model, by what the file is called."""
    file.parent.mkdir(exist_ok=True)
    if "mmproj" in file.name:
        return file if file.exists() else ggufs.write_random_mmproj(file, width=256)
    formats = {"f16": "f16", "bf16": "f16", "q4km": "q4_k_m", "q4_k_m": "q4_k_m", "small": "q8_0", "new": "qat-q4_0"}
    kind = next((kind for name, kind in formats.items() if name in file.stem), "q4_0")
    kind = "qat-q4_0" if "qat" in file.stem else kind
    if not file.exists():
        file.symlink_to(MODELS / f"tiny-{kind}.gguf")
    return file


@contextmanager
def servers() -> Generator[dict[str, str]]:
    """By the address that a page names, that of a fake which is started when something is asked there."""

    def says(_prompt: str) -> Says:
        return Says((), ("7", "2"))

    alone = {name: LlamaServer(says, model=f"{name}.gguf") for name in ("today", "new")}
    swap = LlamaSwap(dict(alone), command="llama-server --port 5800 -m x.gguf -np 1 -c 4096 --jinja")
    router = Router({name: LlamaServer(says, model=name) for name in alone})
    ollama, vllm = Ollama(says, model="gemma4:12b-qat"), Vllm(says, model="org/model")
    with ExitStack() as started:
        urls = {name: started.enter_context(fake.running()) for name, fake in alone.items()}
        swapped, routed = started.enter_context(swap.running()), started.enter_context(router.running())
        yield {
            "http://localhost:8080": urls["today"],
            "http://localhost:8081": urls["new"],
            "http://localhost:8080#today": f"{routed}#today",
            "http://localhost:8080#new": f"{routed}#new",
            "llama-swap:today": f"{swapped}#today",
            "llama-swap:new": f"{swapped}#new",
            "ollama:gemma4:12b-qat": f"{(url := started.enter_context(ollama.running()))}#gemma4:12b-qat",
            "ollama:gemma4:12b": f"{url}#gemma4:12b-qat",
            "vllm:org/model@gpu-box": f"{started.enter_context(vllm.running())}#org/model",
        }


def test_a_workflow_s_steps_are_commands() -> None:
    [block] = [block for block in of("docs/how-to/ci.md") if block.language == "yaml"]

    assert [command.program for command in lines_of(block)] == ["pip", "pytest"]
