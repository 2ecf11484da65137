"""quant_fidelity: limits of one file, three comparisons with the baseline, and the reason of each."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.checks.base import CheckCannot
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.fidelity import quant_fidelity
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.scripted import ScriptedEngine
from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity import Part
from pytest_quantcheck.measuring import fidelity_request
from pytest_quantcheck.probe import Probe
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.verdict import judge


def _no_bench(_request: BenchRequest) -> Bench:
    raise AssertionError("nobody asks for speed")


def found(
    kl: float | None = 0.02, *, units: int = 40, part: Part = "text", spread: float = 0.1, **more: Any
) -> Fidelity:
    """A measurement whose tokens are ``kl`` from the reference; perplexity and likeliest token follow from it."""
    chunks = []
    for number in range(units):
        wide = 1 + spread * (-1) ** number
        own = None if kl is None else 100 * kl * wide
        reference = None if kl is None else 200.0
        top = None if kl is None else round(100 - 100 * min(0.5, math.sqrt(kl)))
        chunks.append(Chunk(part, 100, 200.0 + (own or 0.0), reference, own, top))
    usual: dict[str, Any] = {"asked": "a", "prompt": "p", "covered": 1.0, "reference": "f16.gguf"}
    return Fidelity(more.pop("name", "stories"), tuple(chunks), **{**usual, **more})


def seen(*new: Fidelity, old: tuple[Fidelity, ...] = (), check: Any = None) -> CheckInput:
    baseline = None
    if old:
        scores = (check(CheckInput((), _no_bench, fidelities=old)),) if check is not None else ()
        baseline = Observation("x", Role.BASELINE, Status.OK, scores, fidelities=old)
    return CheckInput((), _no_bench, baseline, fidelities=new)


def judged(old: Fidelity, new: Fidelity, **keywords: Any) -> tuple[Score, Score]:
    check = quant_fidelity(**keywords)
    given = seen(new, old=(old,), check=check)
    assert given.baseline is not None
    return given.baseline.scores[0], check(given)


def test_a_file_that_is_much_further_away_is_a_regression_and_the_reason_is_readable() -> None:
    before, score = judged(found(0.015), found(0.102))

    assert (before.value, before.answer, before.why) == (1.0, "", "nothing to compare with")
    assert (score.value, score.answer) == (0.0, "regression")
    assert score.why == (
        "stories: KL to f16.gguf 0.1020 ± 0.0028 against the baseline's 0.015: 6.8 times, limit 1.25: regression; "
        "stories: perplexity +9.09 % (+8.83 to +9.35) against the baseline, limit +1 %: regression; "
        "stories: same likeliest token -20 points (-20 to -20) against the baseline, limit -1: regression"
    )


def test_a_file_that_is_as_near_is_no_regression() -> None:
    _, score = judged(found(0.02), found(0.021))

    assert (score.value, score.answer) == (1.0, "no-regression")
    assert score.why.startswith("stories: KL to f16.gguf 0.02100 ± 0.00057 against the baseline's 0.02: 1.05 times")


def test_what_is_negligible_is_said_so() -> None:
    _, score = judged(found(0.0001), found(0.002), perplexity_margin=0.1, same_top_margin=0.2)

    assert score.answer == "no-regression"
    assert "0.002000 ± 0.000054 against the baseline's 0.0001, negligible below 0.005: no regression" in score.why


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ({"units": 10}, {"units": 10}, "stories: cannot tell from 10 chunks; a verdict takes 20 or more"),
        ({}, {"kl": 0.0235, "spread": 1.0}, "cannot tell (about "),
        ({"itself": True, "kl": 0.0}, {}, "cannot tell (the baseline is that reference itself, so this is a distance"),
        ({"covered": 0.97}, {"covered": 0.97}, "cannot tell (its store keeps 97.0 % of the probability, so this is a "),
        ({"asked": "b"}, {}, "stories: cannot tell: the baseline read another text"),
        ({"prompt": "q"}, {}, "stories: cannot tell: the two files read other tokens"),
        ({"units": 30}, {}, "stories: cannot tell: the two files read other tokens"),
    ],
)
def test_when_nobody_can_tell(old: dict[str, Any], new: dict[str, Any], why: str) -> None:
    _, score = judged(found(**old), found(**new), perplexity_margin=0.1, same_top_margin=0.2)

    assert (score.value, score.answer) == (1.0, "cannot-tell")
    assert why in score.why


def test_a_distance_from_the_baseline_itself_is_still_judged_by_its_perplexity() -> None:
    _, score = judged(found(0.0, itself=True), found(0.1))

    assert (score.answer, round(score.value, 2)) == ("regression", 0.67)
    assert score.why.startswith("stories: perplexity +10.5 %")
    assert score.why.count("the baseline is that reference itself") == 1


def test_perplexity_alone_without_a_reference() -> None:
    old = found(None)
    new = replace(old, chunks=tuple(replace(chunk, nll=chunk.nll + 5) for chunk in old.chunks))

    assert judged(old, old)[1].answer == "no-regression"
    score = judged(old, new)[1]
    assert (score.answer, score.value) == ("regression", 0.0)
    assert score.why == "stories: perplexity +5.13 % (+5.13 to +5.13) against the baseline, limit +1 %: regression"


@pytest.mark.parametrize(
    ("keywords", "value", "why"),
    [
        ({"kl": 0.05}, 1.0, "stories: KL to f16.gguf 0.02000 ± 0.00054, limit 0.05: kept"),
        ({"kl": 0.0202}, 0.0, "limit 0.0202: missed"),  # the upper end of the interval is beyond it
        ({"perplexity_ratio": 1.03}, 1.0, "stories: perplexity 1.02 to 1.021 times that of f16.gguf, limit 1.03: kept"),
        ({"perplexity_ratio": 1.0202}, 0.0, "limit 1.0202: missed"),
        ({"same_top": 0.86}, 1.0, "stories: same likeliest token as f16.gguf 86.0 % ± 0.0, limit 86 %: kept"),
        ({"same_top": 0.9}, 0.0, "limit 90 %: missed"),
        ({"kl": 0.05, "same_top": 0.9}, 0.5, "missed; stories: KL"),
    ],
)
def test_limits_of_one_file(keywords: dict[str, Any], value: float, why: str) -> None:
    score = quant_fidelity(vs_baseline=False, **keywords)(seen(found()))

    assert (score.value, score.answer) == (value, "")
    assert why in score.why


def test_a_limit_is_not_kept_by_a_lower_bound() -> None:
    score = quant_fidelity(vs_baseline=False, kl=0.05)(seen(found(covered=0.9)))

    assert score.value == 0.0
    assert score.why.endswith("missed (its store keeps 90.0 % of the probability, so this is a lower bound; "
                              "--quant-reference-vocabulary=all keeps every token)")  # fmt: skip


def test_one_chunk_shows_nothing() -> None:
    assert quant_fidelity(vs_baseline=False, kl=5)(seen(found(units=1))).value == 0.0


def test_a_limit_without_a_reference_is_skipped() -> None:
    with pytest.raises(CheckCannot, match="need --quant-reference"):
        quant_fidelity(kl=0.05)(seen(found(None)))


def test_a_limit_that_both_miss_does_not_hide_what_was_lost() -> None:
    before, score = judged(found(0.015), found(0.102), kl=0.001)

    assert before.value == 0.75
    assert score.value < before.value
    assert score.answer == "regression"


def test_a_limit_that_only_the_baseline_misses_does_not_outweigh_what_was_lost() -> None:
    check = quant_fidelity(kl=0.05)
    far, near = found(0.2, part="answer"), found(0.001, part="answer")
    text = found()
    lost = replace(text, chunks=tuple(replace(chunk, nll=chunk.nll + 5) for chunk in text.chunks))
    given = seen(lost, near, old=(text, far), check=check)
    assert given.baseline is not None

    score = check(given)

    assert (given.baseline.scores[0].value, score.answer) == (7 / 8, "regression")
    assert score.value == 6 / 8


@given(st.sampled_from([0.001, 0.01, 0.03, 0.2]), st.sampled_from([0.001, 0.01, 0.03, 0.2]), st.floats(0.0005, 0.3))
def test_a_regression_always_lowers_the_value(old: float, new: float, limit: float) -> None:
    """Even where the candidate keeps a limit that the baseline misses in another part."""
    check = quant_fidelity(kl=limit)
    before = (found(old), found(new, part="answer"))
    after = (found(new), found(old, part="answer"))
    given = seen(*after, old=before, check=check)
    assert given.baseline is not None
    score = check(given)
    candidate = Observation("x", Role.CANDIDATE, Status.OK, (score,), fidelities=after)

    assert (judge(given.baseline, candidate).word == "regressed") is (score.answer == "regression")


def test_every_part_of_every_text_is_a_condition_of_its_own() -> None:
    chats = found(part="thought")
    chats = replace(chats, name="chats", chunks=chats.chunks + found(part="answer").chunks)
    worse = replace(chats, chunks=chats.chunks[:40] + found(0.2, part="answer").chunks)
    check = quant_fidelity()

    score = check(seen(found(), worse, old=(found(), chats), check=check))

    assert (score.answer, round(score.value, 2)) == ("regression", 0.67)
    assert score.why.startswith("chats, answer: KL")
    assert "chats, thought: KL" in score.why
    only = quant_fidelity(parts=["thought"])
    assert only(seen(found(), worse, old=(found(), chats), check=only)).answer == "no-regression"


def test_two_references() -> None:
    _, score = judged(found(0.02, reference="old-f16.gguf"), found(0.02, reference="qat-f16.gguf"))

    assert "KL to qat-f16.gguf 0.02000 ± 0.00054 against the baseline's 0.02 to old-f16.gguf" in score.why


@pytest.mark.parametrize(
    ("keywords", "why"),
    [
        ({"vs_baseline": False}, "no condition; allowed: kl, perplexity_ratio, same_top, vs_baseline"),
        ({"kl": 0}, "kl=0; allowed: a number above 0"),
        ({"perplexity_ratio": "1"}, "perplexity_ratio='1'; allowed: a number above 0"),
        ({"same_top": 95}, "same_top=95; allowed: a number from 0 to 1"),
        ({"parts": "answer"}, "parts='answer'; allowed: a list of text, thought, answer"),
        ({"parts": ["json"]}, "parts=['json']; allowed: a list of text, thought, answer"),
        ({"vs_baseline": "no"}, "vs_baseline='no'; allowed: True, False"),
        ({"kl_margin": -1}, "kl_margin=-1; allowed: a number above 0"),
    ],
)
def test_what_cannot_be_meant(keywords: dict[str, Any], why: str) -> None:
    with pytest.raises(MarkerError) as caught:
        quant_fidelity(**keywords)

    assert str(caught.value) == why


def test_a_test_that_measured_nothing() -> None:
    assert quant_fidelity()(seen()).why == "the test asked the model nothing"
    assert quant_fidelity(parts=["answer"])(seen(found())).why == "no answer in it"


def test_figures_for_an_author() -> None:
    both = found(0.02)
    both = replace(both, chunks=both.chunks + found(0.1, part="answer", units=10).chunks, kl_tail={"text": {"99": 1.0}})

    assert both.parts == ("text", "answer")
    assert both.only("text").kl == pytest.approx(0.02)
    assert both.only("answer").kl_tail == {}
    assert both.kl == pytest.approx((40 * 0.02 + 10 * 0.1) / 50)
    assert both.only("text").perplexity == pytest.approx(math.exp(2.02))
    assert both.reference_perplexity == pytest.approx(math.exp(2))
    assert both.only("text").perplexity_ratio == pytest.approx(math.exp(0.02))
    assert both.only("text").same_top == pytest.approx(0.86)
    assert both.tokens == 5000
    alone = found(None)
    assert (alone.kl, alone.same_top, alone.perplexity_ratio) == (None, None, None)
    assert alone.perplexity == pytest.approx(math.exp(2))
    assert Fidelity("x", ()).perplexity is None
    assert Fidelity("x", (Chunk("text", 1, 1e6),)).perplexity == math.inf


@pytest.mark.parametrize(
    ("text", "more", "line"),
    [
        ("", {}, "the text is empty"),
        ([], {}, "[] is no text, no path and no list of conversations"),
        ([[{"role": "user", "content": "x"}]], {}, "the last message of conversation 1 is not the assistant's"),
        ([[]], {}, "the last message of conversation 1 is not the assistant's"),
        (["x"], {}, "conversation 1 is no list of messages: 'x'"),
        (Path("nothing.txt"), {}, "nothing.txt: cannot be read: No such file or directory"),
        (Path("bytes.txt"), {}, "bytes.txt: no UTF-8 text (byte 1)"),
        (Path("blank.txt"), {}, "blank.txt: the text is empty"),
        ("x", {"window": 1}, "window=1; allowed: a whole number from 8 to 1000000000"),
        ("x", {"name": ""}, "name=''; allowed: a text, not empty"),
    ],
)
def test_what_cannot_be_measured(
    text: Any, more: dict[str, Any], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bytes.txt").write_bytes(b"a\xff")
    Path("blank.txt").write_text("\n", encoding="utf-8")

    with pytest.raises(MarkerError) as caught:
        fidelity_request(text, more.get("name"), more.get("window", 512))

    assert str(caught.value) == f"quant.fidelity: {line}"


def test_what_is_measured_has_a_name() -> None:
    chat = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]

    assert fidelity_request("x", None, 512).name == "text"
    assert fidelity_request([chat], None, 512).conversations == (tuple(chat),)
    assert fidelity_request([chat], None, 512).name == "conversations"
    assert fidelity_request([chat], "chats", 512).name == "chats"
    assert fidelity_request("x", "a\n\x1b[31mb", 512).name == "a \\x1b[31mb"


def test_the_same_text_is_measured_once_and_kept_once_under_each_name() -> None:
    asked: list[str] = []

    def measure(request: FidelityRequest) -> Fidelity:
        asked.append(request.text)
        return found(name="?", asked="")

    probe = Probe(ScriptedEngine(lambda _: "", fidelity=measure), Role.CANDIDATE, Settings())
    for run in range(2):
        probe.begin_run(run)
        for name in ("one", "one", "two"):
            probe.fidelity("x", name=name)

    assert asked == ["x"]
    assert [one.name for one in probe.measured.fidelities] == ["one", "two"]
    assert all(one.asked for one in probe.measured.fidelities)


def test_an_engine_of_a_users_own_may_not_measure() -> None:
    with pytest.raises(EngineCannot):
        Probe(ScriptedEngine(lambda _: ""), Role.CANDIDATE, Settings()).fidelity("x")
