"""The bundled models behind real servers: what is heard over HTTP is what llama.cpp says in process."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.engines.server.address import Address
from pytest_quantcheck.engines.server.engine import ServerEngine
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Timings
from tests.real.servers import CONTEXT
from tests.real.servers import ROOT
from tests.real.servers import llama_cpp_python
from tests.real.servers import llama_server

MODELS = ROOT / "example_suites" / "tiny" / "models"
# unquantized: its answers are sure enough to be the same by every processor's kernels
MODEL = MODELS / "tiny-f16.gguf"
DAMAGED = MODELS / "tiny-q4_0.gguf"
SETTINGS = LoadSettings(context=CONTEXT)
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}


def asked(text: str, **how: Any) -> ChatRequest:
    generation = Generation(**{"max_tokens": 300} | how)
    return ChatRequest(({"role": "user", "content": text},), generation=generation)


CHATS = {
    "sum": asked("What is 27 + 45?"),
    "thinking off": asked("What is 27 + 45?", thinking=False),
    "thinking on": asked("What is 27 + 45?", thinking=True),
    "starved": asked("What is 27 + 45?", max_tokens=5),
    "truncated": asked("Say the words moon, lamp and desk.", max_tokens=3, thinking=False),
    "grammar": asked("Name a number.", grammar='root ::= "seven" | "nine"'),
    "a penalty": asked("What is 27 + 45?", penalty_repeat=1.3),
    "turns": ChatRequest(
        (
            {"role": "system", "content": "Answer briefly."},
            {"role": "user", "content": "Say the word lamp."},
            {"role": "assistant", "content": "lamp"},
            {"role": "user", "content": "What is 5 + 9?"},
        ),
        generation=Generation(max_tokens=200),
    ),
}


@pytest.fixture(scope="module")
def in_process() -> Generator[ProcessEngine]:
    engine = ProcessEngine(MODEL, SETTINGS)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def served() -> Generator[ServerEngine]:
    """llama.cpp's own server."""
    pytest.importorskip("xllamacpp")
    with llama_server(MODEL, embedding=False) as url:
        engine = ServerEngine(Address(url), SETTINGS, timeout=60)
        yield engine
        engine.close()


@pytest.fixture(scope="module")
def python_served() -> Generator[ServerEngine]:
    """llama-cpp-python's server."""
    pytest.importorskip("uvicorn")
    with llama_cpp_python(MODEL) as url:
        engine = ServerEngine(Address(url), SETTINGS, timeout=60)
        yield engine
        engine.close()


def same(reply: Reply) -> Reply:
    """Without what may differ: the clock, how tokens were counted, and white space before an answer.

    llama.cpp's server drops that, and does not tell what a grammar cost.
    """
    usage = replace(reply.usage, source="exact")
    return replace(reply, timings=Timings(0, None, 0), usage=usage, grammar=None, raw=reply.raw.lstrip())


@pytest.mark.parametrize("name", CHATS)
def test_llama_server_answers_as_llama_cpp_in_process(
    name: str, served: ServerEngine, in_process: ProcessEngine
) -> None:
    heard, said = served.chat(CHATS[name]), in_process.chat(CHATS[name])

    assert same(heard) == same(said)
    assert heard.usage.source in ("reported", "re-tokenised")
    assert 0 < heard.timings.first_token_s <= heard.timings.total_s
    assert (heard.timings.first_visible_s is None) == (said.timings.first_visible_s is None)


def test_llama_server_holds_an_answer_to_a_schema_by_a_grammar_of_its_own(served: ServerEngine) -> None:
    reply = served.chat(asked("Add 27 and 45.", json_schema=SCHEMA, max_tokens=40))

    assert isinstance(reply.json["sum"], int)
    # white space that the grammar allows before the answer is counted and not shown: it is no hidden thought
    assert (reply.usage.thinking, reply.usage.visible) == (0, reply.usage.total)


def test_llama_server_starves_as_in_process(served: ServerEngine) -> None:
    reply = served.chat(CHATS["starved"])

    assert (reply.status, reply.usage.thinking, reply.usage.visible) == (Status.STARVED, 5, 0)


def test_llama_server_continues_text_and_finds_choices_likely_as_in_process(
    served: ServerEngine, in_process: ProcessEngine
) -> None:
    text = CompletionRequest("Once upon", Generation(max_tokens=8))
    assert same(served.complete(text)) == same(in_process.complete(text))
    assert served.tokenize("a lamp <think>") == in_process.tokenize("a lamp <think>")
    for choice in (
        ChoiceRequest(("72", "73", "8"), ({"role": "user", "content": "What is 27 + 45?"},)),
        ChoiceRequest((" moon", " lamp"), prompt="The word is"),
    ):
        heard, said = served.choose(choice), in_process.choose(choice)
        assert heard.loglikelihoods == pytest.approx(said.loglikelihoods, abs=1e-2)
        assert (heard.tokens, heard.prompt_tokens, heard.prompt) == (said.tokens, said.prompt_tokens, said.prompt)


def test_what_llama_server_tells_of_a_file_that_lies_here(served: ServerEngine) -> None:
    card, own = served.card(), read_card(MODEL)

    assert card.served
    assert card.file_name == f"{MODEL.name} ({served.address.place})"
    assert (card.fingerprint, card.chat_template) == (own.fingerprint, own.chat_template)
    assert served.tokenize("x")
    assert served.facts["context"] == CONTEXT
    assert served.facts["build"].startswith("llama-server b")


def test_llama_server_is_timed_by_its_own_clock(served: ServerEngine) -> None:
    for depth in (0, 100):
        bench = served.bench(BenchRequest(64, 16, 2, warmup=1, depth=depth))
        assert (len(bench.decode_tok_s), bench.depth) == (2, depth)
        assert min(*bench.decode_tok_s, *bench.prefill_tok_s, *bench.ttft_s) > 0
    with pytest.raises(EngineRefused, match=r"needs 9\d+ tokens of context, the server has 4096"):
        served.bench(BenchRequest(9000, 16, 2))


def test_llama_server_gives_the_vectors_of_llama_cpp_in_process(in_process: ProcessEngine) -> None:
    pytest.importorskip("xllamacpp")
    request = EmbeddingRequest(("A lamp stands on the desk.", "The moon", "What is 5 + 9?"))
    with llama_server(MODEL, embedding=True, pooling_type=1) as url:
        engine = ServerEngine(Address(url), SETTINGS)
        heard, said = engine.embed(request), in_process.embed(request)
        engine.close()

    assert heard.labels == said.labels
    for mine, theirs in zip(heard.vectors, said.vectors, strict=True):
        assert sum(a * b for a, b in zip(mine, theirs, strict=True)) > 0.999


def test_what_llama_server_cannot_do_is_refused_by_name(served: ServerEngine) -> None:
    with pytest.raises(EngineCannot, match="llama-server tells no log-probabilities of whole texts"):
        served.fidelity(FidelityRequest("x", "text"))
    with pytest.raises(EngineCannot, match="llama-server does not tell what the model takes"):
        served.memory(MemoryRequest())
    with pytest.raises(EngineCannot, match=r"llama-server gives no vectors of this model: .* does not support embed"):
        served.embed(EmbeddingRequest(("a", "b")))
    with pytest.raises(EngineRefused, match=r"the prompt has \d+ tokens, the server's context 4096; start it with"):
        served.chat(asked("moon " * 5000))
    with pytest.raises(EngineRefused, match=r"answers with status 400: .*[Gg]rammar"):
        served.chat(asked("x", grammar="root ::= ("))
    assert served.chat(CHATS["sum"]).status is Status.OK  # and lives


@pytest.mark.parametrize("name", ["sum", "starved", "a penalty", "turns"])
def test_llama_cpp_python_answers_as_llama_cpp_in_process(
    name: str, python_served: ServerEngine, in_process: ProcessEngine
) -> None:
    heard, said = python_served.chat(CHATS[name]), in_process.chat(CHATS[name])

    # it tells neither usage nor what the model read
    assert replace(same(heard), prompt="", usage=said.usage) == replace(same(said), prompt="", usage=said.usage)
    assert (heard.usage.thinking, heard.usage.visible) == (said.usage.thinking, said.usage.visible)
    assert heard.usage.source == "re-tokenised"


def test_llama_cpp_python_calls_tools_in_its_text(python_served: ServerEngine, in_process: ProcessEngine) -> None:
    question = replace(asked("What is the weather in Oslo?"), tools=(TOOL,))
    heard, said = python_served.chat(question), in_process.chat(question)

    assert heard.tool_calls == said.tool_calls
    assert heard.usage.tool_calls == said.usage.tool_calls


def test_what_llama_cpp_python_cannot_do_is_refused_by_name(python_served: ServerEngine) -> None:
    with pytest.raises(EngineCannot, match=r"llama_cpp.server takes the thinking switch when it starts"):
        python_served.chat(CHATS["thinking off"])
    with pytest.raises(EngineCannot, match=r"llama_cpp.server gives no vectors of this model: .*embedding=True"):
        python_served.embed(EmbeddingRequest(("a",)))
    with pytest.raises(EngineCannot, match=r"llama_cpp.server tells no times"):
        python_served.bench(BenchRequest())
    with pytest.raises(EngineDied, match="stream ended before the answer did"):  # it says why to nobody but its log
        python_served.chat(asked("moon " * 5000))


def test_a_server_with_a_draft_model_tells_how_much_of_it_was_accepted(in_process: ProcessEngine) -> None:
    pytest.importorskip("xllamacpp")
    with llama_server(MODEL, draft=str(DAMAGED)) as url:
        engine = ServerEngine(Address(url), SETTINGS, timeout=60)
        reply = engine.chat(CHATS["sum"])
        bench = engine.bench(BenchRequest(64, 32, 3, warmup=1))
        choice = ChoiceRequest(("72", "73"), ({"role": "user", "content": "What is 27 + 45?"},))
        heard, said = engine.choose(choice), in_process.choose(choice)
        facts = engine.facts
        engine.close()

    # the draft is another's, and what the model says is its own
    assert same(reply).text == same(in_process.chat(CHATS["sum"])).text
    assert 0 < reply.timings.accepted <= reply.timings.drafted
    assert 0 < bench.accepted < bench.drafted
    assert facts["draft"] == "the server's"
    assert heard.loglikelihoods == pytest.approx(said.loglikelihoods, abs=1e-2)


@pytest.mark.once
def test_draft_acceptance_is_gated_behind_a_real_server(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xllamacpp")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.quant_speed(draft_acceptance=0.5)
        def test_taken(quant):
            quant.chat("What is 27 + 45?", max_tokens=100)

        @pytest.mark.quant_speed(draft_acceptance=1.0)
        def test_not_all(quant):
            quant.complete("Once upon a time", max_tokens=100)
        """
    )
    with llama_server(MODEL, draft=str(DAMAGED)) as url:
        result = pytester.runpytest(f"--quant-model={url}", "-p", "no:randomly", "-rA")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*draft acceptance * % (* of * tokens of the answers) misses 100 %*"])
    result.stdout.re_match_lines([r".*all answers +draft acceptance +- +\d[\d.]* % of \d+ .*"])
