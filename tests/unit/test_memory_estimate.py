"""What a header lets expect of memory; tests/real/test_memory.py holds it against llama.cpp."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.engines.base import KV_TYPES
from pytest_quantcheck.engines.scripted import ScriptedEngine
from pytest_quantcheck.gguf_card import KvLayers
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_header import Tensor
from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory_estimate import SCRATCH
from pytest_quantcheck.memory_estimate import estimate
from pytest_quantcheck.memory_estimate import fits_together
from pytest_quantcheck.memory_estimate import held_weights
from pytest_quantcheck.memory_estimate import kv_bytes
from pytest_quantcheck.memory_estimate import repacked_types
from pytest_quantcheck.memory_estimate import rounded
from pytest_quantcheck.memory_estimate import state_bytes

PLAIN = (KvLayers(4, 256, 256),)
GEMMA = (KvLayers(5, 1024, 1024, 512), KvLayers(1, 1024, 1024))


def card(layers: tuple[KvLayers, ...] = PLAIN, architecture: str = "llama", **more: Any) -> ModelCard:
    bare = ScriptedEngine(str).card()
    return replace(bare, architecture=architecture, kv_layers=layers, tensor_bytes=1000, vocabulary=32000, **more)


@pytest.mark.parametrize(
    ("context", "kv_type", "expected"),
    [
        (1024, "f16", 4 * 1024 * 2 * 512),
        (1, "f16", 4 * 256 * 2 * 512),
        (1025, "f16", 4 * 1280 * 2 * 512),
        (1024, "q8_0", 4 * 1024 * 2 * 8 * 34),
        (1024, "q4_0", 4 * 1024 * 2 * 8 * 18),
        (1024, "f32", 4 * 1024 * 2 * 1024),
    ],
)
def test_contexts_are_rounded_and_types_have_blocks(context: int, kv_type: str, expected: int) -> None:
    assert kv_bytes(card(), context, kv_type) == expected


@pytest.mark.parametrize(
    ("context", "cells"),
    # window and chunk of 512 each: 1024 cells at most, and no more than the context has
    [(8192, 1024), (1024, 1024), (1000, 1024), (512, 512), (300, 512), (100, 256), (131072, 1024)],
)
def test_a_sliding_window_keeps_what_it_sees_and_one_chunk(context: int, cells: int) -> None:
    each = 2 * 2 * 1024

    assert kv_bytes(card(GEMMA, "gemma3"), context, "f16") == each * (5 * cells + rounded(context))


def test_a_window_that_is_no_multiple_is_rounded_up_with_its_chunk() -> None:
    # 100 + 512 = 612 -> 768
    assert kv_bytes(card((KvLayers(1, 1, 1, 100),), "gemma3"), 4096, "f16") == 4 * 768


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from(sorted(KV_TYPES)))
def test_more_context_never_takes_less(a: int, b: int, kv_type: str) -> None:
    taken = [kv_bytes(card(GEMMA, "gemma3"), context, kv_type) for context in sorted((a, b))]

    assert taken[0] is not None
    assert taken[1] is not None
    assert taken[0] <= taken[1]
    assert taken[1] >= kv_bytes(card(GEMMA[1:], "gemma3"), max(a, b), kv_type)  # type: ignore[operator]


def test_an_encoder_keeps_nothing_and_a_cache_of_its_own_kind_is_not_guessed() -> None:
    assert kv_bytes(card((), "bert"), 512, "f16") == 0
    assert kv_bytes(card(PLAIN, "deepseek4"), 512, "f16") is None
    assert kv_bytes(card((), "llama"), 512, "f16") is None


@pytest.mark.parametrize(
    ("architecture", "keys", "attention", "expected"),
    [
        # n_embd_r + n_embd_s of llama_hparams, four bytes each
        ("mamba", {"ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 16}, 0, 4 * 6 * (3 * 128 + 16 * 128)),
        (
            "mamba2",
            {"ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 16, "ssm.group_count": 2},
            0,
            4 * 6 * (3 * (128 + 64) + 16 * 128),
        ),
        ("rwkv6", {"wkv.head_size": 64}, 0, 4 * 6 * (2 * 256 + 256 * 64)),
        ("arwkv7", {"wkv.head_size": 64, "token_shift_count": 1}, 0, 4 * 6 * (256 + 256 * 64)),
        ("lfm2", {"shortconv.l_cache": 3}, 2, 4 * 4 * 256 * 2),
        (
            "qwen35",
            {
                "ssm.conv_kernel": 4,
                "ssm.inner_size": 128,
                "ssm.state_size": 16,
                "ssm.group_count": 2,
                "nextn_predict_layers": 1,
            },
            2,
            4 * 3 * (3 * (128 + 64) + 16 * 128),
        ),
        ("falcon-h1", {"ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 16}, 6, 4 * 6 * (384 + 2048)),
        ("llama", {}, 6, 0),
        ("mamba", {}, 0, None),
        ("nemotron_h", {}, 2, None),
    ],
)
def test_states_have_a_fixed_size(
    architecture: str, keys: dict[str, int], attention: int, expected: int | None
) -> None:
    layers = (KvLayers(attention, 256, 256),) if attention else ()
    metadata = {f"{architecture}.{key}": value for key, value in keys.items()}
    made = card(layers, architecture, metadata=metadata, block_count=6, embedding_length=256)

    assert state_bytes(made) == expected
    if expected:
        assert kv_bytes(made, 512, "f16") == expected + attention * 512 * 2 * 512


def tensor(name: str, offset: int, type_: str = "Q4_0", shape: tuple[int, ...] = (256, 8)) -> Tensor:
    return Tensor(name, shape, type_, 1000, offset)


TENSORS = (
    tensor("token_embd.weight", 0),
    tensor("blk.0.attn_norm.weight", 1024, "F32", (256,)),
    tensor("blk.0.ffn_up_exps.weight", 2048, shape=(256, 8, 64)),
    tensor("blk.0.attn_q.weight", 3072),
    tensor("output.weight", 4096),
)
AVX2 = repacked_types("CPU : AVX = 1 | AVX2 = 1 | REPACK = 1 | ") or frozenset()


def test_all_experts_are_held_and_nothing_is_copied_without_need() -> None:
    assert held_weights([TENSORS], ()) == (5096, 0)


def test_what_is_repacked_is_copied_and_the_file_stays_mapped_between_the_rest() -> None:
    # the embedding and the norm stay
    assert held_weights([TENSORS], AVX2) == (2024 + 3000, 3000)
    assert held_weights([TENSORS[1:]], AVX2) == (1000 + 3000, 3000)
    assert held_weights([TENSORS[2:]], AVX2) == (3000, 3000)


def test_an_embedding_that_is_the_output_too_is_repacked_and_stays() -> None:
    assert held_weights([TENSORS[:-1]], AVX2) == (2024 + 3000, 3000)
    assert held_weights([TENSORS[:-1]], (), offloaded=True) == (5000, 0)
    assert held_weights([TENSORS], AVX2, offloaded=True) == (5000, 0)


@pytest.mark.parametrize(
    "stays",
    [
        tensor("per_layer_token_embd.weight", 8000),
        tensor("blk.1.ffn_up.weight", 8000, "Q6_K"),
        tensor("blk.1.ffn_up.weight", 8000, shape=(256, 12)),
        tensor("blk.1.attn_q.bias", 8000, shape=(256,)),
    ],
)
def test_rows_that_are_looked_up_other_types_and_odd_shapes_are_not_repacked(stays: Tensor) -> None:
    assert held_weights([(*TENSORS, stays)], AVX2) == (9000 + 3000, 3000)


def test_each_file_of_a_split_model_is_mapped_by_itself() -> None:
    assert held_weights([TENSORS[:2], TENSORS[2:]], ()) == (2024 + 3048, 0)


@pytest.mark.parametrize(
    ("system", "some"),
    [
        ("CPU : AVX2 = 1 | AVX512 = 1 | REPACK = 1", {"Q4_0", "Q4_K", "IQ4_NL", "MXFP4", "Q2_K"}),
        ("CPU : AVX2 = 1 | AVX512 = 0 | REPACK = 1", {"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"}),
        ("CPU : AVX2 = 1 | LLAMAFILE = 1", set()),
        ("CPU : NEON = 1 | DOTPROD = 1 | REPACK = 1", {"Q4_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "MXFP4", "Q8_0"}),
        ("CPU : NEON = 1 | REPACK = 1", set()),
        ("CPU : AVX2 = 1 | AMX_INT8 = 1 | REPACK = 1", None),
    ],
)
def test_processors_lay_out_different_types(system: str, some: set[str] | None) -> None:
    assert repacked_types(system) == some


def test_the_header_tells_all_but_the_compute_buffer() -> None:
    assert estimate(card(), 1024, "f16") == Buffers(1000, 4 * 1024 * 1024, None, 128000)


def test_two_models_at_once_need_room_for_both() -> None:
    one = replace(card(), tensor_bytes=10**9, tensor_types={"Q4_0": 9 * 10**8, "F32": 10**8})
    each = 19 * 10**8 + 4 * 1024 * 1024 + 128000 + 2048 * 1024 + SCRATCH

    assert fits_together([(one, 1024, "f16")] * 2, 2 * each)
    assert not fits_together([(one, 1024, "f16")] * 2, 2 * each - 1)
    assert fits_together([(one, None, "f16")], each + (4 * 1024 + 2048) * 32768)
    assert not fits_together([(one, None, "f16")], each)


def test_what_the_header_leaves_open_does_not_fit() -> None:
    assert not fits_together([(card((), "llama"), 512, "f16")], 1 << 62)
