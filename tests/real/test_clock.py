"""A clock that jumps back while a model works: no crash, no negative time, no speed out of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

MODELS = Path(__file__).parents[2] / "example_suites" / "tiny" / "models"
ASKED = ChatRequest(({"role": "user", "content": "What is 27 + 45?"},), generation=Generation(max_tokens=24))


@pytest.mark.parametrize("jumps", [[0.0, -5.0], [0.0, 0.001, 0.002, -5.0, 0.001], [0.0, 1.0, -9.0]])
def test_no_time_is_negative(monkeypatch: pytest.MonkeyPatch, jumps: list[float]) -> None:
    from pytest_quantcheck.engines.llama import LlamaModel

    def clock() -> Iterator[float]:
        now = 100.0
        while True:
            for jump in jumps:
                now += jump
                yield now

    ticks = clock()
    model = LlamaModel(str(MODELS / "tiny-q4_0.gguf"), LoadSettings(context=512), lambda *_: None)
    try:
        steady = model.chat(ASKED)
        monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
        reply = model.chat(ASKED)
        with pytest.raises(EngineRefused, match=r"^the clock did not go forward while the speed was measured; run the"):
            model.bench(BenchRequest(prompt_tokens=8, generate_tokens=4, repeats=2, warmup=1))
    finally:
        monkeypatch.undo()
        model.close()

    assert reply.text == steady.text
    timings = reply.timings
    assert 0 <= timings.first_token_s <= timings.total_s
    assert timings.first_visible_s is None or timings.first_token_s <= timings.first_visible_s <= timings.total_s
    assert reply.decode_tok_s is None or reply.decode_tok_s > 0
    assert reply.useful_tok_s is None or reply.useful_tok_s >= 0
