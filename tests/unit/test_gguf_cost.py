"""All figures are worked out by hand: 2 bytes a weight as F16, 4 as F32, 18 bytes for 32 weights as Q4_0."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.gguf_card import KvLayers
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from tests import ggufs

EMBEDDING = ("F16", (32, 100))  # 6400 bytes
MATRIX = ("Q4_0", (32, 32))  # 576 bytes
NORM = ("F32", (32,))  # 128 bytes
EXPERTS = ("Q4_0", (32, 32, 8))  # 4608 bytes


def card_of(
    folder: Path, architecture: str, values: dict[str, Any], tensors: dict[str, Any] | None = None
) -> ModelCard:
    keys = {f"{architecture}.{key}": value for key, value in values.items()}
    return read_card(ggufs.write_header(folder / "a.gguf", {"general.architecture": architecture, **keys}, tensors))


def test_tied_embeddings_are_read_whole(tmp_path: Path) -> None:
    tensors = {"token_embd.weight": EMBEDDING, "blk.0.attn_q.weight": MATRIX, "output_norm.weight": NORM}

    card = card_of(tmp_path, "llama", {"block_count": 1}, tensors)

    assert card.decode_bytes == 6400 + 576 + 128
    assert (card.embedding_type, card.output_type, card.tied_embeddings) == ("F16", "F16", True)


def test_of_untied_embeddings_one_row_is_read(tmp_path: Path) -> None:
    tensors = {"token_embd.weight": EMBEDDING, "blk.0.attn_q.weight": MATRIX, "output.weight": ("Q4_0", (32, 100))}

    card = card_of(tmp_path, "llama", {"block_count": 1}, tensors)

    assert card.decode_bytes == 576 + 1800
    assert (card.embedding_type, card.output_type, card.tied_embeddings) == ("F16", "Q4_0", False)


def test_experts_are_read_by_the_share_that_is_used(tmp_path: Path) -> None:
    tensors = {
        "token_embd.weight": EMBEDDING,
        "blk.0.ffn_gate_inp.weight": NORM,
        "blk.0.ffn_gate_exps.weight": EXPERTS,
        "blk.0.ffn_down_exps.bias": ("F32", (32, 8)),
        "blk.0.ffn_up_shexp.weight": MATRIX,
        "blk.0.exp_probs_b.bias": ("F32", (8,)),
        "output.weight": MATRIX,
    }

    some = card_of(tmp_path, "qwen3moe", {"block_count": 1, "expert_count": 8, "expert_used_count": 2}, tensors)
    untold = card_of(tmp_path, "qwen3moe", {"block_count": 1, "expert_count": 8}, tensors)
    absurd = card_of(tmp_path, "qwen3moe", {"block_count": 1, "expert_count": 8, "expert_used_count": 99}, tensors)

    assert some.decode_bytes == 128 + 4608 // 4 + 1024 // 4 + 576 + 32 + 576
    assert untold.decode_bytes == absurd.decode_bytes == 128 + 4608 + 1024 + 576 + 32 + 576


def test_per_layer_embeddings_and_reused_keys_are_not_read(tmp_path: Path) -> None:
    tensors = {
        "token_embd.weight": EMBEDDING,
        "per_layer_token_embd.weight": ("F16", (64, 100)),
        "per_layer_model_proj.weight": ("F16", (32, 64)),
        "blk.0.attn_k.weight": MATRIX,
        "blk.1.attn_k.weight": MATRIX,  # layer 1 uses the keys of layer 0
        "blk.1.attn_k_norm.weight": NORM,
        "blk.1.attn_q.weight": MATRIX,
    }

    card = card_of(tmp_path, "gemma4", {"block_count": 2, "attention.shared_kv_layers": 1}, tensors)

    assert card.decode_bytes == 6400 + 4096 + 576 + 576


def test_layers_that_predict_further_tokens_are_not_read(tmp_path: Path) -> None:
    tensors = {
        "token_embd.weight": EMBEDDING,
        "output.weight": MATRIX,
        "blk.0.attn_q.weight": MATRIX,
        "blk.1.attn_q.weight": MATRIX,
        "blk.1.nextn.eh_proj.weight": MATRIX,
        "enc.blk.0.attn_q.weight": MATRIX,
    }

    card = card_of(tmp_path, "qwen35", {"block_count": 2, "nextn_predict_layers": 1}, tensors)
    drafter = card_of(tmp_path, "qwen35", {"block_count": 2, "nextn_predict_layers": 2}, tensors)

    assert card.decode_bytes == 576 + 576
    assert drafter.decode_bytes == 576 + 2 * 576


TINY_MODELS = Path(__file__).parents[2] / "example_suites" / "tiny" / "models"
TINY_MATRICES = 2048 * 256 + 4 * 589_824  # 524,288 of the embedding, and per layer
TINY_NORMS = 2816


@pytest.mark.parametrize(
    ("name", "bytes_of_32"), [("tiny-f16", 64), ("tiny-q8_0", 34), ("tiny-q4_0", 18), ("tiny-qat-q4_0", 18)]
)
def test_the_tiny_models_are_read_whole(name: str, bytes_of_32: int) -> None:
    card = read_card(TINY_MODELS / f"{name}.gguf")

    assert card.tied_embeddings
    assert card.decode_bytes == TINY_MATRICES // 32 * bytes_of_32 + TINY_NORMS * 4
    assert card.kv_bytes_per_token(1) == 4 * 2 * 128 * 2


HEADS: dict[str, Any] = {"block_count": 4, "embedding_length": 64, "attention.head_count": 4}


@pytest.mark.parametrize(
    ("architecture", "values", "layers"),
    [
        # 64 numbers in 4 heads: 16 a head
        ("llama", {}, [KvLayers(4, 64, 64)]),
        ("llama", {"attention.head_count_kv": 2}, [KvLayers(4, 32, 32)]),
        ("llama", {"attention.key_length": 24, "attention.value_length": 8}, [KvLayers(4, 96, 32)]),
        ("llama", {"attention.head_count_kv": [2, 0, 2, 1]}, [KvLayers(2, 32, 32), KvLayers(1, 16, 16)]),
        # llama.cpp knows no windows of Llama and Mistral
        ("llama", {"attention.sliding_window": 512}, [KvLayers(4, 64, 64)]),
        ("phi3", {"attention.sliding_window": 512}, [KvLayers(4, 64, 64)]),
        # one layer of two, four or six sees everything
        ("gpt-oss", {"attention.sliding_window": 128}, [KvLayers(2, 64, 64, 128), KvLayers(2, 64, 64)]),
        ("gemma2", {}, [KvLayers(2, 64, 64, 4096), KvLayers(2, 64, 64)]),
        ("gemma3", {"attention.sliding_window": 512}, [KvLayers(4, 64, 64, 512)]),
        ("gemma3", {}, [KvLayers(4, 64, 64)]),
        ("cohere2moe", {"attention.sliding_window": 9}, [KvLayers(1, 64, 64), KvLayers(3, 64, 64, 9)]),
        ("llama4", {}, [KvLayers(3, 64, 64, 8192), KvLayers(1, 64, 64)]),
        ("llama4", {"attention.sliding_window": 0}, [KvLayers(4, 64, 64)]),
        ("lfm2", {"attention.sliding_window": 9, "attention.head_count_kv": [0, 4, 0, 4]}, [KvLayers(2, 64, 64, 9)]),
        (
            "gpt-oss",
            {"attention.sliding_window": 128, "attention.sliding_window_pattern": 4},
            [KvLayers(3, 64, 64, 128), KvLayers(1, 64, 64)],
        ),
        # Gemma 4: a pattern, other widths in the window, and the last layer reuses the keys of another
        (
            "gemma4",
            {
                "attention.sliding_window": 512,
                "attention.sliding_window_pattern": [True, True, False, True],
                "attention.key_length_swa": 8,
                "attention.value_length_swa": 8,
                "attention.shared_kv_layers": 1,
            },
            [KvLayers(2, 32, 32, 512), KvLayers(1, 64, 64)],
        ),
        # latent attention keeps no values
        (
            "deepseek2",
            {
                "attention.head_count_kv": 1,
                "attention.key_length": 576,
                "attention.value_length": 512,
                "attention.key_length_mla": 192,
                "attention.value_length_mla": 128,
            },
            [KvLayers(4, 576, 0)],
        ),
        # three layers of four are linear
        ("qwen3next", {}, [KvLayers(1, 64, 64)]),
        ("qwen3next", {"full_attention_interval": 2}, [KvLayers(2, 64, 64)]),
        ("qwen35", {"block_count": 5, "nextn_predict_layers": 1}, [KvLayers(1, 64, 64)]),
        ("rwkv7", {}, []),
        # what the header does not tell, or tells wrongly
        ("llama", {"attention.head_count": 0}, []),
        ("llama", {"attention.head_count": [4, 4]}, []),
        ("llama", {"attention.head_count": [4, 4, -4, 4], "attention.head_count_kv": [4, 4, -4, 4]}, []),
        ("llama", {"attention.head_count_kv": ["a", "b", "c", "d"]}, []),
        ("llama", {"block_count": 4_000_000_000}, []),
    ],
)
def test_keys_and_values(architecture: str, values: dict[str, Any], layers: list[KvLayers], tmp_path: Path) -> None:
    assert card_of(tmp_path, architecture, {**HEADS, **values}).kv_layers == tuple(layers)


def test_bytes_of_keys_and_values(tmp_path: Path) -> None:
    card = card_of(tmp_path, "gpt-oss", {**HEADS, "attention.sliding_window": 128})

    assert card.kv_bytes_per_token(100) == 2 * 4 * 128 * 100
    assert card.kv_bytes_per_token(1000) == 2 * 2 * 128 * (1000 + 128)
    assert card.kv_bytes_per_token(1000, 34 / 32) == pytest.approx(2 * 128 * (1000 + 128) * 34 / 32)
    assert card.sliding_window == 128
    assert card_of(tmp_path, "rwkv7", HEADS).kv_bytes_per_token(1000) == 0


def test_absurd_counts_cost_nothing(tmp_path: Path) -> None:
    begun = time.process_time()

    card = card_of(tmp_path, "llama", {**HEADS, "block_count": 1000, "attention.head_count": [1 << 30] * 1_000_000})

    assert card.kv_layers == ()
    assert time.process_time() - begun < 5
