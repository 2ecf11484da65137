"""Speed by a server's own clock: what it tells, and what must not be taken for it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_quantcheck.contest import compare_speed
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.server import stopwatch
from pytest_quantcheck.engines.server.address import Address
from pytest_quantcheck.engines.server.engine import ServerEngine
from pytest_quantcheck.pins import pin
from pytest_quantcheck.records import Role
from pytest_quantcheck.settings import Settings
from tests.fakes.base import Fake
from tests.fakes.base import Says
from tests.fakes.llama_swap import LlamaSwap
from tests.fakes.ollama import Ollama
from tests.fakes.openai import LlamaServer
from tests.fakes.openai import OpenAi
from tests.fakes.openai import Vllm

REQUEST = BenchRequest(100, 20, 3)


def script(prompt: str) -> Says:
    return Says((), (prompt,))


@contextmanager
def engine(fake: Fake, model: str = "", context: int | None = 4096) -> Generator[ServerEngine]:
    with fake.running() as url:
        made = ServerEngine(Address(url, model), LoadSettings(context=context), timeout=20)
        try:
            yield made
        finally:
            made.close()


def test_ollama_is_timed_by_its_own_durations() -> None:
    fake = Ollama(script)
    with engine(fake, "tiny:q4") as made:
        bench = made.bench(REQUEST)

    assert bench.prefill_tok_s == pytest.approx((100.0,) * 3)
    assert bench.decode_tok_s == pytest.approx((50.0,) * 3)
    assert abs(bench.prompt_tokens - 100) <= 5
    assert bench.ttft_s == pytest.approx((bench.prompt_tokens / 100,) * 3, rel=0.05)
    prompts = [body["prompt"].partition(" ")[0] for body in fake.bodies("/api/generate") if "prompt" in body]
    assert len(set(prompts[-5:])) == 5  # no two rounds begin alike
    assert {body["options"]["num_ctx"] for body in fake.bodies("/api/generate") if "prompt" in body} == {4096}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"writes": 3}, r"the model ended its answer after 3 of 20 tokens: too few for a speed"),
        ({"writes": 1}, r"after 1 of 20 tokens"),
    ],
)
def test_what_ollama_did_not_do_is_no_speed(how: dict[str, Any], words: str) -> None:
    fake = Ollama(script)
    for name, value in how.items():
        setattr(fake, name, value)
    with engine(fake, "tiny:q4") as made, pytest.raises(EngineRefused, match=words):
        made.bench(REQUEST)


def test_a_prompt_that_ollama_kept_is_no_speed() -> None:
    fake = Ollama(script)
    fake.keeps_from = 3  # it finds the text's length first
    with (
        engine(fake, "tiny:q4") as made,
        pytest.raises(EngineRefused, match=r"Ollama read \d+ tokens anew, not \d+: it kept an earlier prompt"),
    ):
        made.bench(REQUEST)


def test_a_probe_that_does_not_fit_into_ollamas_context() -> None:
    with (
        engine(Ollama(script), "tiny:q4", context=110) as made,
        pytest.raises(EngineRefused, match=r"needs 120 tokens of context, the server has 110; lower prompt_tokens"),
    ):
        made.bench(REQUEST)


def test_vllm_is_timed_by_its_own_statistics() -> None:
    fake = Vllm(script)
    fake.done = [7, 1.5, 2.5, 3.5]  # of other requests
    with engine(fake) as made:
        bench = made.bench(REQUEST)

    assert bench.prefill_tok_s == pytest.approx((100.0,) * 3)
    assert bench.decode_tok_s == pytest.approx((50.0,) * 3)
    assert bench.ttft_s == pytest.approx((1.2,) * 3)
    starts = [body["prompt"][:16] for body in fake.bodies("/v1/completions")]
    assert len(starts) == len({tuple(start) for start in starts}) == 5


def test_vllm_is_not_timed_while_it_answers_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "_COUNTED_S", 0.05)
    fake = Vllm(script)
    fake.others = 2
    with engine(fake) as made, pytest.raises(EngineRefused, match="vLLM answers another request meanwhile"):
        made.bench(REQUEST)
    fake = Vllm(script)
    fake.others = 1  # it came and went in between
    with engine(fake) as made, pytest.raises(EngineRefused, match="vLLM counted 2 requests where one was sent"):
        made.bench(REQUEST)


def test_a_vllm_without_statistics_tells_no_speed() -> None:
    fake = Vllm(script)
    fake.measures = False
    with engine(fake) as made, pytest.raises(EngineCannot, match="this vLLM tells no times of its own"):
        made.bench(REQUEST)


@pytest.mark.parametrize("told", [{}, {"prompt_ms": None}, {"prompt_ms": float("inf")}, {"prompt_ms": 10**400}])
def test_a_clock_that_tells_no_time_is_no_speed(told: dict[str, Any]) -> None:
    class Odd(LlamaServer):
        def post(self, path: str, body: dict[str, Any]) -> Any:
            if path != "/completion":
                return super().post(path, body)
            counts = {"prompt_n": len(body["prompt"]), "predicted_n": body["n_predict"], "draft_n": None}
            return 200, {"timings": counts | {"predicted_ms": 5.0} | told}

    with engine(Odd(script)) as made, pytest.raises(EngineRefused, match="llama-server's clock stood still"):
        made.bench(REQUEST)


def test_durations_that_ollama_leaves_out_and_endless_statistics_of_vllm() -> None:
    class Silent(Ollama):
        def _times(self, body: dict[str, Any]) -> tuple[int, Any]:
            status, told = super()._times(body)
            return status, told | {"prompt_eval_duration": None}

    class Endless(Vllm):
        def _metrics(self) -> bytes:
            return super()._metrics() + b'\nvllm:foo{a="b"} +Inf\nvllm:bar NaN\n'

    with engine(Silent(script), "tiny:q4") as made, pytest.raises(EngineRefused, match="Ollama's clock stood still"):
        made.bench(REQUEST)
    with engine(Endless(script)) as made:
        assert made.bench(REQUEST).decode_tok_s == pytest.approx((50.0,) * 3)


def test_two_models_of_one_server_are_loaded_anew_for_each_measurement() -> None:
    """llama-swap holds one at a time: turn by turn without a warm-up each would be timed cold."""
    servers: dict[str, OpenAi] = {name: LlamaServer(script, model=f"{name}.gguf") for name in ("old", "new")}
    fake = LlamaSwap(servers, command="llama-server -m x.gguf")
    settings = Settings(model="new", baseline="old")
    with engine(fake, "old") as old:
        new = ServerEngine(Address(old.address.url, "new"), LoadSettings(context=4096), timeout=20)
        sides = {Role.BASELINE: old, Role.CANDIDATE: new}
        duel = compare_speed(settings, pin(settings, {}), sides.__getitem__, BenchRequest(20, 11, 3))
        new.close()

    assert duel.reloaded
    assert len(fake.unloads) >= 6


def test_two_servers_hold_a_model_each() -> None:
    settings = Settings(model="new", baseline="old")
    with engine(LlamaServer(script)) as old, engine(LlamaServer(script)) as new:
        sides = {Role.BASELINE: old, Role.CANDIDATE: new}
        duel = compare_speed(settings, pin(settings, {}), sides.__getitem__, BenchRequest(20, 11, 3))

    assert not duel.reloaded
