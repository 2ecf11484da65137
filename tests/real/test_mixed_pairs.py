"""A file in process on one side, a server on the other: unfair until allowed, and then a test of the runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.base import Says
from tests.fakes.openai import Vllm
from tests.real.servers import ROOT
from tests.real.servers import llama_server

FILE = ROOT / "example_suites" / "tiny" / "models" / "tiny-f16.gguf"
SIDES = ("baseline", "candidate")
SUITE = """
import pytest

@pytest.mark.parametrize(("a", "b"), [(27, 45), (18, 92), (60, 14)])
def test_sum(quant, a, b):
    assert quant.chat(f"What is {a} + {b}?", max_tokens=100).text == str(a + b)
"""


class Mixed:
    """The suite on the file and on a server."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        pytester.makepyfile(SUITE)

    def run(self, url: str, *args: str) -> tuple[pytest.RunResult, dict[str, Any]]:
        options = [f"--quant-baseline={FILE}", f"--quant-model={url}", "--quant-report=r.json", "--quant-ctx=4096"]
        result = self._pytester.runpytest("-p", "no:randomly", *options, *args)
        report: dict[str, Any] = json.loads(Path(self._pytester.path / "r.json").read_text(encoding="utf-8"))
        return result, report


@pytest.fixture
def mixed(pytester: pytest.Pytester) -> Mixed:
    return Mixed(pytester)


def rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["row"], one["level"]) for one in report["verdict"]["differences"]]


def test_the_same_file_in_process_and_behind_a_server(mixed: Mixed) -> None:
    pytest.importorskip("xllamacpp")
    with llama_server(FILE) as url:
        blocked, report = mixed.run(url)
        allowed, after = mixed.run(url, "--quant-allow=build,not told")

    assert (blocked.ret, report["verdict"]["kind"]) == (1, "unfair")
    assert rows(report) == [("not told", "blocks"), ("build", "blocks"), ("same content", "informs")]
    blocked.stdout.fnmatch_lines(
        ['Next: make both sides alike, or judge in spite of it: --quant-allow="not', '  told,build"']
    )
    blocked.stdout.no_fnmatch_line("*(A/A)*")
    # two builds of llama.cpp, one file: every loss would be the server's
    assert (allowed.ret, after["verdict"]["kind"]) == (0, "no-loss")
    assert after["same_content"]
    assert [pair["verdict"]["word"] for pair in after["pairs"]] == ["held"] * 3
    assert "compared in spite of not told, build (--quant-allow)" in after["verdict"]["sentence"]
    prompts = [[reply["prompt"] for reply in pair[side]["replies"]] for pair in after["pairs"] for side in SIDES]
    assert prompts[::2] == prompts[1::2]


def test_a_file_and_what_vllm_serves_of_the_same_checkpoint(mixed: Mixed) -> None:
    def script(prompt: str) -> Says:
        a, b = (int(word.strip("?")) for word in prompt.split() if word.strip("?").isdigit())
        return Says(("easy",), (str(a + b + (a == 60)),))

    with Vllm(script).running() as url:
        blocked, report = mixed.run(f"{url}#tiny")
        allowed, after = mixed.run(f"{url}#tiny", "--quant-allow=build,not told")

    assert (blocked.ret, report["verdict"]["kind"]) == (1, "unfair")
    assert rows(report) == [("not told", "blocks"), ("build", "blocks"), ("not told", "explains")]
    assert allowed.ret == 1
    assert [pair["verdict"]["word"] for pair in after["pairs"]] == ["held", "held", "regressed"]
    assert "may also differ in what their servers do not tell" in after["verdict"]["sentence"]
