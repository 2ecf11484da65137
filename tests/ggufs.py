"""Makers of tiny GGUF files: random weights that llama.cpp loads and generates from, projectors, and broken files."""

from __future__ import annotations

import math
import os
import random
import struct
import sys
import zlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Final
from typing import Literal

import gguf
import numpy as np
import numpy.typing as npt
import pytest

from pytest_quantcheck.ggml_types import GGML_TYPES

CONTROL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
USER_DEFINED: Final = ("<think>", "</think>", "<tool_call>", "</tool_call>")
END: Final = "<|im_end|>"
VOCABULARY: Final = 384
WIDTH: Final = 256
LAYERS: Final = 2
HEADS: Final = 4
KV_HEADS: Final = 2
HIDDEN: Final = 512

CHATML: Final = """\
{%- if tools -%}
{{- '<|im_start|>system\\nTools:' -}}
{%- for tool in tools -%}{{- '\\n' + (tool['function'] | tojson) -}}{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' + (message['content'] or '') + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and not enable_thinking -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}
{%- endif -%}
"""
"""ChatML with a thinking switch, in the manner of Qwen3."""

WORDS: Final = ("the", "and", "of", "to", "in", "is", "for", "on", "with", "total", "name", "value", "number", "red")

Floats = npt.NDArray[np.float32]


def write_random_llama(
    path: Path,
    *,
    seed: int = 0,
    ctx: int = 2048,
    chat_template: str | None = CHATML,
    architecture: str = "llama",
    name: str = "Random",
    weights: Literal["F32", "F16", "BF16", "Q4_0", "Q8_0"] = "F16",
    likely: Mapping[str, float] | None = None,
    nan: bool = False,
    metadata: Mapping[str, str | int | float | bool] | None = None,
) -> Path:
    """A model of 1.4 million random weights with a byte vocabulary; made in a tenth of a second, 2.8 MB as F16.

    ``architecture`` is 'llama', 'qwen3', 'qwen2vl' (positions of three dimensions) or 'cohere2' (a sliding window of 64
    tokens in both layers; the embedding is the output too, so ``likely`` and ``nan`` do nothing); any other name is
    written over llama's tensors and no llama.cpp loads it.
    ``likely`` adds about that much to the logits of the named tokens, as ``tokens()`` spells them: {END: 50} answers
    nothing, {END: -50} never ends, {"<think>": 50} thinks until the budget ends. Unless told otherwise bytes beyond
    ASCII, control characters, special tokens but END and padding are unlikely (-30), so that the text is plain ASCII.
    ``nan`` fills the output matrix with not-a-number. ``metadata`` adds keys.
    """
    random_ = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_context_length(ctx)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(WIDTH // HEADS)
    writer.add_value_length(WIDTH // HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    if architecture == "qwen2vl":
        writer.add_rope_dimension_sections([8, 12, 12, 0])
    if architecture == "cohere2":
        writer.add_layer_norm_eps(1e-5)
        writer.add_logit_scale(0.25)
        writer.add_sliding_window(64)
    writer.add_vocab_size(VOCABULARY)
    add_tokenizer(writer)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for key, value in (metadata or {}).items():
        add_value(writer, key, value)

    def add(tensor: str, *shape: int, silent: bool = False) -> None:
        matrix = random_.standard_normal(shape, dtype=np.float32) / np.float32(shape[-1] ** 0.5)
        if silent:
            matrix[0] = 0  # nothing writes into dimension 0 of the residual stream: see _logit_biases
        _add_matrix(writer, tensor, matrix, weights)

    def add_norm(tensor: str, length: int) -> None:
        writer.add_tensor(tensor, np.ones(length, dtype=np.float32))

    embedding = random_.standard_normal((VOCABULARY, WIDTH), dtype=np.float32)
    embedding[:, 0] = _CONSTANT
    _add_matrix(writer, "token_embd.weight", embedding, weights)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        key_width = WIDTH // HEADS * KV_HEADS
        add_norm(f"{block}.attn_norm.weight", WIDTH)
        add(f"{block}.attn_q.weight", WIDTH, WIDTH)
        add(f"{block}.attn_k.weight", key_width, WIDTH)
        add(f"{block}.attn_v.weight", key_width, WIDTH)
        add(f"{block}.attn_output.weight", WIDTH, WIDTH, silent=True)
        if architecture == "qwen3":
            add_norm(f"{block}.attn_q_norm.weight", WIDTH // HEADS)
            add_norm(f"{block}.attn_k_norm.weight", WIDTH // HEADS)
        if architecture != "cohere2":
            add_norm(f"{block}.ffn_norm.weight", WIDTH)
        add(f"{block}.ffn_gate.weight", HIDDEN, WIDTH)
        add(f"{block}.ffn_up.weight", HIDDEN, WIDTH)
        add(f"{block}.ffn_down.weight", WIDTH, HIDDEN, silent=True)
    add_norm("output_norm.weight", WIDTH)
    output = random_.standard_normal((VOCABULARY, WIDTH), dtype=np.float32) * np.float32(1.5 / WIDTH**0.5)
    output[:, 0] = _logit_biases(likely or {}) / (_CONSTANT / 1.4)
    if nan:
        output[:] = np.nan
    if architecture != "cohere2":
        _add_matrix(writer, "output.weight", output, weights)
    finish(writer)
    return path


def write_random_mamba(path: Path) -> Path:
    """A model without attention, whose memory is a state that cannot be taken back; the vocabulary of the others."""
    width, inner, state, rank, kernel = 64, 128, 16, 4, 4
    random_ = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_name("Random")
    writer.add_context_length(2048)
    writer.add_embedding_length(width)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    add_tokenizer(writer)
    shapes = {
        "ssm_in.weight": (2 * inner, width),
        "ssm_conv1d.weight": (inner, kernel),
        "ssm_x.weight": (rank + 2 * state, inner),
        "ssm_dt.weight": (inner, rank),
        "ssm_out.weight": (width, inner),
    }

    def add(tensor: str, shape: tuple[int, ...]) -> None:
        writer.add_tensor(tensor, random_.standard_normal(shape, dtype=np.float32) / np.float32(shape[-1] ** 0.5))

    add("token_embd.weight", (VOCABULARY, width))
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    decay = -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name, shape in shapes.items():
            add(f"{block}.{name}", shape)
        writer.add_tensor(f"{block}.attn_norm.weight", np.ones(width, dtype=np.float32))
        writer.add_tensor(f"{block}.ssm_conv1d.bias", np.zeros(inner, dtype=np.float32))
        writer.add_tensor(f"{block}.ssm_dt.bias", np.zeros(inner, dtype=np.float32))
        writer.add_tensor(f"{block}.ssm_a", decay)
        writer.add_tensor(f"{block}.ssm_d", np.ones(inner, dtype=np.float32))
    finish(writer)
    return path


def write_random_bert(path: Path, *, width: int = 64, pooling: str = "MEAN", noise: float = 0.0) -> Path:
    """An encoder that reads 128 tokens; its vocabulary are letters, digits and a few marks.

    ``pooling`` is MEAN, CLS, LAST, RANK or NONE. ``noise`` moves every weight by so much of its size, as rounding does.
    """
    ctx, hidden = 128, 128
    random_, rounding = np.random.default_rng(0), np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("Random")
    writer.add_context_length(ctx)
    writer.add_embedding_length(width)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType[pooling])
    signs = "abcdefghijklmnopqrstuvwxyz0123456789.,?!'-"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"\u2581{sign}" for sign in signs), *signs]
    writer.add_tokenizer_model("bert")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3] * 5 + [1] * (len(vocabulary) - 5))
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)

    def add(tensor: str, rows: int, columns: int, size: float) -> None:
        matrix = random_.standard_normal((rows, columns), dtype=np.float32) * np.float32(size)
        matrix *= 1 + np.float32(noise) * rounding.standard_normal(matrix.shape, dtype=np.float32)
        writer.add_tensor(f"{tensor}.weight", matrix)

    def add_bias(tensor: str, length: int) -> None:
        writer.add_tensor(f"{tensor}.bias", np.zeros(length, dtype=np.float32))

    def add_norm(tensor: str) -> None:
        writer.add_tensor(f"{tensor}.weight", np.ones(width, dtype=np.float32))
        add_bias(tensor, width)

    add("token_embd", len(vocabulary), width, 1.0)
    add("position_embd", ctx, width, 0.1)
    add("token_types", 2, width, 0.1)
    add_norm("token_embd_norm")
    shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (width, width))
    for layer in range(LAYERS):
        for name, (rows, columns) in {**shapes, "ffn_up": (hidden, width), "ffn_down": (width, hidden)}.items():
            add(f"blk.{layer}.{name}", rows, columns, columns**-0.5)
            add_bias(f"blk.{layer}.{name}", rows)
        add_norm(f"blk.{layer}.attn_output_norm")
        add_norm(f"blk.{layer}.layer_output_norm")
    finish(writer)
    return path


def write_random_mmproj(
    path: Path,
    *,
    seed: int = 0,
    width: int = WIDTH,
    side: int = 2,
    kind: Literal["gemma3", "qwen2vl_merger"] = "gemma3",
) -> Path:
    """An image projector of Gemma 3's kind: an image becomes ``side`` by ``side`` tokens of ``width`` numbers.

    That of Qwen2-VL goes by the image's size, and its tokens have positions in two dimensions.
    No program takes either for a language model.
    """
    patch, inner, hidden = 8, 32, 64
    random_ = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_string("clip.projector_type", kind)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    sizes = {
        "image_size": 2 * side * patch,
        "patch_size": patch,
        "embedding_length": inner,
        "feed_forward_length": hidden,
        "block_count": 1,
        "attention.head_count": 2,
        "projection_dim": width,
        "projector.scale_factor": 2,
    }
    for key, value in sizes.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.5] * 3)
    writer.add_array("clip.vision.image_std", [0.5] * 3)

    def add(tensor: str, *shape: int) -> None:
        scale = np.float32(math.prod(shape[1:]) ** -0.5)
        writer.add_tensor(f"{tensor}.weight", random_.standard_normal(shape, dtype=np.float32) * scale)

    add("v.patch_embd", inner, 3, patch, patch)
    for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
        add(f"v.blk.0.{name}", inner, inner)
        writer.add_tensor(f"v.blk.0.{name}.bias", np.zeros(inner, dtype=np.float32))
    add("v.blk.0.ffn_up", hidden, inner)
    add("v.blk.0.ffn_down", inner, hidden)
    for name in ("v.blk.0.ln1", "v.blk.0.ln2", "v.post_ln"):
        writer.add_tensor(f"{name}.weight", np.ones(inner, dtype=np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(inner, dtype=np.float32))
    if kind == "gemma3":
        add("v.position_embd", 4 * side * side, inner)
        writer.add_tensor("mm.soft_emb_norm.weight", np.ones(inner, dtype=np.float32))
        # read the other way round: llama.cpp transposes it
        writer.add_tensor("mm.input_projection.weight", random_.standard_normal((inner, width), dtype=np.float32))
    else:
        writer.add_tensor("v.patch_embd.weight.1", np.zeros((inner, 3, patch, patch), dtype=np.float32))  # of videos
        for layer, outputs, inputs in ((0, hidden, 4 * inner), (2, width, hidden)):
            writer.add_tensor(f"mm.{layer}.weight", random_.standard_normal((outputs, inputs), dtype=np.float32))
            writer.add_tensor(f"mm.{layer}.bias", np.zeros(outputs, dtype=np.float32))
    finish(writer)
    return path


def png(red: int, green: int, blue: int, *, size: int = 8) -> bytes:
    """An image of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes((red, green, blue)) * size) * size
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tokens() -> list[str]:
    """The vocabulary by id: 256 bytes in GPT-2's spelling, merged words, padding, special tokens last."""
    learnt = [_LETTERS[byte] for byte in range(256)] + [left + right for left, right in _merges()]
    specials = [*CONTROL, *USER_DEFINED]
    return [*learnt, *(f"[PAD{n}]" for n in range(VOCABULARY - len(learnt) - len(specials))), *specials]


# Every embedding holds this in dimension 0 and no layer changes it, so a weight there is a bias of the logit.
_CONSTANT: Final = 4.0


def _byte_letters() -> dict[int, str]:
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + len(letters) - len(plain)))
    return letters


_LETTERS: Final = _byte_letters()


def _merges() -> list[tuple[str, str]]:
    pairs: dict[tuple[str, str], None] = {}
    for word in WORDS:
        left = _LETTERS[ord(" ")]
        for letter in word:
            pairs[left, letter] = None
            left += letter
    return list(pairs)


def _logit_biases(likely: Mapping[str, float]) -> Floats:
    plain = {_LETTERS[byte] for byte in (*range(32, 127), ord("\n"))} | {left + right for left, right in _merges()}
    default = {token: 0.0 if token in plain or token == END else -30.0 for token in tokens()}
    if unknown := likely.keys() - default.keys():
        raise ValueError(f"no such tokens: {sorted(unknown)}")
    biases = {**default, **likely}
    return np.array([biases[token] for token in tokens()], dtype=np.float32)


def add_tokenizer(writer: gguf.GGUFWriter) -> None:
    """The byte vocabulary of all these models."""

    def kind(token: str) -> gguf.TokenType:
        if token in CONTROL:
            return gguf.TokenType.CONTROL
        if token in USER_DEFINED:
            return gguf.TokenType.USER_DEFINED
        return gguf.TokenType.UNUSED if token.startswith("[PAD") else gguf.TokenType.NORMAL

    vocabulary = tokens()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([kind(token) for token in vocabulary])
    writer.add_token_merges([f"{left} {right}" for left, right in _merges()])
    writer.add_bos_token_id(vocabulary.index("<|endoftext|>"))
    writer.add_eos_token_id(vocabulary.index(END))
    writer.add_add_bos_token(False)


def add_value(writer: gguf.GGUFWriter, key: str, value: str | float | bool) -> None:
    """One metadata key, of the type of its value."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def _add_matrix(writer: gguf.GGUFWriter, name: str, matrix: Floats, weights: str) -> None:
    kind = gguf.GGMLQuantizationType[weights]
    if weights == "F32":
        writer.add_tensor(name, matrix)
    elif weights == "F16":
        writer.add_tensor(name, matrix.astype(np.float16))
    else:
        writer.add_tensor(name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)


def finish(writer: gguf.GGUFWriter) -> None:
    """Write all of it."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def text(value: str | bytes) -> bytes:
    """A GGUF string: its length, its bytes."""
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def key(name: str, kind: int, data: bytes) -> bytes:
    """One metadata key; ``kind`` is the GGUF value type (4 u32, 8 string, 9 array)."""
    return text(name) + struct.pack("<I", kind) + data


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    """One row of the tensor table; ``kind`` is the ggml type (0 F32)."""
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def file_bytes(
    *parts: bytes,
    keys: int,
    tensors: int,
    version: int = 3,
    data: int = 0,
) -> bytes:
    """A GGUF file out of hand-made keys and table rows, padded to 32, and ``data`` zero bytes of weights."""
    head = b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + b"".join(parts)
    return head + b"\0" * (-len(head) % 32) + b"\0" * data


Value = str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]


def write_header(
    path: Path, values: Mapping[str, Value], tensors: Mapping[str, tuple[str, tuple[int, ...]]] | None = None
) -> Path:
    """A file with these metadata and, by name, tensors of a ggml type and a shape; the weights are a hole of zeros.

    Numbers become u32 or f32, of arrays i32 or f32. Without tensors there is one of 32 numbers.
    """
    rows, end = [], 0
    numbers = {name: number for number, (name, _, _) in GGML_TYPES.items()}
    for name, (kind, shape) in (tensors or {"t": ("F32", (32,))}).items():
        rows.append(tensor(name, shape, numbers[kind], end))
        _, block, size = GGML_TYPES[numbers[kind]]
        end += -(-(math.prod(shape) // block * size) // 32) * 32
    keys = [key(name, *_packed(value)) for name, value in values.items()]
    path.write_bytes(file_bytes(*keys, *rows, keys=len(keys), tensors=len(rows)))
    os.truncate(path, path.stat().st_size + end)
    return path


def _packed(value: Value) -> tuple[int, bytes]:
    if isinstance(value, str):
        return 8, text(value)
    if isinstance(value, bool | int | float):
        kind, form = {bool: (7, "?"), int: (4, "I"), float: (6, "f")}[type(value)]
        return kind, struct.pack(f"<{form}", value)
    kind, form = {bool: (7, "?"), int: (5, "i"), float: (6, "f"), str: (8, "")}[type(value[0])]
    data = b"".join(text(str(item)) if not form else struct.pack(f"<{form}", item) for item in value)
    return 9, struct.pack("<IQ", kind, len(value)) + data


ARCHITECTURE: Final = key("general.architecture", 8, text("llama"))


def _array(kind: int, length: int) -> bytes:
    return struct.pack("<IQ", kind, length)


def _bare(*parts: bytes) -> bytes:
    return file_bytes(ARCHITECTURE, *parts, keys=1 + len(parts), tensors=0)


def _table(*rows: bytes, data: int = 4096) -> bytes:
    return file_bytes(ARCHITECTURE, *rows, keys=1, tensors=len(rows), data=data)


CORRUPT: Final[dict[str, tuple[Callable[[bytes], bytes], str]]] = {
    # name: (good file -> bad file, pattern of what the reader says)
    "empty": (lambda good: b"", r"^is empty$"),
    "twenty bytes": (lambda good: good[:20], r"^is truncated or damaged: the number of metadata keys needs 24 bytes"),
    "truncated in the vocabulary": (lambda good: good[:3000], r"^is truncated or damaged: .* the file has 3000$"),
    "half": (lambda good: good[: len(good) // 2], r"^is truncated: the tensor table needs \d+ bytes, the file has \d+"),
    "random bytes": (lambda good: random.Random(0).randbytes(10_000), r"^is not a GGUF file \(starts with b'"),
    "wrong magic": (lambda good: b"GGML" + good[4:], r"^is not a GGUF file \(starts with b'GGML'\)$"),
    "git lfs": (lambda good: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"^is a Git LFS pointer"),
    "version 1": (lambda good: good[:4] + struct.pack("<I", 1) + good[8:], r"^GGUF version 1 is not supported"),
    "version 99": (lambda good: good[:4] + struct.pack("<I", 99) + good[8:], r"^GGUF version 99 is not supported"),
    "big-endian": (lambda good: good[:4] + struct.pack(">I", 3) + good[8:], r"^is a big-endian GGUF"),
    "2^60 tensors": (lambda good: good[:8] + struct.pack("<Q", 1 << 60) + good[16:], r"^is damaged: it claims 1152921"),
    "2^40 keys": (lambda good: good[:16] + struct.pack("<Q", 1 << 40) + good[24:], r"^is damaged: it claims 109951162"),
    "key of 2^62 bytes": (lambda good: good[:24] + struct.pack("<Q", 1 << 62) + good[32:], r"metadata key 0 claims 46"),
    "string of 2^62 bytes": (lambda good: _bare(key("x", 8, struct.pack("<Q", 1 << 62))), r"damaged: the value of 'x'"),
    "string of 2^64 - 1 bytes": (lambda good: _bare(key("x", 8, b"\xff" * 8)), r"damaged: the value of 'x' needs 1844"),
    "array of 2^60 bytes": (lambda good: _bare(key("x", 9, _array(0, 1 << 60))), r"the value of 'x' needs 11529215"),
    "array of 2^60 strings": (lambda good: _bare(key("x", 9, _array(8, 1 << 60))), r"the value of 'x' needs 92233"),
    "array of strings of 2^62 bytes": (
        lambda good: _bare(key("x", 9, _array(8, 2) + struct.pack("<2Q", 1 << 62, 0))),
        r"^is truncated or damaged: the value of 'x'",
    ),
    "nested arrays": (lambda good: _bare(key("x", 9, _array(9, 1) * 10_000)), r"'x' is an array of arrays"),
    "array of an unknown type": (lambda good: _bare(key("x", 9, _array(77, 1))), r"array of the unknown type 77"),
    "unknown value type": (
        lambda good: _bare(key("x", 77, b"")),
        r"^is damaged: the value of 'x' has the unknown type",
    ),
    "key twice": (lambda good: _bare(ARCHITECTURE), r"'general.architecture' stands there twice"),
    "key with escapes": (lambda good: _bare(key("\x1b[2J\n" * 99, 77, b"")), r"the value of '\\x1b\[2J\\n"),
    "alignment 3": (lambda good: _bare(key("general.alignment", 4, struct.pack("<I", 3))), r"not a power of two"),
    "alignment 0": (lambda good: _bare(key("general.alignment", 4, struct.pack("<I", 0))), r"not a power of two"),
    "alignment as text": (lambda good: _bare(key("general.alignment", 8, text("32"))), r"not a power of two"),
    "no architecture": (
        lambda good: file_bytes(tensor("t", (32,)), keys=0, tensors=1, data=128),
        r"^names no architecture",
    ),
    "no weights": (lambda good: _bare(), r"^holds no weights"),
    "five dimensions": (lambda good: _table(tensor("t", (1, 1, 1, 1, 1))), r"'t' has 5 dimensions"),
    "2^32 - 1 dimensions": (lambda good: _table(text("t") + b"\xff" * 64), r"'t' has 4294967295 dimensions"),
    "overflowing shape": (lambda good: _table(tensor("t", (1 << 63, 1 << 63))), r"'t' has the impossible shape"),
    "shape with zero": (lambda good: _table(tensor("t", (0, 4))), r"'t' has the impossible shape \[0, 4\] for F32"),
    "row of half a block": (lambda good: _table(tensor("t", (48, 2), kind=2)), r"impossible shape \[48, 2\] for Q4_0"),
    "tensor type 999": (lambda good: _table(tensor("t", (32,), kind=999)), r"unknown or removed type 999"),
    "removed tensor type": (lambda good: _table(tensor("t", (32,), kind=4)), r"unknown or removed type 4$"),
    "tensor twice": (lambda good: _table(tensor("t", (8,)), tensor("t", (8,), offset=32)), r"'t' stands there twice"),
    "overlapping tensors": (lambda good: _table(tensor("t", (8,)), tensor("u", (8,))), r"'u' stands at 0, its place"),
    "tensor far away": (lambda good: _table(tensor("t", (8,), offset=1 << 63)), r"'t' stands at 9223372036854775808"),
    "tensor of 2^62 weights": (lambda good: _table(tensor("t", (1 << 62,))), r"the tensor table needs 1844674407"),
    "last byte missing": (lambda good: good[:-1], r"^is truncated: the tensor table needs"),
}
"""Broken files that a reader must refuse in one clear line."""


def write_corrupt(path: Path, how: str, good: bytes) -> Path:
    """Writes the ``CORRUPT[how]`` form of a good file."""
    path.write_bytes(CORRUPT[how][0](good))
    return path


def truncate(path: Path, fraction: float) -> Path:
    """Cuts the file at a fraction of its length."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path


def split(path: Path, parts: int, *, missing: int | None = None) -> list[Path]:
    """The model in so many parts beside it, as llama-gguf-split makes them; the file itself stays."""
    reader = gguf.GGUFReader(path)
    each = -(-len(reader.tensors) // parts)
    made = []
    for number in range(parts):
        target = path.with_name(f"{path.stem}-{number + 1:05}-of-{parts:05}.gguf")
        writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
        if number == 0:
            for field in reader.fields.values():
                if not field.name.startswith(("GGUF.", "general.architecture")):
                    kind = field.types[0]
                    inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
                    writer.add_key_value(field.name, field.contents(), kind, inner)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", parts)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for row in reader.tensors[number * each : (number + 1) * each]:
            writer.add_tensor(row.name, row.data, raw_dtype=row.tensor_type)
        finish(writer)
        made.append(target)
    if missing is not None:
        made[missing - 1].unlink()
    return made


def write_split(path: Path, part: int, parts: int) -> Path:
    """One part of a split model; ``part`` counts from 1."""
    counts = {"split.no": part - 1, "split.count": parts}
    keys = [key(name, 2, struct.pack("<H", value)) for name, value in counts.items()]
    path.write_bytes(file_bytes(ARCHITECTURE, *keys, tensor("t", (32,)), keys=3, tensors=1, data=128))
    return path


SmallValue = str | int | float | bool | list[str] | list[int]

SMALL_HEADER: Final[dict[str, SmallValue]] = {
    "general.architecture": "llama",
    "general.name": "Header",
    "general.quantized_by": "somebody",
    "general.base_model.count": 1,
    "general.base_model.0.name": "Base",
    "llama.context_length": 4096,
    "llama.embedding_length": 32,
    "llama.block_count": 1,
    "llama.feed_forward_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.sliding_window": 512,
    "llama.expert_count": 4,
    "llama.rope.freq_base": 10000.0,
    "llama.rope.dimension_count": 8,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": ["a", "b", "ab", "<s>", "<end>", "<turn>", "<tool_call>", "[PAD]"],
    "tokenizer.ggml.token_type": [1, 1, 1, 3, 3, 3, 3, 5],
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.bos_token_id": 3,
    "tokenizer.ggml.eos_token_id": 4,
    "tokenizer.ggml.add_bos_token": False,
    "tokenizer.chat_template": "{{ messages }}",
    "general.sampling.temp": 1.0,
    "quantize.imatrix.dataset": "wiki.train",
}
"""The keys of a small header, by name."""
SMALL_TENSORS: Final = {
    "token_embd.weight": ((32, 8), 8),
    "blk.0.attn_q.weight": ((32, 32), 8),
    "output.weight": ((32, 8), 8),
}
"""Its tensors: shape, and number of the ggml type (2 Q4_0, 8 Q8_0)."""


def write_small_header(
    path: Path,
    changes: Mapping[str, SmallValue | None] | None = None,
    tensors: Mapping[str, tuple[tuple[int, ...], int]] | None = None,
) -> Path:
    """A model of three tensors full of zeros: its header is sound, no program would run it.

    :param changes: keys that are other than in ``SMALL_HEADER``; None leaves one out.
    :param tensors: instead of ``SMALL_TENSORS``.
    """
    keys = {name: value for name, value in {**SMALL_HEADER, **(changes or {})}.items() if value is not None}
    table = {name: (GGML_TYPES[kind][0], shape) for name, (shape, kind) in (tensors or SMALL_TENSORS).items()}
    return write_header(path, keys, table)


def overflow(monkeypatch: pytest.MonkeyPatch, tensor: str) -> None:
    """Files that are made from now on hold huge numbers in this tensor: each is a number, their sums are none."""
    add = _add_matrix

    def add_huge(writer: Any, name: str, matrix: Any, weights: str) -> None:
        add(writer, name, matrix * 0 + 3e38 if name == tensor else matrix, weights)

    monkeypatch.setattr(sys.modules[__name__], "_add_matrix", add_huge)
