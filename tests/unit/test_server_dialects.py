"""Each server by its documented protocol: recognised from what it says, and the same answers told alike by all."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from collections.abc import Generator
from contextlib import ExitStack
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_quantcheck import ScriptedEngine
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.server.address import Address
from pytest_quantcheck.engines.server.dialect import openai_messages
from pytest_quantcheck.engines.server.engine import ServerEngine
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Status
from pytest_quantcheck.sampling import sampling_defaults
from tests.fakes.base import Fake
from tests.fakes.base import Says
from tests.fakes.llama_swap import LlamaSwap
from tests.fakes.ollama import Ollama
from tests.fakes.openai import LlamaServer
from tests.fakes.openai import OpenAi
from tests.fakes.openai import Vllm
from tests.fakes.router import Router

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
THOUGHT = ("27", " +", " 45", " is", " 72")
SCRIPT = {
    "sum": Says(THOUGHT, ("seven", "ty", " two")),
    "plain": Says((), ("seven", "ty", " two")),
    "tool": Says(("a", " tool"), (), (("get_weather", {"city": "Oslo", "days": 2}),)),
    "two tools": Says((), (), (("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"}))),
    "empty": Says((), ()),
    "loop": Says((), (" again",) * 60),
    "long": Says(tuple(f" w{n}" for n in range(40)), ("done",)),
}


def script(prompt: str) -> Says:
    return SCRIPT[prompt.partition("|")[0]]


def asked(text: str, *, tools: tuple[Any, ...] = (), **how: Any) -> ChatRequest:
    return ChatRequest(({"role": "user", "content": text},), tools, Generation(**{"max_tokens": 100} | how))


@dataclass
class Pair:
    """An engine and the server that it speaks to."""

    engine: ServerEngine
    fake: Any

    def ask(self, text: str, **how: Any) -> Reply:
        return self.engine.chat(asked(text, **how))


@contextmanager
def speaking(
    fake: Fake, *, model: str = "", context: int | None = 4096, template: str | None = None
) -> Generator[Pair]:
    with fake.running() as url:
        settings = LoadSettings(context=context, chat_template=template)
        engine = ServerEngine(Address(url, model), settings, timeout=30)
        try:
            yield Pair(engine, fake)
        finally:
            engine.close()


def swapped(**more: Any) -> LlamaSwap:
    servers: dict[str, OpenAi] = {name: LlamaServer(script, model=f"{name}.gguf") for name in ("qat", "old")}
    return LlamaSwap(servers, **{"command": "llama-server --port 5800 -m x.gguf -fa on -ctk q8_0 -ctv q8_0"} | more)


def routed(**more: Any) -> Router:
    return Router({name: LlamaServer(script, model=name) for name in ("qat.gguf", "old.gguf")}, **more)


FAKES: dict[str, Callable[[], tuple[Fake, str]]] = {
    "llama-server": lambda: (LlamaServer(script), ""),
    "llama-swap": lambda: (swapped(), "qat"),
    "llama-swap, text": lambda: (swapped(banner="content"), "qat"),
    "llama-swap, older": lambda: (swapped(command=""), "qat"),
    "router": lambda: (routed(), "qat.gguf"),
    "Ollama": lambda: (Ollama(script), "tiny:q4"),
    "vLLM": lambda: (Vllm(script), ""),
    "vLLM, older": lambda: (Vllm(script, field="reasoning_content"), ""),
    "vLLM, no parser": lambda: (Vllm(script, field="inline"), ""),
    "vLLM, opened": lambda: (Vllm(script, field="inline", opens=True), ""),
    "another": lambda: (OpenAi(script), ""),
    "another, reasoning": lambda: (OpenAi(script, field="reasoning"), ""),
    "another, no usage": lambda: (OpenAi(script, field="thinking", usage=False), ""),
}


@pytest.fixture(params=FAKES)
def pair(request: pytest.FixtureRequest) -> Generator[Pair]:
    fake, model = FAKES[request.param]()
    with ExitStack() as stack:
        yield stack.enter_context(speaking(fake, model=model))


def test_a_thought_and_an_answer_are_told_apart(pair: Pair) -> None:
    reply = pair.ask("sum")

    assert (reply.text, reply.thinking.strip()) == ("seventy two", "27 + 45 is 72")
    assert (reply.status, reply.finish, reply.tool_calls) == (Status.OK, "stop", ())
    assert reply.usage.thinking > 0
    assert reply.usage.thinking + reply.usage.visible == reply.usage.total
    assert reply.usage.prompt > 0
    assert reply.timings.first_visible_s is not None
    assert reply.timings.first_token_s <= reply.timings.first_visible_s <= reply.timings.total_s


def test_a_thought_that_takes_the_whole_budget_is_starved(pair: Pair) -> None:
    reply = pair.ask("long", max_tokens=10)

    assert (reply.status, reply.finish, reply.text) == (Status.STARVED, "length", "")
    assert reply.usage.visible == 0
    assert reply.timings.first_visible_s is None


def test_tool_calls(pair: Pair) -> None:
    reply = pair.ask("tool", tools=(TOOL,))

    assert [(call.name, call.arguments) for call in reply.tool_calls] == [("get_weather", {"city": "Oslo", "days": 2})]
    assert (reply.status, reply.text) == (Status.OK, "")
    assert reply.thinking.strip() == "a tool"
    assert 0 < reply.usage.tool_calls <= reply.usage.visible
    two = pair.ask("two tools", tools=(TOOL,))
    assert [(call.arguments or {})["city"] for call in two.tool_calls] == ["Oslo", "Rome"]


def classified(reply: Reply) -> tuple[Any, ...]:
    """What the verdicts are made of."""
    calls = [(call.name, call.arguments) for call in reply.tool_calls]
    return reply.status, reply.finish, reply.text, calls, reply.usage.thinking > 0, reply.usage.visible > 0


HIDDEN: dict[str, Callable[[], tuple[Fake, str]]] = {
    "vLLM, hidden": lambda: (Vllm(script, field="hidden"), ""),
    "another, hidden": lambda: (OpenAi(script, field="hidden"), ""),
}


@pytest.mark.parametrize("name", [*FAKES, *HIDDEN])
def test_starved_thoughtful_and_calling_answers_are_classified_as_in_process(name: str) -> None:
    def raw(prompt: str) -> str:
        said = script(prompt)
        calls = (f"<tool_call>{json.dumps({'name': of, 'arguments': given})}</tool_call>" for of, given in said.calls)
        return f"<think>{''.join(said.thought)}</think>{''.join(said.text)}{''.join(calls)}"

    in_process = ScriptedEngine(raw)
    fake, model = (FAKES | HIDDEN)[name]()
    with speaking(fake, model=model) as pair:
        for request in (asked("long", max_tokens=10), asked("long"), asked("tool", tools=(TOOL,))):
            if name in HIDDEN and request.tools:  # two tokens of thought are less than a call's markup may be
                continue
            assert classified(pair.engine.chat(request)) == classified(in_process.chat(request)), request


@pytest.mark.parametrize(
    ("said", "max_tokens", "status"),
    [("plain", 2, Status.TRUNCATED), ("empty", 9, Status.EMPTY), ("loop", 99, Status.LOOP)],
)
def test_other_ends(pair: Pair, said: str, max_tokens: int, status: Status) -> None:
    assert pair.ask(said, max_tokens=max_tokens).status is status


def test_a_server_is_recognised_by_what_it_says_and_not_by_its_port() -> None:
    for name, make in FAKES.items():
        fake, model = make()
        with speaking(fake, model=model) as pair:
            told = pair.engine.dialect.name
            behind = {"llama-swap": "llama-server", "router": "llama-server"}
            assert told == {"another": "an OpenAI-compatible server", **behind}.get(
                name.partition(",")[0], name.partition(",")[0]
            )
            assert pair.engine.card().served
            assert pair.engine.card().file_name.endswith(f"({pair.engine.address.place})")


def test_a_request_is_greedy_and_nothing_bends_the_choice() -> None:
    neutral = {"temperature": 0.0, "min_p": 0.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    for fake, penalty, at in (
        (LlamaServer(script), "repeat_penalty", None),
        (Vllm(script), "repetition_penalty", None),
        (Ollama(script), "repeat_penalty", "options"),
    ):
        with speaking(fake, model=fake.model) as pair:
            pair.ask("sum", seed=7, penalty_repeat=1.3, top_p=0.5)
            body = next(body for method, path, body in fake.asked if path in ("/v1/chat/completions", "/api/chat"))
            sent = body if at is None else body[at]
            assert sent.items() >= (neutral | {penalty: 1.0, "seed": 7}).items()
            pair.ask("sum", seed=8, penalty_repeat=1.3, top_p=0.5, temperature=0.9)
            body = [body for _, path, body in fake.asked if path in ("/v1/chat/completions", "/api/chat")][-1]
            sent = body if at is None else body[at]
            assert sent.items() >= {"temperature": 0.9, "top_p": 0.5, penalty: 1.3, "seed": 8}.items()


# --- llama-server ---------------------------------------------------------------------------------------------------


def test_llama_server_is_asked_without_its_prompt_cache_and_its_parser() -> None:
    with speaking(LlamaServer(script)) as pair:
        pair.ask("sum")
        (body,) = pair.fake.bodies("/v1/chat/completions")

    assert body["cache_prompt"] is False
    assert body["reasoning_format"] == "none"
    # its own default would be on; the template's is given
    assert body["chat_template_kwargs"] == {"enable_thinking": True}
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("how", "switch"), [({"thinking": False}, False), ({"json_schema": {"type": "object"}}, False)]
)
def test_the_thinking_switch(how: dict[str, Any], switch: bool) -> None:
    for fake in (LlamaServer(script), Vllm(script)):
        with speaking(fake) as pair:
            pair.ask("plain", **how)
            (body,) = fake.bodies("/v1/chat/completions")
            assert body["chat_template_kwargs"] == {"enable_thinking": switch}
    for thinks in (True, False):
        with speaking(Ollama(script, thinks=thinks), model="tiny:q4") as pair:
            pair.ask("plain", **how)
            (body,) = pair.fake.bodies("/api/chat")
            assert body.get("think") is (switch if thinks else None)


def test_llama_server_counts_its_tokens_and_ours_are_without_the_end() -> None:
    with speaking(LlamaServer(script)) as pair:
        reply = pair.ask("sum")

    usage = reply.usage
    assert (usage.thinking, usage.visible, usage.total, usage.source) == (len(THOUGHT) + 2, 3, 10, "reported")
    assert reply.raw == "<think>27 + 45 is 72</think>seventy two"


def test_a_budget_is_what_the_servers_context_has_room_for() -> None:
    for fake in (LlamaServer(script, context=30), Vllm(script, context=30)):
        with speaking(fake, context=None) as pair:
            assert pair.ask("long", max_tokens=1000).finish == "length"
            with pytest.raises(EngineRefused, match=r"the prompt has \d\d tokens, the server's context 30; start it"):
                pair.ask("sum|" + " x" * 40)


def test_llama_server_is_timed_by_what_it_says() -> None:
    with speaking(LlamaServer(script)) as pair:
        for depth in (0, 30):
            bench = pair.engine.bench(BenchRequest(20, 11, 3, depth=depth))
            # 10 ms a prompt token; the clock of writing begins with the first of 11 tokens: 20 ms for each after it
            assert bench.prefill_tok_s == pytest.approx((100.0,) * 3)
            assert bench.decode_tok_s == pytest.approx((50.0,) * 3)
            assert bench.ttft_s == pytest.approx((0.2,) * 3)
            assert (bench.depth, bench.prompt_tokens, bench.warmup, bench.settled) == (depth, 20, 2, True)
        pair.fake.kept = 7  # it read another request's prompt
        with pytest.raises(EngineRefused, match="read 13 tokens and wrote 11, not 20 and 11: does another request run"):
            pair.engine.bench(BenchRequest(20, 11, 3))
        pair.fake.busy = True
        with pytest.raises(EngineRefused, match="answers another request meanwhile"):
            pair.engine.bench(BenchRequest(20, 11, 3))


def test_more_context_than_the_server_has_is_refused() -> None:
    words = r"a context of 9000 tokens is asked for, the server has 4096: start it with more, or lower --quant-ctx"
    for fake in (LlamaServer(script), Vllm(script)):
        with speaking(fake, context=9000) as pair, pytest.raises(EngineRefused, match=words):
            pair.ask("sum")


def test_a_server_that_still_loads_is_waited_for() -> None:
    fake = LlamaServer(script)
    with speaking(fake) as pair:
        fake.loading = 2
        assert pair.ask("plain").text == "seventy two"


def test_the_budget_fits_into_the_runs_context_where_the_server_has_more() -> None:
    for fake in (LlamaServer(script, context=8192), Vllm(script, context=8192)):
        with speaking(fake, context=60) as pair:
            pair.ask("long", max_tokens=1000)
            (body,) = fake.bodies("/v1/chat/completions")
            assert body["max_tokens"] < 60
            with pytest.raises(EngineRefused, match=r"has \d\d tokens, the run's context 60; --quant-ctx gives more"):
                pair.ask("sum|" + " x" * 70)


# --- hidden thoughts ------------------------------------------------------------------------------------------------


def test_a_thought_that_a_server_hides_is_counted_by_its_tokeniser() -> None:
    with speaking(Vllm(script, field="hidden")) as pair:
        reply = pair.ask("long")

    # one token of the 43 (with two marks) is shown
    assert (reply.text, reply.thinking) == ("done", "")
    assert (reply.usage.thinking, reply.usage.visible, reply.usage.source) == (42, 1, "re-tokenised")


def test_what_a_grammar_governs_hides_no_thought() -> None:
    with speaking(Vllm(script, field="hidden")) as pair:
        reply = pair.ask("long", json_schema={"type": "string"})
        assert (reply.usage.thinking, reply.usage.visible) == (0, 43)
    with speaking(LlamaServer(script, field="hidden")) as pair:  # and llama-server shows all of them
        pair.fake.deltas = lambda says, body: ({"content": token} for token in says.text)
        assert pair.ask("long").usage.thinking == 0


def test_without_a_tokeniser_a_hidden_thought_is_estimated() -> None:
    with speaking(OpenAi(script, field="hidden")) as pair:
        reply = pair.ask("long")
        assert (reply.usage.total, reply.status) == (43, Status.OK)
        assert (reply.text, reply.usage.thinking, reply.usage.source) == ("done", 42, "estimated")
        assert pair.ask("long", max_tokens=9).status is Status.STARVED


def test_an_answer_without_a_thought_has_none_however_it_is_tokenised() -> None:
    for fake in (Vllm(script, field="hidden"), OpenAi(script, field="hidden"), Ollama(script, chunk=3)):
        with speaking(fake, model=fake.model) as pair:
            assert pair.ask("plain").usage.thinking == 0


# --- llama-server's router --------------------------------------------------------------------------------------------


def test_a_router_loads_one_model_and_lets_it_go() -> None:
    fake = routed()
    with speaking(fake, model="qat.gguf") as pair:
        assert pair.engine.card().name.startswith("qat.gguf ")
        assert fake.states == {"qat.gguf": "loaded", "old.gguf": "unloaded"}
        assert pair.ask("sum").text == "seventy two"
        facts = pair.engine.facts
        assert facts["build"] == "llama-server b10000-abcdef behind its router"
        assert facts["kv_type"] == "q8_0"
        assert {body["model"] for body in fake.bodies("/tokenize")} == {"qat.gguf"}
    assert fake.states == {"qat.gguf": "unloaded", "old.gguf": "unloaded"}


def test_a_model_that_a_router_cannot_load_or_does_not_have() -> None:
    with (
        speaking(routed(broken=("old.gguf",)), model="old.gguf") as pair,
        pytest.raises(EngineRefused, match=r"#old.gguf: the router could not load the model"),
    ):
        pair.engine.card()
    with (
        speaking(routed(), model="new") as pair,
        pytest.raises(EngineRefused, match=r"no model 'new'; it has: old.gguf, qat.gguf"),
    ):
        pair.engine.card()
    with speaking(routed()) as pair, pytest.raises(EngineRefused, match=r"has 2 models; name one after a '#'"):
        pair.engine.card()


def test_a_short_name_that_two_models_share_is_none_of_theirs() -> None:
    class Two(OpenAi):
        def get(self, path: str) -> tuple[int, Any]:
            names = ("a/m", "b/m", "c/n")
            return (200, {"data": [{"id": name} for name in names]}) if path == "/v1/models" else super().get(path)

    for name, own in (("a/m", "a/m"), ("b/m", "b/m"), ("n", "c/n")):
        with speaking(Two(script), model=name) as pair:
            assert pair.engine.dialect.model == own
    with speaking(Two(script), model="m") as pair, pytest.raises(EngineRefused, match="no model 'm'; it has: a/m, b/"):
        pair.engine.card()


def test_an_alias_takes_nobodys_own_name() -> None:
    class Two(OpenAi):
        def get(self, path: str) -> tuple[int, Any]:
            told = [{"id": "a"}, {"id": "b", "aliases": ["a", 5, "c"]}]
            return (200, {"data": told}) if path == "/v1/models" else super().get(path)

    for name, own in (("a", "a"), ("c", "b")):
        with speaking(Two(script), model=name) as pair:
            assert pair.engine.dialect.model == own


# --- llama-swap -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("banner", ["reasoning_content", "content"])
def test_what_llama_swap_says_while_it_loads_is_no_thought(banner: str) -> None:
    fake = swapped(banner=banner)
    with speaking(fake, model="qat") as pair:
        assert pair.engine.facts == {}
        first = pair.ask("plain")
        fake.loaded = "old"  # another request had it swapped
        again = pair.ask("plain")
        second = pair.ask("plain")

    for reply in (first, again, second):
        assert (reply.text, reply.thinking, reply.usage.thinking) == ("seventy two", "", 0)
        assert reply.raw == "seventy two"


def test_llama_swap_is_spoken_to_at_its_front_and_told_to_let_go() -> None:
    fake = swapped()
    with speaking(fake, model="qat") as pair:
        pair.ask("sum")
        facts = pair.engine.facts
        assert facts["build"] == "llama-server b10000-abcdef behind llama-swap"
        assert (facts["kv_type"], facts["flash_attention"]) == ("q8_0", "on")
        assert facts["decided_by"] == {"system": pair.engine.address.url}
        assert pair.engine.card().name.startswith("qat ")
        assert fake.bodies("/v1/chat/completions")[0]["model"] == "qat"
        assert "/upstream/qat/apply-template" in fake.paths()
    assert (fake.unloads, fake.loaded) == (["qat"], "")


def test_what_is_foretold_makes_llama_swap_load_nothing_again() -> None:
    fake = swapped()
    with speaking(fake, model="qat") as pair:
        pair.engine.card()
        fake.loaded, asked = "old", len(fake.asked)
        assert pair.engine.foretold["kv_type"] == "q8_0"
        assert (fake.loaded, len(fake.asked)) == ("old", asked)


def test_a_llama_swap_that_cannot_unload_one_model_is_let_be() -> None:
    fake = swapped(command="")
    with speaking(fake, model="qat") as pair:
        pair.ask("sum")
        assert pair.engine.facts["kv_type"] == ""
        start = time.monotonic()
    assert time.monotonic() - start < 5  # it would be waited for twice as long
    assert (fake.unloads, fake.loaded) == ([], "qat")


def test_a_model_that_llama_swap_does_not_have() -> None:
    with speaking(swapped(), model="nothing") as pair, pytest.raises(EngineRefused, match=r"answers with status 404"):
        pair.engine.card()


# --- Ollama ---------------------------------------------------------------------------------------------------------


def test_ollama_is_asked_by_its_own_api_with_its_context() -> None:
    with speaking(Ollama(script), model="tiny:q4", context=6000) as pair:
        pair.ask("sum")
        (body,) = pair.fake.bodies("/api/chat")
        assert pair.engine.facts["context"] == 6000

    assert body["options"]["num_ctx"] == 6000
    assert body["options"]["num_predict"] == 100
    assert (body["truncate"], body["shift"]) == (False, False)
    assert not any(path.startswith("/v1/") for path in pair.fake.paths())


def test_a_prompt_that_does_not_fit_into_ollamas_context_is_never_cut_unnoticed() -> None:
    long = "plain|" + " word" * 300
    words = r"status 400: request \(\d+ tokens\) exceeds the available context size"
    fake = Ollama(script)
    with speaking(fake, model="tiny:q4", context=200) as pair, pytest.raises(EngineRefused, match=words):
        pair.ask(long)
    with speaking(Ollama(script, version="0.12.5"), model="tiny:q4", context=200) as pair:
        assert pair.ask(long).status is Status.PROMPT_TRUNCATED
        assert pair.ask("plain").status is Status.OK


def test_a_raw_text_that_an_old_ollama_cuts_is_told_too() -> None:
    class Old(Ollama):
        def post(self, path: str, body: dict[str, Any]) -> Any:
            if path != "/api/generate" or not body.get("stream"):
                return super().post(path, body)
            read = min(len(body["prompt"].split()), body["options"]["num_ctx"])
            end = {"done": True, "done_reason": "stop", "prompt_eval_count": read, "eval_count": 2}
            return (json.dumps(line) + "\n" for line in ({"response": "x"}, end))

    with speaking(Old(script, version="0.12.5"), model="tiny:q4", context=200) as pair:
        for words, status in ((300, Status.PROMPT_TRUNCATED), (100, Status.OK)):
            asked = CompletionRequest("word " * words, Generation(max_tokens=5))
            assert pair.engine.complete(asked).status is status


def test_ollama_has_no_more_context_than_the_model_was_trained_for() -> None:
    words = r"65536 tokens is asked for, the server has 8192: the model was trained for no more; lower --quant-ctx"
    with speaking(Ollama(script), model="tiny:q4", context=65536) as pair:
        assert pair.engine.foretold["context"] == 8192
        with pytest.raises(EngineRefused, match=words):
            pair.ask("plain")


def test_what_ollama_tells_of_a_model() -> None:
    with speaking(Ollama(script), model="tiny:q4") as pair:
        card = pair.engine.card()
        assert (card.architecture, card.parameters, card.context_length) == ("llama", 1000, 8192)
        assert card.fingerprint == "ab" * 32
        sampling = sampling_defaults(card)
        assert (sampling.temperature, sampling.top_k) == (0.5, 64)
        pair.ask("plain")
        assert pair.engine.facts["build"] == "Ollama 0.20.0"
        assert pair.fake.loaded
    assert not pair.fake.loaded
    with speaking(Ollama(script), model="other") as pair:
        assert pair.engine.card().path.endswith("#other:latest")


def test_ollamas_own_default_of_thinking_is_told_and_given() -> None:
    for thinks in (True, False):
        with speaking(Ollama(script, thinks=thinks), model="tiny:q4") as pair:
            card = pair.engine.card()
            pair.ask("plain")
            (body,) = pair.fake.bodies("/api/chat")
        assert (card.template_is_go, card.thinks) == (True, thinks or None)
        assert body.get("think") is (True if thinks else None)


def test_ollama_gets_calls_as_objects_and_images_apart() -> None:
    pixel = "data:image/png;base64," + b64encode(b"\x89PNG\r\n\x1a\n").decode()
    part = {"type": "image_url", "image_url": {"url": pixel}}
    call = {"id": "call00001", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages = (
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "snow", "name": "f"},
        {"role": "user", "content": [{"type": "text", "text": "plain"}, part]},
    )
    with speaking(Ollama(script), model="tiny:q4") as pair:
        pair.engine.chat(ChatRequest(messages, generation=Generation(max_tokens=9)))
        sent = pair.fake.bodies("/api/chat")[0]["messages"]

    assert sent[0]["tool_calls"] == [{"function": {"name": "f", "arguments": {"a": 1}}}]
    assert sent[1] == {"role": "tool", "content": "snow", "tool_name": "f"}
    assert sent[2] == {"role": "user", "content": "plain", "images": [pixel.partition(",")[2]]}


# --- vLLM -----------------------------------------------------------------------------------------------------------


def test_vllm_tells_likelihoods_of_given_tokens() -> None:
    request = ChoiceRequest((" Lima", " Quito"), ({"role": "user", "content": "plain"},))
    with speaking(Vllm(script)) as pair:
        choice = pair.engine.choose(request)

    expected = [-(sum(map(ord, name)) % 7) / 8 for name in ("Lima", "Quito")]
    assert choice.loglikelihoods == tuple(expected)
    assert choice.tokens == (1, 1)
    with speaking(Vllm(script, opens=True)) as pair:
        assert pair.engine.choose(request).note  # switched off, so it is not opened


def test_an_answer_without_a_thought_behind_a_parser_is_none() -> None:
    with speaking(Vllm(script, opens=True, field="reasoning")) as pair:
        assert pair.ask("sum").thinking == "27 + 45 is 72"
        reply = pair.ask("plain")
        assert (reply.status, reply.text, reply.thinking) == (Status.OK, "seventy two", "")
        assert pair.ask("plain", max_tokens=2).status is Status.STARVED  # it may have been in the midst of one
    with speaking(Vllm(script, opens=True, field="inline")) as pair:
        pair.fake.deltas = lambda says, body: ({"content": token} for token in (*says.thought, *says.text))
        assert pair.ask("sum").status is Status.UNCLOSED
        assert pair.ask("sum").status is Status.UNCLOSED


# --- what is refused by name ----------------------------------------------------------------------------------------


def test_what_a_server_cannot_do_is_said_by_name() -> None:
    choice = ChoiceRequest(("a", "b"), prompt="x")
    cases: list[tuple[Fake, Any, str]] = [
        (Ollama(script), lambda engine: engine.choose(choice), "Ollama tells no log-probabilities of given texts"),
        (Ollama(script), lambda engine: engine.tokenize("x"), "Ollama tells no token ids"),
        (Ollama(script), lambda engine: engine.bench(BenchRequest(depth=5)), "Ollama times no prompt behind others"),
        (Ollama(script), lambda engine: engine.chat(asked("sum", grammar="g")), "Ollama takes no grammar"),
        (Vllm(script), lambda engine: engine.chat(asked("sum", grammar="g")), "vLLM takes no grammar"),
        (Vllm(script), lambda engine: engine.bench(BenchRequest(depth=5)), "vLLM times no prompt behind others"),
        (OpenAi(script), lambda engine: engine.bench(BenchRequest()), "server tells no times of its own"),
        (OpenAi(script), lambda engine: engine.chat(asked("sum", thinking=True)), "has no thinking switch"),
        (OpenAi(script), lambda engine: engine.embed(EmbeddingRequest(("a",))), "gives no vectors of this model"),
        (OpenAi(script), lambda engine: engine.chat(asked("sum", noise=1.0)), "cannot be damaged"),
    ]
    for fake, ask, words in cases:
        with speaking(fake, model=fake.model) as pair, pytest.raises(EngineCannot, match=words):
            ask(pair.engine)
    for fake in (Ollama(script), Vllm(script), LlamaServer(script)):
        with speaking(fake, model=fake.model) as pair, pytest.raises(EngineRefused, match="takes no thinking budget"):
            pair.ask("sum", thinking_budget=10)
    words = "--quant-pin-template cannot be kept"
    with speaking(LlamaServer(script), template="another") as pair, pytest.raises(EngineRefused, match=words):
        pair.ask("sum")


def test_embeddings() -> None:
    with speaking(Ollama(script), model="tiny:q4") as pair:
        found = pair.engine.embed(EmbeddingRequest(("a", "bb")))
    assert found.dimensions == 3

    class Turned(OpenAi):
        rows: tuple[Any, ...] = (1, 0)

        def post(self, path: str, body: dict[str, Any]) -> Any:
            vectors = ([0.0, 1.0], [1.0, 0.0])
            return 200, {"data": [{"embedding": one, "index": at} for one, at in zip(vectors, self.rows, strict=True)]}

    for rows, first in (((1, 0), (1.0, 0.0)), ((0, 1), (0.0, 1.0)), ((None, None), (0.0, 1.0))):
        fake = Turned(script)
        fake.rows = rows
        with speaking(fake) as pair:
            assert pair.engine.embed(EmbeddingRequest(("a", "bb"))).vectors[0] == first
    with speaking(Ollama(script), model="tiny:q4") as pair:
        found = pair.engine.embed(EmbeddingRequest(("a", "bb")))
    assert found.vectors[1][0] == pytest.approx(2 / 5**0.5, abs=1e-3)


def test_names_of_models() -> None:
    for name in ("", "tiny", "tiny-alias"):
        with speaking(LlamaServer(script), model=name) as pair:
            assert pair.ask("plain").text == "seventy two"
    # it would answer whatever it is called
    with (
        speaking(LlamaServer(script), model="tony") as pair,
        pytest.raises(EngineRefused, match=r"'tony'; it has: tiny$"),
    ):
        pair.engine.card()
    with (
        speaking(Ollama(script)) as pair,
        pytest.raises(EngineRefused, match="has 2 models; name one after a '#': oth"),
    ):
        pair.engine.card()


def test_the_result_of_a_tool_carries_the_id_of_its_call() -> None:
    def call(name: str) -> dict[str, Any]:
        return {"id": name, "type": "function", "function": {"name": "f", "arguments": {}}}

    asked: list[dict[str, Any]] = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "", "tool_calls": [call("a"), call("b"), call("c")]},
        {"role": "tool", "content": "1", "tool_call_id": "b"},
        {"role": "tool", "content": "2"},
        {"role": "tool", "content": "3"},
        {"role": "tool", "content": "4"},
    ]

    told = openai_messages(asked)

    assert [message.get("tool_call_id") for message in told[2:]] == ["b", "a", "c", None]
    assert told[1]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert asked[3] == {"role": "tool", "content": "2"}
