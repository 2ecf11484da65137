"""When a model behind a proxy is loaded, waited for and let go."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import EngineHung
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.server import proxies
from pytest_quantcheck.engines.server.address import Address
from pytest_quantcheck.engines.server.engine import ServerEngine
from tests.fakes.base import Fake
from tests.fakes.base import Fault
from tests.fakes.base import Says
from tests.fakes.llama_swap import LlamaSwap
from tests.fakes.ollama import Ollama
from tests.fakes.openai import LlamaServer
from tests.fakes.openai import OpenAi
from tests.fakes.router import Router

REQUEST = ChatRequest(({"role": "user", "content": "yes"},), generation=Generation(max_tokens=9))


def script(prompt: str) -> Says:
    return Says((), (prompt,))


@contextmanager
def engines(fake: Fake, *names: str, timeout: float = 20, **how: Any) -> Generator[list[ServerEngine]]:
    with fake.running() as url:
        made = [ServerEngine(Address(url, name), LoadSettings(), timeout=timeout, **how) for name in names]
        try:
            yield made
        finally:
            for one in made:
                one.close()


def two() -> dict[str, Any]:
    return {name: LlamaServer(script, model=name) for name in ("a", "b")}


class Slow(LlamaSwap):
    """llama-swap that takes a while to load a model."""

    loading_s = 0.6

    def _upstream(self, path: str) -> tuple[OpenAi | None, str]:
        name = path.removeprefix("/upstream/").partition("/")[0]
        if name in self.behind and self.loaded != name:
            time.sleep(self.loading_s)
        return super()._upstream(path)


@pytest.mark.parametrize("shared", [False, True])
def test_a_model_that_loads_again_is_waited_for_as_the_first_time(shared: bool) -> None:
    with engines(Slow(two(), command="llama-server"), "a", "b", timeout=0.3, shared=shared) as (a, b):
        assert (a.card().served, b.card().served) == (True, True)
        assert a.chat(REQUEST).text == "yes"  # b took its place
        a.let_go()
        assert a.chat(REQUEST).text == "yes"


def test_with_the_model_at_hand_a_silence_is_no_loading() -> None:
    fake = Slow(two(), command="llama-server")
    with engines(fake, "a", timeout=0.3) as (a,):
        a.chat(REQUEST)
        fake.loaded = ""  # nobody told us
        with pytest.raises(EngineHung):
            a.chat(REQUEST)


def test_ollamas_first_answer_may_wait_for_the_model() -> None:
    class Loading(Ollama):
        def chat(self, body: dict[str, Any]) -> Any:
            if not self.loaded:
                time.sleep(0.6)
            return super().chat(body)

    with engines(Loading(script), "tiny:q4", timeout=0.3) as (made,):
        for _ in range(2):
            assert made.chat(REQUEST).text == "yes"
            made.let_go()


def test_a_server_that_is_busy_first_may_still_load() -> None:
    class Loading(OpenAi):
        def chat(self, body: dict[str, Any]) -> Any:
            time.sleep(0.6)
            return super().chat(body)

    fake = Loading(script)
    fake.fault = Fault("status", 1, status=503, body={"error": "busy"})
    with engines(fake, "", timeout=0.3) as (made,):
        assert made.chat(REQUEST).text == "yes"
        with pytest.raises(EngineHung):
            made.chat(REQUEST)


def test_a_router_holds_no_model_longer_than_it_is_asked() -> None:
    fake = Router(two(), slow=0)
    with engines(fake, "a", "b") as (a, b):
        for one in (a, b):
            one.card()
            one.let_go()
        assert fake.states == {"a": "unloaded", "b": "unloaded"}
        assert (a.foretold["kv_type"], b.foretold["kv_type"]) == ("q8_0", "q8_0")
        a.chat(REQUEST)
        assert fake.states == {"a": "loaded", "b": "unloaded"}
        a.close()
        b.chat(REQUEST)
        assert fake.states == {"a": "unloaded", "b": "loaded"}
        b.close()
        asked = fake.paths().count("/models/load")
        b.chat(REQUEST)  # it is not left to the router to load what it is asked for
        assert fake.paths().count("/models/load") == asked + 1
    assert fake.states == {"a": "unloaded", "b": "unloaded"}


def test_a_model_that_was_only_looked_at_is_let_go() -> None:
    fake = Router(two(), slow=0)
    with engines(fake, "a") as (a,):
        a.card()
    assert fake.states["a"] == "unloaded"


def test_what_others_use_too_is_left_loaded() -> None:
    for fake, name in ((Router(two(), slow=0), "a"), (LlamaSwap(two(), command="llama-server"), "a")):
        with engines(fake, name, shared=True) as (made,):
            made.chat(REQUEST)
        assert not any("unload" in path for path in fake.paths())


def test_letting_go_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "_GONE_S", 0.3)

    class Hanging(Ollama):
        hangs = ""

        def get(self, path: str) -> tuple[int, Any]:
            if path == self.hangs:
                time.sleep(1.5)
            return super().get(path)

        def post(self, path: str, body: dict[str, Any]) -> Any:
            if body.get("keep_alive") == 0 and path == self.hangs:
                time.sleep(1.5)
            return super().post(path, body)

    for hangs in ("/api/ps", "/api/generate"):
        fake = Hanging(script)
        fake.hangs = hangs
        with engines(fake, "tiny:q4") as (made,):
            made.chat(REQUEST)
            start = time.monotonic()
            made.let_go()
            assert time.monotonic() - start < 1.2
            fake.hangs = ""


def test_a_server_that_refuses_to_unload_is_asked_once() -> None:
    fake = Ollama(script)
    fake.fault = Fault("status", 9, status=503, body={}, path="/api/generate")
    with engines(fake, "tiny:q4") as (made,):
        made.chat(REQUEST)
        made.let_go()
        assert fake.paths().count("/api/generate") == 1


def test_waiting_for_a_busy_server_is_no_time_of_the_answer() -> None:
    fake = OpenAi(script)
    fault = Fault("status", 1, status=503, body={"error": {"message": "Loading model"}}, headers={"Retry-After": "1"})
    with engines(fake, "") as (made,):
        made.card()
        fake.fault = fault
        timings = made.chat(REQUEST).timings
    assert timings.total_s < 0.9
