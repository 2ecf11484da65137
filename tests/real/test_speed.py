"""Speed measured on tiny random models through real llama.cpp: counts, depth, cold and warm, a whole duel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_quantcheck.contest import compare_speed
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.records import Role
from pytest_quantcheck.settings import Settings
from tests import ggufs
from tests.ggufs import END

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

SHORT = BenchRequest(prompt_tokens=40, generate_tokens=8, repeats=2, warmup=3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # it would end at once, if it were asked
    return ggufs.write_random_llama(tmp_path_factory.mktemp("speed") / "m.gguf", likely={END: 50.0})


@pytest.fixture
def engine(model: Path) -> Iterator[ProcessEngine]:
    made = ProcessEngine(model, LoadSettings(), timeout=60)
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(model: Path) -> Iterator[ProcessEngine]:
    """One engine for all that leaves no trace."""
    made = ProcessEngine(model, LoadSettings(), timeout=60)
    yield made
    made.close()


def test_every_repetition_is_kept_and_the_warm_up_apart(engine: ProcessEngine) -> None:
    bench = engine.bench(SHORT)

    assert (bench.prompt_tokens, bench.generated_tokens, bench.depth) == (40, 8, 0)
    assert len(bench.prefill_tok_s) == len(bench.decode_tok_s) == len(bench.ttft_s) == 2
    assert min(*bench.prefill_tok_s, *bench.decode_tok_s) > 1
    # the first token comes after the prompt was read
    assert all(ttft > 40 / prefill for ttft, prefill in zip(bench.ttft_s, bench.prefill_tok_s, strict=True))
    assert 2 <= bench.warmup <= 3 or not bench.settled
    assert bench.cold_prefill_tok_s is not None


def test_only_the_first_prompt_after_loading_is_cold(engine: ProcessEngine) -> None:
    engine.complete(CompletionRequest("a", Generation(max_tokens=1)))
    assert engine.bench(SHORT).cold_prefill_tok_s is None
    engine.close()
    assert engine.bench(SHORT).cold_prefill_tok_s is not None
    assert engine.bench(SHORT).cold_prefill_tok_s is None


def test_without_warm_up_nothing_is_discarded(plain: ProcessEngine) -> None:
    bench = plain.bench(BenchRequest(40, 8, repeats=1, warmup=0))
    assert (bench.warmup, bench.settled, bench.cold_prefill_tok_s) == (0, True, None)
    assert plain.bench(BenchRequest(40, 8, repeats=1, warmup=1)).settled is False  # one round says nothing


def test_depth(plain: ProcessEngine) -> None:
    deep = plain.bench(BenchRequest(40, 8, repeats=3, warmup=0, depth=700))
    assert (deep.depth, len(deep.decode_tok_s)) == (700, 3)
    # as deep as there is room
    whole = plain.bench(BenchRequest(40, 8, repeats=1, warmup=0, depth=None))
    assert whole.depth == 2048 - 48


def test_keys_and_values_slow_decoding_down(plain: ProcessEngine) -> None:
    # more of them than of weights: far beyond what noise does
    near, far = (
        max(plain.bench(BenchRequest(8, 16, repeats=5, warmup=1, depth=depth)).decode_tok_s) for depth in (0, 2000)
    )
    assert far < 0.8 * near


def test_an_answer_between_two_measurements_changes_neither(plain: ProcessEngine) -> None:
    request = CompletionRequest("The harbour", Generation(max_tokens=12))
    before = plain.complete(request).text
    plain.bench(BenchRequest(40, 8, repeats=1, warmup=0, depth=300))
    assert plain.complete(request).text == before
    assert plain.bench(BenchRequest(40, 8, repeats=1, warmup=0, depth=300)).depth == 300


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompt_tokens": 0}, "the speed probe needs at least one"),
        ({"generate_tokens": 0}, "the speed probe needs at least one"),
        ({"repeats": 0}, "the speed probe needs at least one"),
        ({"warmup": -1}, "the speed probe needs at least one"),
        ({"depth": -1}, "the speed probe needs at least one"),
        (
            {"depth": 2001},
            "the speed probe needs 2049 tokens of context, the model has 2048; lower prompt_tokens or depth",
        ),
        ({"depth": None, "prompt_tokens": 2041}, "the speed probe needs 2049 tokens"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, int], words: str, plain: ProcessEngine) -> None:
    with pytest.raises(EngineRefused, match=words):
        plain.bench(BenchRequest(**{"prompt_tokens": 40, "generate_tokens": 8} | change))


@pytest.mark.parametrize(("memory", "pairs"), [(None, 1), (1 << 40, 3)], ids=["one at a time", "both loaded"])
def test_a_duel_of_two_files(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int | None, pairs: int
) -> None:
    other = ggufs.write_random_llama(tmp_path / "q.gguf", weights="Q4_0")
    engines = {
        role: ProcessEngine(path, LoadSettings(), timeout=60)
        for role, path in ((Role.BASELINE, model), (Role.CANDIDATE, other))
    }
    monkeypatch.setattr("pytest_quantcheck.contest.available_memory", lambda: memory)
    try:
        found = compare_speed(
            Settings(model="c", baseline="b"), Pins(), engines.__getitem__, BenchRequest(40, 8, repeats=pairs)
        )
    finally:
        for engine in engines.values():
            engine.close()

    assert found.reloaded == (memory is None)
    assert found.order in ("BC",) if found.reloaded else ("BCCBBC", "BCCBBCCBBCCB")
    assert len(found.baseline) == len(found.candidate) == len(found.order) // 2
    assert all(len(bench.decode_tok_s) == 1 for bench in (*found.baseline, *found.candidate))
    # the candidate was loaded once to see whether both fit
    assert {role.value: engine.loads for role, engine in engines.items()} == {
        "baseline": 1,
        "candidate": 1 + found.reloaded,
    }
    for side in (found.baseline, found.candidate):
        assert [bench.cold_prefill_tok_s is not None for bench in side] == [True] + [False] * (len(side) - 1)
    assert found.copy_bytes_s is not None
