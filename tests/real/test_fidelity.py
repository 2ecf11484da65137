"""Perplexity and KL divergence through real llama.cpp, against those computed the shortest way."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.fidelity_store import Passage
from pytest_quantcheck.fidelity_store import read_store_header
from tests import ggufs
from tests.real.oracle import log_probabilities
from tests.real.test_llama import Models

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

Logs = Sequence[npt.NDArray[np.float64]]

WINDOW = 64
TEXT = "the total value of the red number is on the name and for the owl. " * 24
IM_START, IM_END, THINK, CLOSE = (
    ggufs.tokens().index(t) for t in ("<|im_start|>", "<|im_end|>", "<think>", "</think>")
)
TALKS: tuple[tuple[Message, ...], ...] = (
    (
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "<think>the red name</think>the total of it"},
    ),
    ({"role": "user", "content": "and you"}, {"role": "assistant", "content": "in the value"}),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    models = Models(tmp_path_factory.mktemp("fidelity"))
    yield models
    models.close()


@pytest.fixture(scope="module")
def reference(made: Models) -> ProcessEngine:
    return made.engine(weights="F32", seed=1)


@pytest.fixture(scope="module")
def other(made: Models) -> ProcessEngine:
    """Other weights, the same vocabulary."""
    return made.engine(weights="F32", seed=2)


def windows(engine: ProcessEngine, bos: int | None = None) -> list[list[int]]:
    """TEXT as llama-perplexity cuts it, spelled out."""
    ids = engine.tokenize(TEXT)
    ids = ids if bos is None else [bos, *ids]
    cut = [ids[at : at + WINDOW] for at in range(0, len(ids) - WINDOW + 1, WINDOW)]
    return cut if bos is None else [[bos, *chunk[1:]] for chunk in cut]


def nll(logs: Logs, texts: Sequence[Sequence[int]], places: Sequence[range]) -> list[float]:
    return [-sum(rows[at - 1][text[at]] for at in span) for rows, text, span in zip(logs, texts, places, strict=True)]


def kl(left: Logs, right: Logs, places: Sequence[range]) -> list[npt.NDArray[np.float64]]:
    return [
        np.array([(np.exp(a[at - 1]) * (a[at - 1] - b[at - 1])).sum() for at in span])
        for a, b, span in zip(left, right, places, strict=True)
    ]


def test_a_text_s_figures_are_those_of_plain_arithmetic(
    reference: ProcessEngine, other: ProcessEngine, tmp_path: Path
) -> None:
    store = tmp_path / "r.store"
    alone = reference.fidelity(FidelityRequest("words", TEXT, window=WINDOW, write=str(store)))
    beside = other.fidelity(FidelityRequest("words", TEXT, window=WINDOW, store=str(store)))

    texts = windows(reference)
    # six windows: four are read side by side, and two are left over
    assert len(texts) % 4
    places = [range(WINDOW // 2 + 1, WINDOW)] * len(texts)
    left, right = log_probabilities(reference.path, texts), log_probabilities(other.path, texts)
    divergences = kl(left, right, places)
    tokens = np.concatenate(divergences)
    assert [chunk.part for chunk in beside.chunks] == ["text"] * len(texts)
    assert [chunk.tokens for chunk in beside.chunks] == [WINDOW // 2 - 1] * len(texts)
    assert [chunk.nll for chunk in alone.chunks] == pytest.approx(nll(left, texts, places), rel=1e-4)
    assert [chunk.nll for chunk in beside.chunks] == pytest.approx(nll(right, texts, places), rel=1e-4)
    assert [chunk.reference_nll for chunk in beside.chunks] == [chunk.nll for chunk in alone.chunks]
    assert [chunk.kl for chunk in beside.chunks] == pytest.approx([one.sum() for one in divergences], rel=1e-3)
    tops = [
        sum(int(a[at - 1].argmax() == b[at - 1].argmax()) for at in places[0]) for a, b in zip(left, right, strict=True)
    ]
    assert [chunk.same_top for chunk in beside.chunks] == tops
    assert list(beside.kl_tail) == ["text"]
    assert list(beside.kl_tail["text"]) == ["50", "90", "99", "99.9", "100"]
    assert list(beside.kl_tail["text"].values()) == pytest.approx(
        np.percentile(tokens, [50, 90, 99, 99.9, 100]).tolist(), rel=1e-3
    )
    assert (alone.covered, beside.covered) == (None, 1.0)
    assert (alone.reference, beside.reference) == ("", reference.path.name)
    assert beside.reference_fingerprint == reference.card().fingerprint
    assert alone.prompt == beside.prompt != ""
    assert (alone.window, beside.window) == (WINDOW, WINDOW)
    assert {chunk.kl for chunk in alone.chunks} == {None}


def test_bos_stands_in_the_place_of_each_window_s_first_token(made: Models, tmp_path: Path) -> None:
    engine = made.engine(weights="F32", metadata={"tokenizer.ggml.add_bos_token": True})
    store = tmp_path / "r.store"
    found = engine.fidelity(FidelityRequest("words", TEXT, window=WINDOW, write=str(store)))

    texts = windows(engine, bos=ggufs.tokens().index("<|endoftext|>"))
    assert [list(passage.ids) for passage in read_store_header(store).passages] == texts
    places = [range(WINDOW // 2 + 1, WINDOW)] * len(texts)
    logs = log_probabilities(engine.path, texts)
    assert [chunk.nll for chunk in found.chunks] == pytest.approx(nll(logs, texts, places), rel=1e-4)


def test_of_a_conversation_the_last_turn_is_scored_thought_and_answer_apart(
    reference: ProcessEngine, other: ProcessEngine, tmp_path: Path
) -> None:
    store = tmp_path / "r.store"
    reference.fidelity(FidelityRequest("talk", conversations=TALKS, write=str(store)))
    # no reference file, no conversations: the store holds the tokens
    found = other.fidelity(FidelityRequest("talk", store=str(store)))

    first, second = read_store_header(store).passages
    # control tokens are single tokens, not their letters
    assert first.ids[0] == IM_START
    assert [first.ids.count(token) for token in (IM_START, IM_END, THINK, CLOSE)] == [2, 2, 1, 1]
    prompt, closing = first.ids.index(THINK), first.ids.index(CLOSE)
    assert first.spans == ((prompt, closing + 1, "thought"), (closing + 1, len(first.ids), "answer"))
    assert first.ids[-1] == IM_END
    # without a thought the switch is off, and what the template writes for that is not scored
    begin = second.ids.index(CLOSE) + len(other.tokenize("\n\n")) + 1
    assert second.spans == ((begin, len(second.ids), "answer"),)
    assert list(second.ids[begin:]) == [*other.tokenize("in the value"), IM_END]

    texts = [list(passage.ids) for passage in (first, first, second)]
    places = [range(start, stop) for passage in (first, second) for start, stop, _ in passage.spans]
    left, right = log_probabilities(reference.path, texts), log_probabilities(other.path, texts)
    assert [chunk.part for chunk in found.chunks] == ["thought", "answer", "answer"]
    assert [chunk.tokens for chunk in found.chunks] == [len(span) for span in places]
    assert [chunk.nll for chunk in found.chunks] == pytest.approx(nll(right, texts, places), rel=1e-4)
    assert [chunk.reference_nll for chunk in found.chunks] == pytest.approx(nll(left, texts, places), rel=1e-4)
    divergences = kl(left, right, places)
    assert [chunk.kl for chunk in found.chunks] == pytest.approx([one.sum() for one in divergences], rel=1e-3)
    assert found.kl_tail["thought"]["100"] == pytest.approx(divergences[0].max(), rel=1e-3)
    assert found.kl_tail["answer"]["100"] == pytest.approx(np.concatenate(divergences[1:]).max(), rel=1e-3)
    assert found.window == 0


def ids_of(engine: ProcessEngine, tmp_path: Path, last: Message) -> Passage:
    store = tmp_path / "one.store"
    talk: tuple[Message, ...] = ({"role": "user", "content": "Hello"}, last)
    engine.fidelity(FidelityRequest("talk", conversations=(talk,), write=str(store)))
    return read_store_header(store).passages[0]


def test_reasoning_content_is_the_thought(reference: ProcessEngine, tmp_path: Path) -> None:
    raw = ids_of(reference, tmp_path, {"role": "assistant", "content": "<think>the red</think>name"})
    apart = ids_of(reference, tmp_path, {"role": "assistant", "content": "name", "reasoning_content": "the red"})
    assert raw == apart


def test_a_thought_that_the_template_opens_is_not_opened_twice(made: Models, tmp_path: Path) -> None:
    switch = next(line for line in ggufs.CHATML.splitlines() if "enable_thinking" in line)
    engine = made.engine(chat_template=ggufs.CHATML.replace(switch, "{{- '<think>\\n' -}}"))
    passage = ids_of(engine, tmp_path, {"role": "assistant", "content": "<think>\nthe red</think>name"})
    assert passage.ids.count(THINK) == 1
    (start, stop, part), (_, _, answer) = passage.spans
    assert (part, answer) == ("thought", "answer")
    assert list(passage.ids[start:stop]) == [*engine.tokenize("the red"), CLOSE]
    with pytest.raises(EngineRefused, match="opens a thought that cannot be switched off"):
        ids_of(engine, tmp_path, {"role": "assistant", "content": "name"})


LARGE = 5000


@pytest.fixture(scope="module")
def large(made: Models) -> tuple[ProcessEngine, ProcessEngine]:
    """Two models of 5,000 tokens, more than are kept whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ggufs, "VOCABULARY", LARGE)
        flat = {f"[PAD{n}]": 0.0 for n in range(LARGE) if f"[PAD{n}]" in ggufs.tokens()}
        return made.engine(weights="F32", seed=1, likely=flat), made.engine(weights="F32", seed=2, likely=flat)


def test_a_large_vocabulary_is_kept_in_part_and_bounds_the_divergence(
    large: tuple[ProcessEngine, ProcessEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = large
    part, whole = tmp_path / "part.store", tmp_path / "whole.store"
    first.fidelity(FidelityRequest("words", TEXT, window=WINDOW, write=str(part)))
    first.fidelity(FidelityRequest("words", TEXT, window=WINDOW, write=str(whole), whole=True))
    below, exact = (second.fidelity(FidelityRequest("words", store=str(path))) for path in (part, whole))

    assert read_store_header(part).kept == 1024
    assert read_store_header(whole).kept == LARGE
    assert part.stat().st_size < whole.stat().st_size / 2
    assert exact.covered == 1.0
    assert below.covered is not None
    assert 0.3 < below.covered < 0.99
    for low, high in zip(below.chunks, exact.chunks, strict=True):
        assert low.kl is not None
        assert high.kl is not None
        assert 0.2 * high.kl < low.kl < 0.999 * high.kl
        assert (low.nll, low.reference_nll, low.same_top) == (high.nll, high.reference_nll, high.same_top)
    monkeypatch.chdir(tmp_path)
    alone = first.fidelity(FidelityRequest("words", store="part.store"))
    assert sum(chunk.kl or 0.0 for chunk in alone.chunks) == pytest.approx(0.0, abs=1e-4)
    assert all(chunk.same_top == chunk.tokens for chunk in alone.chunks)


def test_llama_perplexity_s_file_can_be_compared_with(
    reference: ProcessEngine, other: ProcessEngine, tmp_path: Path
) -> None:
    texts = windows(reference)
    left, right = log_probabilities(reference.path, texts), log_probabilities(other.path, texts)
    span = range(WINDOW // 2 + 1, WINDOW)
    base = tmp_path / "f16.kld"
    with base.open("wb") as file:
        file.write(b"_logits_" + struct.pack("<Iii", WINDOW, ggufs.VOCABULARY, len(texts)))
        file.write(np.array(texts, "<i4").tobytes())
        for rows in left:
            for row in rows[WINDOW // 2 : -1]:
                least = max(row.min(), row.max() - 16)
                scale = np.float32((row.max() - least) / 65535)
                file.write(struct.pack("<ff", scale, least))
                file.write(np.maximum(0, np.rint((row - least) / scale)).astype("<u2").tobytes())
    found = other.fidelity(FidelityRequest("words", store=str(base)))

    expected = [one.sum() for one in kl(left, right, [span] * len(texts))]
    assert [chunk.kl for chunk in found.chunks] == pytest.approx(expected, rel=2e-3)
    assert [chunk.nll for chunk in found.chunks] == pytest.approx(nll(right, texts, [span] * len(texts)), rel=1e-4)
    assert {chunk.reference_nll for chunk in found.chunks} == {None}
    assert (found.reference, found.window) == ("f16.kld", WINDOW)


def test_noise_makes_every_figure_worse_and_is_the_same_each_time(reference: ProcessEngine, tmp_path: Path) -> None:
    store = tmp_path / "r.store"
    clean = reference.fidelity(FidelityRequest("words", TEXT, window=WINDOW, write=str(store)))
    noisy = [reference.fidelity(FidelityRequest("words", store=str(store), noise=noise)) for noise in (0.1, 2.0, 2.0)]

    assert noisy[1] == noisy[2]
    divergences = [sum(chunk.kl or 0.0 for chunk in found.chunks) for found in noisy]
    assert 0 < 10 * divergences[0] < divergences[1]
    assert sum(chunk.nll for chunk in noisy[1].chunks) > sum(chunk.nll for chunk in clean.chunks)


def test_a_store_of_another_vocabulary_or_text_is_refused(
    made: Models, reference: ProcessEngine, large: tuple[ProcessEngine, ProcessEngine], tmp_path: Path
) -> None:
    store = str(tmp_path / "r.store")
    reference.fidelity(FidelityRequest("words", TEXT, window=WINDOW, write=store))
    with pytest.raises(EngineRefused, match="a vocabulary of 384 tokens, this model has 5000"):
        large[0].fidelity(FidelityRequest("words", store=store))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ggufs, "WORDS", (*ggufs.WORDS[:-1], "owl"))
        others = made.engine()
    with pytest.raises(
        EngineRefused, match=r"another vocabulary .384 tokens, as many as this model's, but other texts"
    ):
        others.fidelity(FidelityRequest("words", store=store))
    for text, window in ((TEXT + "x", WINDOW), (TEXT, 32)):
        with pytest.raises(EngineRefused, match="of another text or window"):
            reference.fidelity(FidelityRequest("words", text, window=window, store=store))
    assert reference.fidelity(FidelityRequest("words", TEXT, window=WINDOW, store=store)).chunks


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (FidelityRequest("a"), "nothing to score"),
        (FidelityRequest("a", TEXT, TALKS), "not both"),
        (FidelityRequest("a", TEXT, store="a", write="b"), "not both at once"),
        (FidelityRequest("a", "short"), r"the text has \d+ tokens, two windows of 512 need 1024"),
        (FidelityRequest("a", TEXT, window=3), "at least 4 tokens, got 3"),
        (
            FidelityRequest("a", TEXT * 24, window=4096),
            "4096 tokens is to be read at once; the model reads at most 2048",
        ),
        (FidelityRequest("a", conversations=(TALKS[0][:1],)), "conversation 1 of 1: it takes a message to answer"),
        (FidelityRequest("a", conversations=(TALKS[0], ())), "conversation 2 of 2: it takes a message to answer"),
        (FidelityRequest("a", conversations=(({"content": 5},) * 2,)), "conversation 1 of 1: it takes a message"),
        (FidelityRequest("a", store="no such file"), "no such file: cannot be read"),
        (FidelityRequest("a", TEXT, window=64, write="no/such/folder"), "cannot be written"),
    ],
)
def test_what_cannot_be_scored_is_told_in_one_line(
    reference: ProcessEngine, request_: FidelityRequest, words: str
) -> None:
    with pytest.raises(EngineRefused, match=words):
        reference.fidelity(request_)
    assert reference.tokenize("it lives") != []


def test_damaged_weights_are_no_figures(made: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "r.store"
    ggufs.overflow(monkeypatch, "blk.0.ffn_up.weight")
    broken = made.engine(weights="F32")
    with pytest.raises(EngineRefused, match="NaN or infinity instead of logits"):
        broken.fidelity(FidelityRequest("words", TEXT, window=WINDOW, write=str(store)))
    assert list(tmp_path.iterdir()) == []


def test_other_models_than_transformers_can_be_scored(made: Models, tmp_path: Path) -> None:
    """A recurrent state, and a sliding window that forgets what stands before it."""
    for path in (ggufs.write_random_mamba(tmp_path / "mamba.gguf"), made.file(architecture="cohere2")):
        engine = made.engine(path, LoadSettings(context=512))
        store = tmp_path / "r.store"
        engine.fidelity(FidelityRequest("words", TEXT, window=WINDOW * 2, write=str(store)))
        again = engine.fidelity(FidelityRequest("words", store=str(store)))
        assert sum(chunk.kl or 0.0 for chunk in again.chunks) == pytest.approx(0.0, abs=1e-6)


def test_an_encoder_predicts_nothing(made: Models, tmp_path: Path) -> None:
    engine = made.engine(ggufs.write_random_bert(tmp_path / "bert.gguf"))
    with pytest.raises(EngineRefused, match="encoder"):
        engine.fidelity(FidelityRequest("words", TEXT, window=WINDOW))


# --- memory: what is asked of llama.cpp and of NumPy at a time -----------------------------------------------------


@given(st.integers(1, 1500), st.integers(1, 4), st.integers(1, 600), st.data())
@settings(max_examples=50, deadline=None)
def test_no_step_asks_for_more_than_it_may(length: int, passages: int, rows: int, data: st.DataObject) -> None:
    from pytest_quantcheck.engines.forward import steps

    first = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(first, length))
    cut = steps(length, range(first, end), passages, rows)
    assert [0, *(stop for _, stop in cut)] == [*(start for start, _ in cut), length]
    for start, stop in cut:
        assert start < stop
        assert (stop - start) * passages <= 512
        assert (min(stop, end) - max(start, first)) * passages <= max(rows, passages)


@pytest.mark.parametrize("vocabulary", [384, 32_000, 151_936, 262_144])
def test_logits_of_one_step_stay_within_their_bound(vocabulary: int) -> None:
    from pytest_quantcheck.engines.forward import rows_at_once

    rows = rows_at_once(vocabulary)
    assert rows * vocabulary * 4 <= 64 << 20
    assert rows == 512 or (rows + 1) * vocabulary * 4 > 64 << 20


def test_what_is_worked_on_at_a_time_is_small(
    monkeypatch: pytest.MonkeyPatch, made: Models, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The text's length plays no part: every array is a block's."""
    from pytest_quantcheck.engines import forward
    from pytest_quantcheck.engines import scoring
    from pytest_quantcheck.engines.kept import log_softmax
    from pytest_quantcheck.engines.llama import LlamaModel

    sizes: list[tuple[int, int]] = []
    signs: list[str] = []

    def seen(logits: Any, targets: Any) -> Any:
        sizes.append(logits.shape)
        return log_softmax(logits, targets)

    monkeypatch.setattr("pytest_quantcheck.engines.scoring.log_softmax", seen)
    monkeypatch.setattr(scoring, "BLOCK", 3 * ggufs.VOCABULARY)
    monkeypatch.setattr(forward, "MOST_LOGITS", 4 * 4 * 5 * ggufs.VOCABULARY)
    model = LlamaModel(
        str(made.file(weights="F32", seed=1)), LoadSettings(context=512), lambda doing, *_: signs.append(doing)
    )
    request.addfinalizer(model.close)
    signs.clear()
    store = str(tmp_path / "r.store")
    found = [model.fidelity(FidelityRequest("words", TEXT, window=WINDOW, write=store))]
    assert {shape for shape in sizes if shape[0] != 1} <= {(2, ggufs.VOCABULARY), (3, ggufs.VOCABULARY)}
    # a sign of life after each block: the engine's keeper would end a process that is silent
    assert len(signs) > len(sizes)
    monkeypatch.undo()
    found.append(model.fidelity(FidelityRequest("words", TEXT, window=WINDOW)))
    nlls = [[chunk.nll for chunk in one.chunks] for one in found]
    # cut otherwise, and yet the same
    assert nlls[0] == pytest.approx(nlls[1], rel=1e-3)


def test_only_passages_that_are_scored_alike_are_read_side_by_side() -> None:
    """A store may hold any passages; those of its own writer's texts are all alike."""
    from pytest_quantcheck.engines.scoring import _alike

    one, other = Passage((1, 2, 3), ((1, 3, "text"),)), Passage((1, 2, 3), ((2, 3, "text"),))
    longer = Passage((1, 2, 3, 4), ((1, 3, "text"),))
    for second in (other, longer):
        assert _alike([(0, one), (1, one), (2, second), (3, one)]) == [(0, one), (1, one)]
    assert len(_alike([(0, one), (1, one)])) == 2
