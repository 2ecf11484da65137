"""Whole runs against servers: both sides are asked alike, and no worker disturbs another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_quantcheck.engines.server.engine import ServerEngine
from tests.fakes.base import Says
from tests.fakes.ollama import Ollama
from tests.fakes.openai import TEMPLATE
from tests.fakes.openai import LlamaServer
from tests.fakes.router import Router

FILE = Path(__file__).parents[2] / "example_suites" / "tiny" / "models" / "tiny-q4_0.gguf"
OFF = TEMPLATE.replace("is defined and not enable_thinking", "is not defined or not enable_thinking")


def script(prompt: str) -> Says:
    return Says(("hm",), (prompt,))


@pytest.mark.parametrize("turned", [False, True])
def test_ollama_and_a_llama_server_both_think_or_neither_does(pytester: pytest.Pytester, *, turned: bool) -> None:
    pytester.makepyfile("def test_it(quant):\n    assert quant.chat('yes', max_tokens=9).text == 'yes'\n")
    ollama, other = Ollama(script, model="tiny"), LlamaServer(script, template=OFF)
    with ollama.running() as first, other.running() as second:
        old, new = (second, f"{first}#tiny") if turned else (f"{first}#tiny", second)
        result = pytester.runpytest(
            f"--quant-baseline={old}", f"--quant-model={new}", "--quant-allow=not told,build,context"
        )

    by_ollama = {body.get("think") for body in ollama.bodies("/api/chat")}
    by_other = {body["chat_template_kwargs"]["enable_thinking"] for body in other.bodies("/v1/chat/completions")}
    assert by_ollama == by_other == {not turned}
    shown = " ".join(result.stdout.str().split())
    assert "chat template is in Ollama's own language" in shown
    assert "does not parse" not in shown


def test_ollamas_template_cannot_be_pinned_and_no_connection_is_left(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(engine: ServerEngine) -> None:
        closed.append(engine.address.model)
        own(engine)

    closed: list[str] = []
    own = ServerEngine.close
    monkeypatch.setattr(ServerEngine, "close", close)
    pytester.makepyfile("def test_it(quant):\n    pass\n")
    with Ollama(script, model="tiny").running() as url:
        args = (f"--quant-baseline={url}#tiny", f"--quant-model={FILE}", "--quant-pin-template=baseline")
        result = pytester.runpytest(*args)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--quant-pin-template: the baseline's chat template is Ollama's, which nothing else*"]
    )
    assert closed == ["tiny"]


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_no_worker_takes_a_model_away_from_another_one(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("word", ["yes", "no", "perhaps"])
        def test_it(quant, word):
            assert quant.chat(word, max_tokens=9).text == word
        """
    )
    fake = Router({name: LlamaServer(script, model=name) for name in ("a", "b")}, slow=0)
    with fake.running() as url:
        args = (f"--quant-baseline={url}#a", f"--quant-model={url}#b", "--quant-allow=not told", *workers)
        result = pytester.runpytest(*args)

    assert result.ret == 0
    asked = fake.paths()
    chats = [number for number, path in enumerate(asked) if path == "/v1/chat/completions"]
    assert len(chats) >= 6
    between = asked[chats[0] : chats[-1]]
    assert between.count("/models/unload") == (0 if workers else 1)
    assert fake.states == {"a": "unloaded", "b": "unloaded"}
