"""What Ollama's ``/api/show`` says of a model (verbose: with tensors and tokens), as a model card. Pure.

The digests are those that a card read from the file has, so that a model of Ollama's compares with a file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from typing import Final

from pytest_quantcheck.engines.server.stream import numbers_of
from pytest_quantcheck.ggml_types import GGML_TYPES
from pytest_quantcheck.gguf_card import table_digest
from pytest_quantcheck.gguf_cost import EMBEDDING
from pytest_quantcheck.gguf_cost import OUTPUT
from pytest_quantcheck.gguf_header import Tensor
from pytest_quantcheck.gguf_vocabulary import told_digests

_SAMPLING: Final = {"temperature": "temp", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p"}
"""Parameters of a Modelfile -> the keys that a GGUF header has for the same."""
_BLOCKS: Final = {name: (weights, size) for name, weights, size in GGML_TYPES.values()}
_MOST_DIMENSIONS: Final = 4
"""GGML_MAX_DIMS of ggml.h."""
_ARRAYS: Final = ("tokens", "merges", "scores", "token_type")


def told_fields(show: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `ModelCard` by their names; those that are not told are left out.

    :param show: the answer of ``/api/show``.
    :param entry: the model's entry in ``/api/tags``; its digest tells contents apart.
    """
    info = show.get("model_info")
    info = info if isinstance(info, dict) else {}
    scalars = {name: of for name, of in info.items() if isinstance(of, str | int) or name in numbers_of(info)}
    architecture = str(scalars.get("general.architecture") or "")

    def number(name: str) -> int | None:
        value = numbers_of(info).get(name)
        return value or None if isinstance(value, int) else None

    return {
        "architecture": architecture,
        "file_bytes": int(numbers_of(entry).get("size", 0)),
        "parameters": number("general.parameter_count") or 0,
        "context_length": number(f"{architecture}.context_length"),
        "block_count": number(f"{architecture}.block_count"),
        "embedding_length": number(f"{architecture}.embedding_length"),
        "chat_template": template_of(show),
        "metadata": scalars | _sampling(str(show.get("parameters") or "")),
        "tokenizer": str(scalars.get("tokenizer.ggml.model") or ""),
        "pre": str(scalars.get("tokenizer.ggml.pre") or ""),
        "fingerprint": str(entry.get("digest") or "")[:64],
        **_tensors(show.get("tensors")),
        **_vocabulary(info),
    }


def template_of(show: Mapping[str, Any]) -> str | None:
    """The Modelfile's template, in Go's language."""
    template = show.get("template")
    return template if isinstance(template, str) and template else None


def _sampling(parameters: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in parameters.splitlines():
        name, _, value = line.strip().partition(" ")
        with suppress(ValueError):
            if name in _SAMPLING:
                found |= numbers_of({f"general.sampling.{_SAMPLING[name]}": float(value)})
    return found


def _tensors(rows: object) -> dict[str, Any]:
    """Types, bytes and the table's digest; nothing where a row is broken, or of a type that is not known."""
    found = [_tensor(row) for row in rows] if isinstance(rows, list) else []
    tensors = [tensor for tensor in found if tensor is not None]
    if not tensors or len(tensors) < len(found):
        return {}
    kinds = {tensor.name: tensor.type for tensor in tensors}
    types: dict[str, int] = {}
    for tensor in tensors:
        types[tensor.type] = types.get(tensor.type, 0) + tensor.bytes
    return {
        "tensor_types": types,
        "tensor_bytes": sum(types.values()),
        "parameters": sum(tensor.weights for tensor in tensors),
        "tensor_table_digest": table_digest(tensors),
        "embedding_type": kinds.get(EMBEDDING, ""),
        "output_type": kinds.get(OUTPUT) or kinds.get(EMBEDDING, ""),
        "tied_embeddings": EMBEDDING in kinds and OUTPUT not in kinds,
    }


def _tensor(row: object) -> Tensor | None:
    if not isinstance(row, dict):
        return None
    name, kind, shape = row.get("name"), row.get("type"), row.get("shape")
    if not isinstance(name, str) or not isinstance(kind, str) or not isinstance(shape, list):
        return None
    if kind not in _BLOCKS or not 1 <= len(shape) <= _MOST_DIMENSIONS:
        return None
    if not all(type(size) is int and 0 < size < 1 << 40 for size in shape):
        return None
    weights, size = _BLOCKS[kind]
    return Tensor(name, tuple(shape), kind, math.prod(shape) // weights * size, 0)


def _vocabulary(info: Mapping[str, Any]) -> dict[str, Any]:
    arrays = {name: info.get(f"tokenizer.ggml.{name}") for name in _ARRAYS}
    tokens = arrays["tokens"]
    if not isinstance(tokens, list) or not tokens:
        return {}
    digests = told_digests({name: of for name, of in arrays.items() if isinstance(of, list)})
    vocabulary, types = digests if digests is not None else ("", "")
    return {"vocabulary": len(tokens), "vocabulary_digest": vocabulary, "token_types_digest": types}
