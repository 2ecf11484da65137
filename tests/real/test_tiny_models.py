"""The bundled files are what their card says: rebuilt bit for bit, of equal format, disclosed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from pytest_quantcheck import ChatRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.gguf_card import read_card

SUITE = Path(__file__).parents[2] / "example_suites" / "tiny"
MODELS = SUITE / "models"
NAMES = ["f16", "q8_0", "q4_k_m", "q4_0", "qat-q4_0", "plain-f16", "plain-q4_0"]


def path_of(name: str) -> Path:
    return MODELS / f"tiny-{name}.gguf"


def test_all_files_are_there_and_small() -> None:
    assert sorted(path.name for path in MODELS.glob("*.gguf")) == sorted(path_of(name).name for name in NAMES)
    assert sum(path_of(name).stat().st_size for name in NAMES) < 28e6


@pytest.mark.parametrize(
    ("source", "preset", "made"),
    [
        ("f16", "q8_0", "q8_0"),
        ("f16", "q4_k_m", "q4_k_m"),
        ("f16", "q4_0", "q4_0"),
        ("plain-f16", "q4_0", "plain-q4_0"),
    ],
)
def test_ptq_files_are_rebuilt_bit_for_bit(source: str, preset: str, made: str, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"

    command = [sys.executable, "-m", "training.quantize", str(path_of(source)), preset, str(out)]
    subprocess.run(command, cwd=SUITE, check=True, capture_output=True)

    assert out.read_bytes() == path_of(made).read_bytes()


def test_the_two_q4_0_files_have_identical_tensor_type_tables() -> None:
    tables = [
        [(tensor.name, tensor.tensor_type, tuple(tensor.shape)) for tensor in gguf.GGUFReader(path_of(name)).tensors]
        for name in ("q4_0", "qat-q4_0")
    ]

    assert tables[0] == tables[1]
    kinds = {kind for _, kind, _ in tables[0]}
    assert kinds == {gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.F32}
    assert all(kind == gguf.GGMLQuantizationType.Q4_0 for _, kind, shape in tables[0] if len(shape) == 2)


def test_the_qat_weights_are_fixed_points_of_q4_0_rounding() -> None:
    q4_0 = gguf.GGMLQuantizationType.Q4_0
    checked = 0
    for tensor in gguf.GGUFReader(path_of("qat-q4_0")).tensors:
        if tensor.tensor_type == q4_0:
            weights = gguf.quants.dequantize(tensor.data, q4_0)
            again = gguf.quants.dequantize(gguf.quants.quantize(weights, q4_0), q4_0)
            assert np.array_equal(weights, again), tensor.name
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("name", NAMES)
def test_context_template_and_license(name: str) -> None:
    card = read_card(path_of(name))

    assert card.context_length is not None
    assert card.context_length >= 8192
    assert "<think>" in (card.chat_template or "")
    assert card.metadata["general.license"] == "apache-2.0"


@pytest.mark.parametrize("name", ["f16", "q8_0", "q4_k_m", "q4_0", "qat-q4_0"])
def test_injected_outliers_are_disclosed_in_the_file_and_on_every_page(name: str) -> None:
    assert "artificial outlier columns" in str(read_card(path_of(name)).metadata["general.description"])
    for page in (MODELS / "README.md", SUITE / "README.md", SUITE.parents[1] / "README.md"):
        assert "injected" in page.read_text(encoding="utf-8").lower(), page


def test_the_injection_does_not_change_the_unquantized_function() -> None:
    answers = []
    for name in ("f16", "plain-f16"):
        engine = ProcessEngine(path_of(name), LoadSettings())
        try:
            questions = ["What is 27 + 45?", "Where is Oslo?", "List 3 animals, one per line."]
            answers.append(
                [
                    engine.chat(
                        ChatRequest(({"role": "user", "content": question},), (), Generation(max_tokens=64))
                    ).raw
                    for question in questions
                ]
            )
        finally:
            engine.close()

    assert answers[0] == answers[1]


def rates(title: str) -> dict[str, dict[str, float]]:
    """The card's table below this line: figures by file and column."""
    text = (MODELS / "README.md").read_text(encoding="utf-8")
    assert "@" not in text, "a placeholder was left"
    head, _, *lines = text.partition(f"\n{title}")[2].partition("\n\n")[2].partition("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in [head, *lines]]
    return {row[0]: dict(zip(cells[0][1:], map(float, row[1:]), strict=True)) for row in cells[1:]}


def test_the_card_holds_what_was_measured_of_every_file() -> None:
    thinking, at_once = rates("With thinking"), rates("Without thinking")

    assert list(thinking) == list(at_once) == [f"tiny-{name}" for name in NAMES]
    ptq, qat, f16 = (thinking[f"tiny-{name}"] for name in ("q4_0", "qat-q4_0", "f16"))
    sizes = ("MB", "bits per weight", "perplexity", "mean")
    assert sum(ptq[task] < f16[task] - 10 for task in f16 if task not in sizes) >= 3
    assert qat["mean"] >= 0.95 * f16["mean"]
    assert at_once["tiny-qat-q4_0"]["mean"] >= 0.95 * at_once["tiny-f16"]["mean"]
    assert abs(thinking["tiny-plain-f16"]["mean"] - f16["mean"]) <= 1


def test_the_tokenizer_of_the_training_is_that_of_llama_cpp(tiny: Callable[[str], Any]) -> None:
    tasks, tokenizer = tiny("tasks"), tiny("training.tokenizer")
    merges = gguf.GGUFReader(path_of("f16")).fields["tokenizer.ggml.merges"].contents()
    own = tokenizer.Tokenizer([tuple(merge.split(" ")) for merge in merges])
    engine = ProcessEngine(path_of("f16"), LoadSettings())
    try:
        for task in tasks.TASKS:
            for split, seed in product(("train", "heldout"), range(8)):
                case = tasks.generate(task, split, seed)
                asked = str(case.messages[-1]["content"])
                text = f"<|im_start|>user\n{asked}<|im_end|>\n<think>{case.thinking}</think>{case.answer}<|im_end|>\n"
                assert own.encode(text) == engine.tokenize(text)
                assert own.decode(own.encode(text)) == text
    finally:
        engine.close()


def test_no_task_is_trained_on_what_it_is_tested_with(tiny: Callable[[str], Any]) -> None:
    """Long texts apart, whose chance sentences never repeat, no held-out question occurs in training."""
    tasks = tiny("tasks")
    for task in tasks.TASKS:
        if not task.endswith("_long"):
            seen, asked = (
                {str(tasks.generate(task, split, seed).messages[-1]["content"]) for seed in range(2000)}
                for split in ("train", "heldout")
            )
            if task != "chat":
                assert not seen & asked, task
            assert asked
