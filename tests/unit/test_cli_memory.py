"""``quantcheck memory``: the table, the budget, the exit status. tests/real/test_memory.py asks llama.cpp itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_quantcheck import cli_memory
from pytest_quantcheck.cli import main
from pytest_quantcheck.engines import sizing
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory import Memory
from tests import ggufs

TAKEN = Buffers(5_000_000, 2_000_000, 3_000_000, 10_000, 1_000_000)
Asked = list[tuple[Path, LoadSettings, MemoryRequest]]


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(ggufs.write_random_llama(tmp_path / "model.gguf", weights="Q8_0"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What would be asked of llama.cpp; it says that 2048 tokens fit."""
    questions: Asked = []

    def answer(path: Path, _card: ModelCard, settings: LoadSettings, request: MemoryRequest) -> Memory:
        questions.append((path, settings, request))
        largest = None if request.budget is None else 2048
        return Memory(4096, settings.kv_type, TAKEN, budget=request.budget, largest_context=largest)

    monkeypatch.setattr(cli_memory, "expected_memory", answer)
    return questions


Output = Callable[[], str]


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    return lambda: capsys.readouterr().out


def test_one_line_a_file_with_the_sum(model: str, asked: Asked, output: Output) -> None:
    assert main(["memory", model, model, "--context", "4000", "--kv-type", "q8_0", "--gpu-layers", "0"]) == 0

    row = "model.gguf  4096 q8_0  5.00 MB  2.00 MB  3.00 MB  10.00 kB  10.01 MB"
    repacked = "model.gguf: 1.00 MB of the weights are laid out anew for this processor."
    assert output().splitlines() == [
        "              context  weights       KV  compute    output       sum",
        row,
        row,
        "",
        repacked,
        repacked,
    ]
    assert asked[0] == (Path(model), LoadSettings(4000, 0, "q8_0"), MemoryRequest(4000))


@pytest.mark.parametrize(
    ("budget", "status", "line"),
    [
        ("10.01 MB", 0, "model.gguf fits 10.01 MB; the largest context that fits has 2048 tokens."),
        ("10009999", 1, "model.gguf DOES NOT FIT 10.01 MB; the largest context that fits has 2048 tokens."),
    ],
)
def test_a_budget_decides_the_exit_status(
    budget: str, status: int, line: str, model: str, asked: Asked, output: Output
) -> None:
    assert main(["memory", model, "--budget", budget]) == status
    assert output().splitlines()[-1] == line
    assert main(["memory", model, "--budget", budget, "--json"]) == status
    said = json.loads(output())
    assert (said["version"], said["files"][0]["fits"]) == (1, status == 0)
    assert Memory.from_payload(said["files"][0]["memory"]).estimate == TAKEN


def test_without_llama_cpp_the_header_tells_what_it_can(
    model: str, monkeypatch: pytest.MonkeyPatch, output: Output
) -> None:
    def fail(*_: object) -> Memory:
        raise EngineDied("No module named 'llama_cpp'")

    monkeypatch.setattr(sizing, "_ask", fail)

    # 2 layers of 2 x 128 numbers for 2048 tokens; logits of 384 tokens
    assert main(["memory", model]) == 0
    assert [line.split() for line in output().splitlines()[1:2]] == [
        ["model.gguf", "2048", "f16", "1.47", "MB", "2.10", "MB", "-", "1.54", "kB", ">3.57", "MB"]
    ]
    # what is known is too much already; what is not known may be
    assert main(["memory", model, "--budget", "3 MB"]) == 1
    output()
    assert main(["memory", model, "--budget", "3 GB"]) == 0
    said = output()
    assert "model.gguf may fit 3.00 GB; the largest context that fits is not known." in said
    assert "model.gguf: by the header alone: No module named 'llama_cpp'." in said


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_shown(
    model: str, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["memory", "no.gguf", model]) == 1

    said = capsys.readouterr()
    assert said.err == "quantcheck: no.gguf: does not exist\n"
    assert "model.gguf" in said.out


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (["--context", "0"], "argument --context: '0'; allowed: a whole number from 1 to 10000000"),
        (["--context", "1e9"], "argument --context: '1e9'; allowed: a whole number from 1 to 10000000"),
        (["--budget", "12 G"], "'12 G'; allowed: a number of bytes or a text like '12 GB' or '11.5 GiB'"),
        (["--kv-type", "q2_k"], "argument --kv-type: invalid choice: 'q2_k'"),
    ],
)
def test_wrong_arguments_are_one_line(
    wrong: list[str], line: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["memory", model, *wrong])

    assert caught.value.code == 2
    assert line in capsys.readouterr().err.splitlines()[-1]


def test_a_model_that_the_header_leaves_open_has_no_sum_that_is_believed(
    model: str, monkeypatch: pytest.MonkeyPatch, output: Output
) -> None:
    blind = Memory(4096, "f16", replace(TAKEN, kv=None), notes=("nobody knows the cache",))
    monkeypatch.setattr(cli_memory, "expected_memory", lambda *_: blind)

    assert main(["memory", model]) == 0

    said = output()
    assert ">8.01 MB" in said
    assert "model.gguf: nobody knows the cache." in said
