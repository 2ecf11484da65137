"""Two headers that differ in one thing: that row is named and no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.file_differences import file_differences
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import SpecialToken
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.rows import FILE_ROWS
from pytest_quantcheck.rows import ROWS
from tests import ggufs
from tests.builders import card

Changes = Mapping[str, Any]
TOKENS: Any = ggufs.SMALL_HEADER["tokenizer.ggml.tokens"]
TYPES: Any = ggufs.SMALL_HEADER["tokenizer.ggml.token_type"]
NO_OUTPUT = {name: row for name, row in ggufs.SMALL_TENSORS.items() if name != "output.weight"}
Q4 = {**ggufs.SMALL_TENSORS, "blk.0.attn_q.weight": ((32, 32), 2)}

BOTH_WAYS = (
    # sentences that name no side
    "the files' chat templates differ: a loss may be the template's",
    "as many tokens on both sides, but not",
    "some tokens without a special use",
)
CASES: list[tuple[str, Changes, str]] = [
    # row, what the candidate's header has instead, what the sentence says
    ("architecture", {"llama.block_count": 2}, "block_count 1 for the baseline, 2 for the candidate"),
    ("architecture", {"llama.embedding_length": 64}, "embedding_length 32 for the baseline"),
    ("architecture", {"llama.feed_forward_length": 128}, "feed_forward_length 64"),
    ("architecture", {"llama.attention.head_count": 8}, "attention.head_count 4"),
    ("architecture", {"llama.attention.head_count_kv": 4}, "attention.head_count_kv 2"),
    ("architecture", {"llama.expert_count": 8}, "expert_count 4"),
    ("rope", {"llama.rope.freq_base": 1e6}, "freq_base 10000.0 for the baseline, 1000000.0 for the candidate"),
    ("rope", {"llama.rope.scaling.type": "yarn"}, "scaling.type none for the baseline, yarn for the candidate"),
    ("sliding window", {"llama.attention.sliding_window": 1024}, "window 512 for the baseline, 1024"),
    ("trained context", {"llama.context_length": 8192}, "trained for 4096 tokens for the baseline, 8192 for the"),
    ("tokenizer", {"tokenizer.ggml.pre": "qwen2"}, "pre-tokenizer gpt-2 for the baseline, qwen2 for the candidate"),
    ("tokenizer", {"tokenizer.ggml.add_bos_token": True}, "BOS before a text no for the baseline, yes for the"),
    ("tokenizer", {"tokenizer.ggml.bos_token_id": 5}, "BOS token <s> for the baseline, <turn> for the candidate"),
    ("vocabulary", {"tokenizer.ggml.model": "llama"}, "tokenizer of the kind gpt2 for the baseline, llama for the"),
    ("vocabulary", {"tokenizer.ggml.tokens": [*TOKENS, "x"], "tokenizer.ggml.token_type": [*TYPES, 1]}, "8 tokens for"),
    (
        "vocabulary",
        {"tokenizer.ggml.tokens": ["a", "c", *TOKENS[2:]]},
        "as many tokens on both sides, but not",
    ),
    ("vocabulary", {"tokenizer.ggml.merges": ["b a"]}, BOTH_WAYS[1]),
    (
        "token types",
        {"tokenizer.ggml.token_type": [*TYPES[:6], 4, 5]},
        "<tool_call> is CONTROL in the baseline and US",
    ),
    ("token types", {"tokenizer.ggml.token_type": [*TYPES[:2], 4, *TYPES[3:]]}, BOTH_WAYS[2]),
    ("end of generation", {"tokenizer.ggml.eos_token_id": 5}, "only the candidate ends an answer at <turn>"),
    ("chat template", {"tokenizer.chat_template": "{{ messages[0] }}"}, BOTH_WAYS[0]),
    ("chat template", {"tokenizer.chat_template": None}, "only the baseline has a chat template"),
    ("sampling defaults", {"general.sampling.temp": 0.6}, "nobody reads them in a greedy run"),
    ("sampling defaults", {"general.sampling.top_k": 64}, "top_k none for the baseline, 64 for the candidate"),
    ("recipe", {"general.name": "Header QAT"}, "only the candidate calls itself QAT"),
    ("imatrix", {"quantize.imatrix.dataset": "code"}, "dataset wiki.train for the baseline, code for the candidate"),
    ("imatrix", {"quantize.imatrix.dataset": None}, "only the baseline was made with an importance matrix, from wiki"),
    ("quantizer", {"general.quantized_by": "else"}, "quantized by somebody for the baseline, else for the candidate"),
    ("base model", {"general.base_model.0.name": "Other"}, "base_model.0.name Base for the baseline, Other for"),
]


def cards(folder: Path, changes: Changes, tensors: Any = None) -> tuple[ModelCard, ModelCard]:
    (folder / "old").mkdir()
    (folder / "new").mkdir()
    new = ggufs.write_small_header(folder / "new" / "m.gguf", changes, tensors)
    return read_card(ggufs.write_small_header(folder / "old" / "m.gguf")), read_card(new)


@pytest.mark.parametrize(("row", "changes", "said"), CASES)
def test_one_difference_is_blamed_on_its_row_alone(tmp_path: Path, row: str, changes: Changes, said: str) -> None:
    old, new = cards(tmp_path, changes)

    [found] = file_differences(old, new)
    [back] = file_differences(new, old)

    assert found.row == back.row == row
    assert said in found.text
    assert (found.text == back.text) is (said in BOTH_WAYS)
    assert found.text.isprintable()
    if found.level != "informs":
        assert (found.level, found.kinds) == (ROWS[row].level, ROWS[row].kinds)
    assert file_differences(old, old) == file_differences(new, new) == []


@pytest.mark.parametrize(
    ("row", "tensors", "said"),
    [
        ("tensor types", Q4, "(Q8_0 100 % against Q4_0 51 %, Q8_0 49 %)"),
        ("tensor types", NO_OUTPUT, "only the baseline has an output matrix of its own"),
        ("tensor types", {**ggufs.SMALL_TENSORS, "output.weight": ((32, 8), 1)}, "; output matrix Q8_0 against F16)"),
        ("tensor types", {**ggufs.SMALL_TENSORS, "rope_freqs.weight": ((1,), 0)}, "other tensor types"),
        (
            "architecture",
            {**ggufs.SMALL_TENSORS, "blk.0.attn_q.weight": ((32, 64), 8)},
            "1,536 weights for the",
        ),
    ],
)
def test_other_tensors_are_blamed_on_one_row(tmp_path: Path, row: str, tensors: Any, said: str) -> None:
    old, new = cards(tmp_path, {}, tensors)

    [found] = file_differences(old, new)

    assert (found.row, found.level) == (row, ROWS[row].level)
    assert said in found.text


@pytest.mark.parametrize(("kind", "words"), [(2, "the larger format alone"), (8, "")])
def test_formats_that_are_far_apart_say_so(tmp_path: Path, kind: int, words: str) -> None:
    old, new = cards(tmp_path, {}, {name: (shape, kind) for name, (shape, _) in ggufs.SMALL_TENSORS.items()})

    found = file_differences(old, new)

    assert [words in one.text for one in found] == ([True] if words else [])


def test_the_same_types_on_other_tensors_are_no_equal_files(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    first = {"token_embd.weight": ((32, 8), 8), "output.weight": ((32, 8), 2)}
    second = {"token_embd.weight": ((32, 8), 2), "output.weight": ((32, 8), 8)}
    files = [
        ggufs.write_small_header(tmp_path / name, None, of) for name, of in (("a.gguf", first), ("b.gguf", second))
    ]

    [found] = file_differences(*(read_card(path) for path in files))

    assert "not on the same tensors (Q8_0" in found.text


@pytest.mark.parametrize(
    "changes",
    [
        {"llama.attention.key_length": 8},
        {"tokenizer.ggml.add_space_prefix": False},
        {"general.base_model.0.organization": "else"},
        {"general.quantization_version": 2},
        {"general.description": "QAT is not what this is"},
        {"tokenizer.ggml.padding_token_id": 7},
    ],
)
def test_what_a_converter_may_leave_out_is_no_difference(tmp_path: Path, changes: Changes) -> None:
    old, new = cards(tmp_path, changes)

    assert file_differences(old, new) == file_differences(new, old) == []


def plain(**changed: Any) -> ModelCard:
    return replace(card(), **changed)


def test_tokens_of_another_type_are_named_with_what_breaks() -> None:
    call, end, turn = (
        SpecialToken(number, text, "CONTROL", (use,))
        for number, (text, use) in enumerate(
            [("<|tool_call>", "tool call"), ("<channel|>", "thinking"), ("<turn|>", "template")]
        )
    )
    types = [replace(token, type="USER_DEFINED") for token in (call, end)]
    old = plain(token_types_digest="a", special_tokens=(call, end, turn))
    new = plain(token_types_digest="b", special_tokens=(*types, turn))

    [found] = file_differences(old, new)

    assert found.row == "token types"
    assert found.text == (
        "<|tool_call> is CONTROL in the baseline and USER_DEFINED in the candidate; "
        "<channel|> is CONTROL in the baseline and USER_DEFINED in the candidate: "
        "programs hide CONTROL tokens, show USER_DEFINED ones and cut others into pieces, "
        "so tool calls and thoughts can break while the weights are sound"
    )


@pytest.mark.parametrize("field", ["token_types_digest", "pre", "vocabulary_digest", "eos"])
def test_what_a_header_does_not_tell_proves_nothing(field: str) -> None:
    assert file_differences(plain(**{field: "a"}), plain()) == []


def test_ends_of_an_answer_are_named() -> None:
    old = plain(end_of_generation=("<end>", "<turn|>"), eos="<end>")

    [found] = file_differences(old, plain(end_of_generation=("<end>", "<eot>"), eos="<end>"))
    assert found.text.startswith(
        "only the baseline ends an answer at <turn|> and only the candidate ends an answer at <eo"
    )
    [found] = file_differences(old, replace(old, eos="<turn|>"))
    assert found.text.startswith("EOS token <end> for the baseline, <turn|> for the candidate")


@pytest.mark.parametrize("row", ["chat template", "token types", "tokenizer"])
def test_what_changed_no_prompt_informs(row: str) -> None:
    old = plain(chat_template="1", token_types_digest="1", pre="1")
    new = {
        "chat template": replace(old, chat_template="2"),
        "token types": replace(old, token_types_digest="2"),
        "tokenizer": replace(old, pre="2"),
    }[row]

    [before], [after] = file_differences(old, new), file_differences(old, new, prompts_alike=True)

    assert (before.row, before.level, before.kinds) == (row, "explains", ROWS[row].kinds)
    assert (after.row, after.level, after.kinds) == (row, "informs", ())
    assert after.text.endswith("both sides read the same tokens in this run")


def test_sampling_defaults_explain_where_they_are_used() -> None:
    old, new = plain(sampling={"temp": 1.0}), plain(sampling={"temp": 0.6})

    [greedy], [drawn] = file_differences(old, new), file_differences(old, new, sampled=True)

    assert (greedy.level, drawn.level) == ("informs", "explains")


def test_many_changes_are_counted_and_hostile_text_is_bounded() -> None:
    old, new = plain(rope={}), plain(rope={f"k{n}": "\x1b[31m" * 99 for n in range(9)})

    [found] = file_differences(old, new)

    assert "and 5 more" in found.text
    assert found.text.isprintable()
    assert len(found.text) < 700


@pytest.mark.parametrize(
    ("name", "qat"),
    [("gemma-3-4b-it-qat-q4_0.gguf", True), ("Gemma QAT", True), ("aquatic-7b", False), ("Qatar.gguf", False)],
)
def test_qat_is_a_word_of_the_name(name: str, qat: bool) -> None:
    found = file_differences(plain(path="m.gguf"), plain(path=name))

    assert [one.row for one in found] == (["recipe"] if qat else [])


def test_every_row_of_a_file_has_its_case() -> None:
    # not of the two headers
    elsewhere = {"same content", "same address", "projector", "drafter", "reference", "not told"}
    named = {row for row, *_ in CASES} | {"tensor types"}

    assert named == {row.name for row in FILE_ROWS} - elsewhere
