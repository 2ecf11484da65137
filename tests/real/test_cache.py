"""Answers that are kept between runs, with real llama.cpp on the bundled tiny models."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.cache import Cache
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.cached import CachedEngine
from pytest_quantcheck.engines.process import ProcessEngine

MODELS = Path(__file__).parents[2] / "example_suites/tiny/models"
ASKED = ChatRequest(({"role": "user", "content": "What is 27 + 45?"},), generation=Generation(max_tokens=24))
SETTINGS = LoadSettings(context=512)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(MODELS / "tiny-q4_0.gguf", tmp_path / "a.gguf"))


@pytest.fixture
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., CachedEngine]:
    def make(file: Path, settings: LoadSettings = SETTINGS) -> CachedEngine:
        made = CachedEngine(ProcessEngine(file, settings), settings, Cache(tmp_path / "cache"))
        request.addfinalizer(made.close)
        return made

    return make


def test_the_second_engine_answers_without_loading(file: Path, engine: Callable[..., CachedEngine]) -> None:
    choice = ChoiceRequest(("72", "99"), ASKED.messages)
    first = engine(file)
    answers = [first.chat(ASKED), first.choose(choice), first.tokenize("a b")]
    assert (first.loads, first.cached) == (1, 0)
    # another name, another place, more threads: the same answers
    moved = engine(Path(shutil.copy(file, file.with_name("b.gguf"))), replace(SETTINGS, threads=2))
    again = [moved.chat(ASKED), moved.choose(choice), moved.tokenize("a b")]

    assert again == [replace(answers[0], cached=True), *answers[1:]]  # type: ignore[type-var]
    assert (moved.loads, moved.cached, moved.peak_memory) == (0, 2, None)
    assert moved.facts == {**first.facts, "threads": 2}


def test_fidelity_is_kept_by_the_content_of_its_store(
    file: Path, engine: Callable[..., CachedEngine], tmp_path: Path
) -> None:
    text = FidelityRequest("story", "What is the name of the owl? " * 60, window=32)
    writing = engine(file)
    writing.fidelity(replace(text, write=str(tmp_path / "a.logp")))
    first = engine(file)
    found = [first.fidelity(text), first.fidelity(replace(text, store=str(tmp_path / "a.logp")))]
    moved = str(shutil.copy(tmp_path / "a.logp", tmp_path / "b.logp"))
    again = engine(file)

    assert [again.fidelity(replace(text, name="tale")), again.fidelity(replace(text, store=moved))] == [
        replace(found[0], name="tale"),
        found[1],
    ]
    assert (writing.loads, first.loads, again.loads, again.cached) == (1, 1, 0, 2)
    assert found[0].kl is None
    assert found[1].kl is not None
    again.fidelity(replace(text, window=16))
    assert again.loads == 1
    damaged = bytearray(Path(moved).read_bytes())
    damaged[-9] ^= 1
    Path(moved).write_bytes(damaged)
    for store, words in ((moved, "is damaged"), (str(tmp_path / "gone.logp"), "cannot be read")):
        with pytest.raises(EngineRefused, match=words):
            again.fidelity(replace(text, store=store))


@pytest.mark.parametrize(
    "asked",
    [
        replace(ASKED, messages=({"role": "user", "content": "What is 27 + 46?"},)),
        replace(ASKED, generation=replace(ASKED.generation, max_tokens=23)),
        replace(ASKED, generation=replace(ASKED.generation, seed=1)),
        replace(ASKED, generation=replace(ASKED.generation, thinking=False)),
    ],
    ids=["prompt", "budget", "seed", "thinking"],
)
def test_another_question_is_asked(asked: ChatRequest, file: Path, engine: Callable[..., CachedEngine]) -> None:
    engine(file).chat(ASKED)
    other = engine(file)
    other.chat(asked)

    assert (other.loads, other.cached) == (1, 0)


@pytest.mark.parametrize("change", ["context", "kv type", "template", "build", "one byte"])
def test_another_model_setting_or_build_is_asked(
    change: str, file: Path, engine: Callable[..., CachedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(file).chat(ASKED)
    settings = SETTINGS
    if change == "context":
        settings = replace(SETTINGS, context=1024)
    elif change == "kv type":
        settings = replace(SETTINGS, kv_type="q8_0")
    elif change == "template":
        settings = replace(SETTINGS, chat_template="{{ messages[0]['content'] }}")
    elif change == "build":
        monkeypatch.setenv("GGML_ANOTHER", "1")
    else:  # in the last tensor, where no fingerprint by samples looks
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
    other = engine(file, settings)
    other.chat(ASKED)

    assert (other.loads, other.cached) == (1, 0)


@pytest.mark.parametrize("loaded", [False, True])
def test_a_file_that_is_replaced_in_the_middle_is_refused(
    loaded: bool, file: Path, engine: Callable[..., CachedEngine], tmp_path: Path
) -> None:
    engine(file).chat(ASKED)
    running = engine(file)
    running.chat(ASKED if not loaded else replace(ASKED, generation=Generation(max_tokens=3)))
    os.replace(shutil.copy(MODELS / "tiny-q8_0.gguf", tmp_path / "new.gguf"), file)

    with pytest.raises(EngineRefused, match=r"^a\.gguf was replaced or changed while the run went on"):
        running.chat(ASKED)


def test_a_file_that_is_none_is_the_engine_s_to_refuse(tmp_path: Path, engine: Callable[..., CachedEngine]) -> None:
    with pytest.raises(EngineRefused, match=r"gone\.gguf"):
        engine(tmp_path / "gone.gguf").chat(ASKED)


SUITE = """
import pytest

@pytest.mark.parametrize("a", [3, 5])
def test_sum(quant, a):
    quant.chat(f"What is {a} + 4?", max_tokens=24)

@pytest.mark.quant_budget(wall_s=600)
def test_seconds(quant):
    quant.chat("What is 1 + 1?", max_tokens=24)
"""


def run(pytester: pytest.Pytester, *args: str) -> dict[str, Any]:
    options = ["-p", "no:randomly", f"--quant-model={MODELS / 'tiny-qat-q4_0.gguf'}", "--quant-report=r.json"]
    done = pytester.runpytest_subprocess(*options, f"--quant-baseline={MODELS / 'tiny-q8_0.gguf'}", *args)
    report: dict[str, Any] = json.loads((pytester.path / "r.json").read_text())
    report["out"] = done.stdout.str()
    return report


def used(report: dict[str, Any]) -> list[tuple[int, int]]:
    return [(role["use"]["loads"], role["use"]["cached"]) for role in report["roles"].values()]


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_a_second_run_loads_no_model(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(SUITE)
    first = run(pytester, *workers, "-k", "sum")
    second = run(pytester, *workers, "-k", "sum")

    assert all(loads > 0 and not cached for loads, cached in used(first))
    assert used(second) == [(0, 2), (0, 2)]
    assert "answers of an earlier run, and not its speed: 2 of the baseline, 2 of the candidate" in second["out"]
    assert [pair["verdict"] for pair in first["pairs"]] == [pair["verdict"] for pair in second["pairs"]]
    assert first["roles"]["candidate"]["conditions"] == second["roles"]["candidate"]["conditions"]
    assert first["verdict"] == second["verdict"]


@pytest.mark.parametrize(("what", "option"), [("seconds", "--quant-seed=0"), ("sum", "--quant-cache=off")])
def test_timed_budgets_and_no_cache_ask_anew(pytester: pytest.Pytester, what: str, option: str) -> None:
    pytester.makepyfile(SUITE)
    runs = [run(pytester, "-k", what, option) for _ in range(2)]

    assert all(loads > 0 and not cached for report in runs for loads, cached in used(report))


def test_a_cache_that_cannot_be_written_costs_only_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    pytester.makefile(".txt", taken="")
    report = run(pytester, "-k", "sum", "--quant-cache=taken.txt")

    assert report["exit_status"] == 0
    assert "answers could not be kept for the next run: taken.txt: Not a directory" in report["out"]
