"""What real llama.cpp tells of how far it is."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path

import pytest

from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from tests import ggufs
from tests.ggufs import END

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ggufs.write_random_llama(tmp_path_factory.mktemp("model") / "endless.gguf", likely={END: -50.0})


def test_every_step_of_a_model(path: Path) -> None:
    from pytest_quantcheck.engines.llama import LlamaModel

    told: list[tuple[int, int]] = []
    model = LlamaModel(str(path), LoadSettings(context=2048), lambda doing, done=0, of=0: told.append((done, of)))
    try:
        assert (100, 100) in told
        told.clear()
        reply = model.complete(CompletionRequest("word " * 200, Generation(max_tokens=5)))
        numbers = [step for step in told if step[0]]
        prompt = reply.usage.prompt
        assert 512 < prompt <= 1024
        assert numbers == [(512, prompt), (prompt, prompt), *((token, 0) for token in range(1, 6))]
        told.clear()
        chunks = len(model.fidelity(FidelityRequest("words", "word " * 400, window=64)).chunks)
        numbers = [step for step in told if step[0]]
        assert numbers[-1] == (chunks, chunks)
        assert len(numbers) > 1
        assert all(before < after for before, after in pairwise(numbers))
    finally:
        model.close()


def test_signs_of_life_carry_the_numbers_and_no_more_of_them() -> None:
    from pytest_quantcheck.engines.child import Child

    out = io.StringIO()
    child = Child(out)
    for token in range(10_000):
        child.progress("", token)
    child.progress("rendering")
    child.progress("")
    signs = [json.loads(line) for line in out.getvalue().splitlines()]
    assert signs[0] == {"alive": "", "done": 0, "of": 0}
    assert signs[-1] == {"alive": "", "done": 9999, "of": 0}
    assert len(signs) < 100


def test_the_keeper_passes_them_on(path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    engine = ProcessEngine(path, LoadSettings(context=8192), tell=lambda *sign: told.append(sign))
    try:
        reply = engine.complete(CompletionRequest("word", Generation(max_tokens=2000, loop=None)))
        engine.tokenize("a")
    finally:
        engine.close()

    operations = [op for op, *_ in told]
    assert list(dict.fromkeys(operations)) == ["load", "complete", "", "tokenize"]
    assert told[-1] == ("", 0, 0)
    tokens = [done for op, done, of in told if op == "complete" and done and not of]
    assert tokens == sorted(tokens)
    assert 0 < tokens[-1] <= reply.usage.total == 2000
