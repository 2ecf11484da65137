"""quant_memory: limits, a budget, and an answer on the baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_quantcheck.checks.base import CheckCannot
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.memory import largest_words
from pytest_quantcheck.checks.memory import quant_memory
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Status
from tests.builders import score

TAKEN = Buffers(5_000_000, 2_000_000, 3_000_000, 0)
MEMORY = Memory(4096, "f16", TAKEN, TAKEN, 4096, peak=20_000_000, largest_context=2048, trained_context=8192)


@pytest.mark.parametrize(
    ("keywords", "value"),
    [
        ({"weights": "5 MB"}, 1.0),
        ({"weights": 4_999_999}, 0.0),
        ({"kv": "2 MB"}, 1.0),
        ({"kv": "1.9 MB"}, 0.0),
        ({"peak": "20 MB"}, 1.0),
        ({"peak": "19 MiB"}, 0.0),
        ({"fits": "10 MB"}, 1.0),
        ({"fits": 9_999_999}, 0.0),
        ({"weights": 1, "kv": "2 MB"}, 0.5),
        ({"weights": 1, "kv": 1, "peak": 1, "fits": "1 GB"}, 0.25),
        ({}, 1.0),
    ],
)
def test_the_share_of_the_limits_that_are_kept(keywords: dict[str, Any], value: float) -> None:
    result = score(quant_memory(**keywords), memory=MEMORY)

    assert (result.check, result.value, result.passed, result.answer) == ("memory", value, value == 1, "")


def test_every_limit_is_named_with_its_figure() -> None:
    result = score(quant_memory(weights="6 MB", kv="1 MB", fits="12 MB"), memory=MEMORY)

    assert result.why == (
        "weights 5.00 MB within 6.00 MB; KV 2.00 MB over 1.00 MB; weights 5.00 MB + KV 2.00 MB + compute 3.00 MB + "
        "output 0 B = 10.00 MB at 4096 tokens (KV type f16) within 12.00 MB; "
        "the largest context that fits has 2048 tokens"
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "peak 20.00 MB (resident) within"),
        ({"mapped": True}, "peak 20.00 MB (resident, mapped weights as far as they were touched) within"),
        ({"video": 5_000_000}, "peak 25.00 MB (resident, 5.00 MB on graphics devices) within"),
    ],
)
def test_it_is_said_what_a_peak_is_made_of(more: dict[str, Any], words: str) -> None:
    assert score(quant_memory(peak="1 GB"), memory=replace(MEMORY, **more)).why.startswith(words)


@pytest.mark.parametrize(
    ("largest", "words"),
    [
        (None, "the largest context that fits is not known"),
        (0, "no context fits"),
        (8192, "the largest context that fits has 8192 tokens, all that it was trained for"),
    ],
)
def test_the_largest_context_in_words(largest: int | None, words: str) -> None:
    assert largest_words(replace(MEMORY, largest_context=largest)) == words


def test_limits_judge_what_llama_cpp_reported_and_the_estimate_at_another_context() -> None:
    twice = replace(TAKEN, kv=4_000_000)
    loaded = replace(MEMORY, estimate=twice)

    assert score(quant_memory(kv="2 MB"), memory=loaded).value == 1.0
    assert score(quant_memory(kv="2 MB"), memory=replace(loaded, context=8192)).value == 0.0


def test_the_baseline_is_an_answer_and_not_a_limit() -> None:
    def before(memory: Memory | None) -> Observation:
        return Observation("p", Role.BASELINE, Status.OK, (), memory=memory)

    heavy = replace(MEMORY, measured=replace(TAKEN, weights=6_000_000))
    result = score(quant_memory(weights="6 MB"), memory=heavy, baseline=before(MEMORY))

    assert (result.value, result.answer) == (1.0, "regression")
    assert "against the baseline weights +1.00 MB, +10.0 % in all" in result.why
    assert score(quant_memory(), memory=MEMORY, baseline=before(heavy)).answer == "no-regression"
    assert score(quant_memory(), memory=MEMORY, baseline=before(None)).answer == ""


@pytest.mark.parametrize(
    ("keywords", "memory"),
    [
        ({"kv": 1}, replace(MEMORY, measured=replace(TAKEN, kv=None))),
        ({"peak": 1}, replace(MEMORY, peak=None)),
        ({"fits": "1 GB"}, replace(MEMORY, measured=replace(TAKEN, compute=None))),
    ],
)
def test_what_nobody_knows_is_no_failure(keywords: dict[str, Any], memory: Memory) -> None:
    with pytest.raises(CheckCannot, match="nobody can tell"):
        score(quant_memory(**keywords), memory=memory)


def test_what_is_known_may_be_too_much_already() -> None:
    blind = replace(MEMORY, measured=replace(TAKEN, compute=None))

    assert score(quant_memory(fits="6 MB"), memory=blind).value == 0.0


def test_the_engine_is_asked_for_the_context_and_the_budget() -> None:
    asked: list[MemoryRequest] = []

    def memory(request: MemoryRequest) -> Memory:
        asked.append(request)
        return MEMORY

    quant_memory(fits="1 GiB", context=8192)(CheckInput((), lambda _: None, memory=memory))  # type: ignore[arg-type, return-value]
    quant_memory(kv=5)(CheckInput((), lambda _: None, memory=memory))  # type: ignore[arg-type, return-value]

    assert asked == [MemoryRequest(8192, 1 << 30), MemoryRequest()]


def test_an_engine_that_cannot_tell_is_no_failure() -> None:
    with pytest.raises(EngineCannot, match="does not tell"):
        quant_memory()(CheckInput((), lambda _: None))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("keywords", "line"),
    [
        ({"weights": "5 G"}, "weights='5 G'; allowed: a number of bytes or a text like '12 GB' or '11.5 GiB'"),
        ({"fits": 0}, "fits=0; allowed: a number of bytes or a text like '12 GB' or '11.5 GiB'"),
        ({"peak": True}, "peak=True; allowed: a number of bytes or a text like '12 GB' or '11.5 GiB'"),
        ({"context": 0}, "context=0; allowed: a whole number from 1 to 10000000"),
    ],
)
def test_a_wrong_marker_is_one_line(keywords: dict[str, Any], line: str) -> None:
    with pytest.raises(MarkerError) as caught:
        quant_memory(**keywords)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    "wrong", [{"context": 0}, {"context": 10**7 + 1}, {"budget": -1}, {"context": True}, {"budget": "12 GB"}]
)
def test_a_request_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(EngineRefused, match="makes no sense"):
        MemoryRequest(**wrong)
