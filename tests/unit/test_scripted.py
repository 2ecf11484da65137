"""The public double behaves as a model would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.engines.scripted import ScriptedEngine
from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Status


def chat(script: str, budget: int | None = None) -> Reply:
    engine = ScriptedEngine(lambda prompt: script)
    return engine.chat(ChatRequest(({"role": "user", "content": "a b c"},), (), Generation(max_tokens=budget)))


@pytest.mark.parametrize(
    ("script", "budget", "status", "thinking", "visible"),
    [
        ("4", None, Status.OK, 0, 1),
        ("<think>a b</think>4 2", None, Status.OK, 4, 2),
        ("<think>a b</think>4 2", 6, Status.OK, 4, 2),
        ("<think>a b</think>4 2", 5, Status.TRUNCATED, 4, 1),
        ("<think>a b</think>4 2", 4, Status.STARVED, 4, 0),
        ("<think>a b</think>4 2", 2, Status.STARVED, 2, 0),
        ("<think>a b", None, Status.UNCLOSED, 3, 0),
        ("<think>a</think>", None, Status.EMPTY, 3, 0),
        ("", None, Status.EMPTY, 0, 0),
        ("", 1, Status.EMPTY, 0, 0),
        ('<tool_call>{"name": "f"}</tool_call>', None, Status.OK, 0, 4),
        ('<tool_call>{"name": "f"}</tool_call>', 3, Status.STARVED, 0, 3),
        (" ".join(map(str, range(3000))), None, Status.TRUNCATED, 0, 2048),
    ],
)
def test_the_budget_cuts_as_it_cuts_a_model(
    script: str, budget: int | None, status: Status, thinking: int, visible: int
) -> None:
    reply = chat(script, budget)

    assert reply.status is status
    assert (reply.usage.thinking, reply.usage.visible) == (thinking, visible)
    assert reply.usage.total == thinking + visible
    assert reply.usage.prompt == 3
    assert script.startswith(reply.raw)


def test_times_follow_the_tokens() -> None:
    times = chat("<think>a b</think>4 2").timings

    assert (times.first_token_s, times.first_visible_s, times.total_s) == pytest.approx((0.01, 0.05, 0.06))
    assert chat("<think>a b").timings.first_visible_s is None


def test_a_completion_splits_nothing_and_its_budget_is_a_normal_end() -> None:
    reply = ScriptedEngine(lambda prompt: "<think>a b").complete(CompletionRequest("x", Generation(max_tokens=2)))

    assert (reply.text, reply.status, reply.finish, reply.usage.thinking) == ("<think>a", Status.OK, "length", 0)


def test_it_counts_its_loads() -> None:
    engine = ScriptedEngine(lambda prompt: "4", bench_tok_s=(100.0, 10.0))
    assert engine.loads == 0
    engine.card()
    assert engine.loads == 0
    engine.complete(CompletionRequest("x"))
    engine.bench(BenchRequest(repeats=2))
    assert engine.loads == 1
    engine.close()
    engine.complete(CompletionRequest("x"))
    assert engine.loads == 2


def test_a_script_may_raise() -> None:
    def die(prompt: str) -> str:
        raise EngineDied("the engine's process died")

    with pytest.raises(EngineDied):
        ScriptedEngine(die).complete(CompletionRequest("x"))


def test_what_it_lacks_and_what_it_refuses() -> None:
    with pytest.raises(EngineCannot, match="no memory"):
        ScriptedEngine(lambda prompt: "4").memory(MemoryRequest())
    with pytest.raises(EngineCannot, match="bench_tok_s"):
        ScriptedEngine(lambda prompt: "4").bench(BenchRequest())
    with pytest.raises(EngineRefused, match="max_tokens must be at least 1, got 0"):
        chat("4", 0)


def test_both_engines_keep_the_protocol(tmp_path: Path) -> None:
    assert isinstance(ScriptedEngine(lambda prompt: "4"), Engine)
    assert isinstance(ProcessEngine(tmp_path / "a.gguf", LoadSettings()), Engine)


def test_a_script_may_speak_like_another_family() -> None:
    said = '<|channel>thought\na b<channel|>4 2<|tool_call>call:f{x:<|"|>y<|"|>}<tool_call|>'
    engine = ScriptedEngine(lambda prompt: said, family="gemma4")
    reply = engine.chat(ChatRequest(({"role": "user", "content": "a"},), (), Generation()))

    assert (reply.thinking, reply.text) == ("a b", "4 2")
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [("f", {"x": "y"})]
    assert (reply.usage.thinking, reply.usage.visible, reply.usage.tool_calls) == (4, 5, 3)
    with pytest.raises(ValueError, match="unknown family 'gemma5'"):
        ScriptedEngine(lambda prompt: said, family="gemma5")


def test_choices_and_vectors_come_from_functions() -> None:
    engine = ScriptedEngine(
        lambda _: "",
        choose=lambda prompt, choices: (-len(prompt) - len(choice) for choice in choices),
        embed=lambda texts: ((3.0, 4.0) for _ in texts),
    )

    choice = engine.choose(ChoiceRequest(("a", "b c"), prompt="x y"))
    found = engine.embed(EmbeddingRequest(("a b",)))

    assert (choice.loglikelihoods, choice.tokens, choice.prompt_tokens) == ((-4.0, -6.0), (1, 2), 2)
    assert found.vectors[0] == pytest.approx((0.6, 0.8), abs=1e-3)
    assert (found.tokens, engine.loads) == ((2,), 1)


def test_a_function_that_leaves_something_out_is_refused() -> None:
    engine = ScriptedEngine(lambda _: "", choose=lambda _, choices: [-1.0], embed=lambda texts: [(1.0,), (1.0, 2.0)])

    with pytest.raises(EngineRefused, match="the function choose gave 1 numbers for 2 choices"):
        engine.choose(ChoiceRequest(("a", "b"), prompt="x"))
    for texts in (("a",), ("a", "b")):
        with pytest.raises(EngineRefused, match=f"no vector of one length for each of {len(texts)} texts"):
            engine.embed(EmbeddingRequest(texts))


def test_fidelity_is_what_the_function_says() -> None:
    found = Fidelity("words", (Chunk("text", 5, 9.5),))
    engine = ScriptedEngine(lambda _: "", fidelity=lambda request: replace(found, name=request.name))
    assert engine.loads == 0
    assert engine.fidelity(FidelityRequest("poem", "some text")) == replace(found, name="poem")
    assert engine.loads == 1
    with pytest.raises(EngineCannot, match="no function fidelity"):
        ScriptedEngine(lambda _: "").fidelity(FidelityRequest("poem", "some text"))
