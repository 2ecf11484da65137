from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.cli import main
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.renderings import Renderings
from pytest_quantcheck.sizes import size
from tests import ggufs


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return ggufs.write_random_llama(tmp_path / "model.gguf", metadata={"general.sampling.temp": 0.7})


def shown(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 0) -> list[str]:
    assert main(["card", *map(str, arguments)]) == status
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[str]:
    assert main(["card", *map(str, arguments)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def row(lines: list[str], label: str) -> list[str]:
    """The mark and the cells of a row."""
    [line] = [line for line in lines if line[2:].startswith(f"{label}  ")]
    return [line[:1].strip(), *(cell.strip() for cell in line[2:].split("  ")[1:] if cell)]


def test_one_card(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, model)

    assert lines[0].split() == ["model.gguf"]
    assert row(lines, "architecture") == ["", "llama"]
    assert row(lines, "types") == ["", "F16 >99 %, F32 <1 %"]
    # all but the norms, without the token embedding, of which one row is read
    weights = 384 * 256 + 2 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 256 * 512)
    assert 2 * weights + 5 * 256 * 4 == read_card(model).decode_bytes
    assert row(lines, "read per token") == ["", f"{(2 * weights + 5 * 256 * 4) / 1e6:.2f} MB of weights"]
    assert row(lines, "keys and values") == ["", "1.02 kB a token (16 bit)"]
    assert row(lines, "a full context") == ["", "2.10 MB of them at 2048 tokens"]
    assert row(lines, "answers end at") == ["", "<|endoftext|> <|im_end|>"]
    assert row(lines, "thinking switch") == ["", "yes, on unless told otherwise"]
    assert row(lines, "sampling defaults") == ["", "temp 0.7"]
    assert row(lines, "token 379") == ["", "<|im_end|>", "CONTROL (eos, end, template)"]
    assert not any("importance matrix" in line or "differ" in line for line in lines)


def test_two_cards_side_by_side(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = ggufs.write_random_llama(
        tmp_path / "other.gguf", weights="Q8_0", chat_template="{{ messages[0]['content'] }}<|im_end|>"
    )

    lines = shown(capsys, model, other)

    assert lines[0].split() == ["model.gguf", "other.gguf"]
    assert row(lines, "architecture") == ["", "llama", "llama"]
    assert row(lines, "types") == ["*", "F16 >99 %, F32 <1 %", "Q8_0 >99 %, F32 <1 %"]
    assert row(lines, "vocabulary")[0] == ""
    assert row(lines, "chat template")[0] == row(lines, "prompt: plain")[0] == "*"
    assert row(lines, "thinking switch") == ["*", "yes, on unless told otherwise", "none"]
    assert row(lines, "sampling defaults") == ["*", "temp 0.7", "-"]
    # of the special tokens those that differ only: those that this template does not write
    assert [line.split()[:4] for line in lines if "token 3" in line] == [
        ["*", "token", "378", "<|im_start|>"],
        ["*", "token", "380", "<think>"],
        ["*", "token", "381", "</think>"],
    ]
    assert lines[-1] == "* the files differ"


def test_files_of_one_name_are_told_apart(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sub").mkdir()
    other = tmp_path / "sub" / "model.gguf"
    other.write_bytes(model.read_bytes())

    assert shown(capsys, model, other)[0].split() == ["model.gguf", "sub/model.gguf"]
    assert shown(capsys, model, model)[0].split("  ")[-1] == "model.gguf (2)"


def test_a_template_that_fails_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ggufs.write_random_llama(tmp_path / "a.gguf", chat_template="{% if")

    lines = shown(capsys, path)

    assert "; FAILS: the file's chat template does not parse: " in row(lines, "chat template")[1]
    assert not any("prompt: " in line or "thinking switch" in line for line in lines)


def test_a_template_that_refuses_some_prompts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ggufs.write_random_llama(tmp_path / "a.gguf", chat_template="{{ raise_exception('no tools') if tools }}x")

    lines = shown(capsys, path)

    assert row(lines, "prompt: plain")[1].startswith("1 characters, ")
    assert row(lines, "prompt: tools")[1] == "FAILS: the file's chat template refuses these messages: no tools"


def test_a_file_that_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, ggufs.write_header(tmp_path / "a.gguf", {"general.architecture": "evil\x1b[2J"}))

    assert row(lines, "architecture") == ["", "evil [2J"]
    assert all(line.isprintable() for line in lines)
    assert not any("chat template" in line for line in lines)


def test_companions_are_judged_beside_the_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = ggufs.write_random_mmproj(tmp_path / "mmproj.gguf")
    bad = ggufs.write_random_mmproj(tmp_path / "wrong.gguf", width=64)
    drafter = ggufs.write_header(
        tmp_path / "eagle.gguf", {"general.architecture": "eagle3", "eagle3.target_hidden_size": 256}
    )

    lines = shown(capsys, model, good, drafter)

    assert lines[0].split() == ["model.gguf", "eagle.gguf"]
    assert f"mmproj.gguf is a projector (mmproj, gemma3, {size(good.stat().st_size)}):" in lines
    assert "  it turns images into embeddings of 256 numbers." in lines
    assert "eagle.gguf is a drafter (eagle3)." in lines
    assert "mmproj.gguf fits model.gguf." in lines
    assert "eagle.gguf fits model.gguf." in lines
    assert shown(capsys, model, bad, status=1)[-1].startswith("DOES NOT FIT: wrong.gguf makes embeddings of 64 numbers")
    assert shown(capsys, bad)[0] == f"wrong.gguf is a projector (mmproj, gemma3, {size(bad.stat().st_size)}):"


def test_an_ordinary_model_as_drafter(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = ggufs.write_random_llama(tmp_path / "small.gguf", seed=1)
    other = ggufs.write_header(
        tmp_path / "o.gguf",
        {"general.architecture": "x", "tokenizer.ggml.tokens": ["a"], "tokenizer.ggml.model": "gpt2"},
    )

    assert shown(capsys, model, "--drafter", same)[-1] == "small.gguf fits model.gguf."
    assert "DOES NOT FIT: o.gguf cannot draft for model.gguf" in shown(capsys, model, "--drafter", other, status=1)[-1]


def test_json(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = ggufs.write_random_mmproj(tmp_path / "wrong.gguf", width=64)

    made: dict[str, Any] = json.loads("\n".join(shown(capsys, model, bad, "--json", status=1)))

    assert made.keys() == {"version", "models", "drafters", "projectors", "fits"}
    assert ModelCard.from_payload(made["models"][0]["card"]) == read_card(model)
    assert Renderings.from_payload(made["models"][0]["renderings"]).thinking_switch
    assert made["projectors"][0]["width"] == 64
    assert made["fits"][0]["why_not"].startswith("wrong.gguf makes embeddings of 64 numbers")


def test_files_that_cannot_be_read(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ggufs.truncate(model, 0.5)

    lines = refused(capsys, tmp_path / "nowhere.gguf", model, tmp_path, "evil\x1b[2J")

    assert lines[0] == f"quantcheck: {tmp_path}/nowhere.gguf: does not exist"
    assert lines[1].startswith(f"quantcheck: {model}: is truncated: ")
    assert lines[2] == f"quantcheck: {tmp_path}: is a directory"
    assert lines[3] == "quantcheck: evil\\x1b[2J: does not exist"


@pytest.mark.parametrize("arguments", [[], ["card"], ["nonsuch"], ["card", "a.gguf", "--nonsuch"]])
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "usage: quantcheck" in capsys.readouterr().err


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_quantcheck", *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=60,
    )  # fmt: skip


def test_a_terminal_without_the_letters(tmp_path: Path) -> None:
    path = ggufs.write_random_llama(tmp_path / "a.gguf", name="größer｜")

    done = run("card", path, PYTHONIOENCODING="ascii")

    assert (done.returncode, done.stderr) == (0, "")
    assert "gr\\xf6\\xdfer\\uff5c" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_reader_that_has_seen_enough(model: Path) -> None:
    command = f"'{sys.executable}' -m pytest_quantcheck card --json {' '.join([str(model)] * 40)} | head -c 10"

    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
