"""What ``quantcheck doctor`` says of a server."""

from __future__ import annotations

import pytest

from pytest_quantcheck.cli import main
from tests.fakes.base import Fault
from tests.fakes.base import Says
from tests.fakes.openai import LlamaServer
from tests.fakes.openai import OpenAi


def script(prompt: str) -> Says:
    if "weather" in prompt:
        return Says((), (), (("get_weather", {"city": "Oslo"}),))
    return Says(("27", "+", "45"), ("72",))


def test_a_llama_server(capsys: pytest.CaptureFixture[str]) -> None:
    with LlamaServer(script, template="<think>").running() as url:
        status = main(["doctor", url])

    said = {line[:14].strip(): line[14:] for line in capsys.readouterr().out.splitlines()}
    assert status == 0
    assert said["server"] == "llama-server b10000-abcdef"
    assert said["chat"] == "ok, '72'; 5 thinking + 1 visible tokens, reported"
    silent = "its vocabulary, the type of its KV cache, flash attention, its instruction sets, devices and threads"
    assert said["not told"].startswith(f"{silent}, the types of its tensors (docs/")


def test_what_it_cannot_do_is_said_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    with OpenAi(script).running() as url:
        status = main(["doctor", url])

    out = capsys.readouterr().out
    assert status == 0
    assert "grammar       cannot: an OpenAI-compatible server takes no grammar" in out
    assert "a tool        ok, '', calls get_weather({'city': 'Oslo'})" in out
    assert "starved       starved, ''" in out
    assert "raw text      ERROR: " in out  # this one has no /v1/completions


def test_what_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    fake = OpenAi(script)
    with fake.running() as url:
        fake.fault = Fault("status", 99, status=500, body={"error": "boom"})
        assert main(["doctor", url]) == 1
        assert "chat          ERROR: " in capsys.readouterr().out
        assert main(["doctor", f"{url}#other"]) == 1
        assert "has no model 'other'; it has: tiny" in capsys.readouterr().err
    assert main(["doctor", "ollama:"]) == 2
    assert capsys.readouterr().err == "quantcheck: 'ollama:' names no model: ollama:NAME\n"
    assert main(["doctor", "model.gguf"]) == 2


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf", "x"])
def test_a_time_out_is_a_number_of_seconds(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "http://127.0.0.1:1", f"--timeout={seconds}"])

    assert ended.value.code == 2
    assert f"argument --timeout: invalid positive value: '{seconds}'" in capsys.readouterr().err
