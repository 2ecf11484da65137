"""Haystacks by a real tokenizer: exact lengths, and a grid from end to end on the tiny model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.haystack import FILLERS
from pytest_quantcheck.haystack import Hay
from pytest_quantcheck.haystack.kinds import KINDS

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

MODELS = Path(__file__).parents[2] / "example_suites" / "tiny" / "models"
GRID = """
from pytest_quantcheck import haystack

@haystack.grid("single", tokens=[701, 1000], depths=[0, 1], answer_tokens=100)
def test_recall(quant, hay):
    quant.chat(hay.prompt(quant), thinking=False, max_tokens=8)

@haystack.grid("near", tokens=900, depths=0.5, margin=True)
def test_margin(quant, hay):
    choice = quant.choose(hay.prompt(quant), hay.choices())
    assert len(choice.choices) == 8
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[ProcessEngine]:
    engine = ProcessEngine(MODELS / "tiny-q8_0.gguf", LoadSettings(), timeout=60)
    yield engine
    engine.close()


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_exact(engine: ProcessEngine, kind: str, filler: str) -> None:
    for tokens in (1000, 1001, 4096):
        assert len(engine.tokenize(Hay(kind, tokens, 0.5, filler=filler).prompt(engine))) == tokens


def test_a_long_text_is_exact_too(engine: ProcessEngine) -> None:
    assert len(engine.tokenize(Hay("uuid", 50_003, 0.5).prompt(engine))) == 50_003


def test_a_grid_on_the_tiny_model(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(GRID)
    model, baseline = MODELS / "tiny-q8_0.gguf", MODELS / "tiny-f16.gguf"
    options = [f"--quant-model={model}", f"--quant-baseline={baseline}", "--quant-report=report.json"]

    pytester.runpytest("-p", "no:randomly", *options)

    report = json.loads((pytester.path / "report.json").read_text(encoding="ascii"))
    replies = {}
    for pair in report["pairs"]:
        old, new = pair["baseline"], pair["candidate"]
        assert {old["error"], new["error"]} == {""}
        asked = {one["asked"] for side in (old, new) for one in side["replies"] + side["choices"]}
        assert len(asked) == 1, "both sides are asked the same"
        for reply in new["replies"]:
            replies[int(pair["pair"].split("-")[1])] = reply["usage"]["prompt"]
        [recall] = [score for score in new["scores"] if score["check"] == "recall"]
        assert "facts stand in the answer" in recall["why"] or recall["why"].startswith("probability 0.")
    # what the chat template adds is the same for every length
    assert len(report["pairs"]) == 5
    assert replies[1000] - replies[701] == 299
    assert {role["conditions"]["context"] for role in report["roles"].values()} == {8192}


def test_what_the_model_cannot_hold_is_refused_before_it_is_loaded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(GRID.replace("900", "8000"))

    result = pytester.runpytest("-p", "no:randomly", f"--quant-model={MODELS / 'tiny-q8_0.gguf'}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: *test_margin[[]near-8000-0.5[]]: *8256 tokens, the candidate was trained for 8192*"]
    )
