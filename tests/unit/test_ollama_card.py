"""What Ollama's /api/show tells of a file is what the file's own card says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.engines.server.dialect import served_card
from pytest_quantcheck.engines.server.ollama_card import told_fields
from pytest_quantcheck.file_differences import file_differences
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card

FILE = Path(__file__).parents[2] / "example_suites" / "tiny" / "models" / "tiny-q4_0.gguf"
ENTRY = {"size": FILE.stat().st_size, "digest": "ab" * 32}


def shown(path: Path) -> dict[str, Any]:
    """The answer for this file: metadata with all arrays, and the tensor table."""
    reader = gguf.GGUFReader(path)
    info = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    info = {name: of for name, of in info.items() if name not in ("general.name", "tokenizer.chat_template")}
    tensors = [
        {"name": one.name, "type": one.tensor_type.name, "shape": [int(size) for size in one.shape]}
        for one in reader.tensors
    ]
    return {"template": "{{ .Prompt }}", "parameters": "top_k 64", "model_info": info, "tensors": tensors}


SHOWN = shown(FILE)


def card(show: dict[str, Any]) -> ModelCard:
    return served_card("http://h#m", "m (h)", **told_fields(show, ENTRY))


def test_it_is_the_files_own_card_as_far_as_it_is_told() -> None:
    told, own = card(SHOWN), read_card(FILE)

    for name in ("vocabulary", "vocabulary_digest", "token_types_digest", "tensor_table_digest", "tensor_types"):
        assert getattr(told, name) == getattr(own, name), name
    assert (told.tensor_bytes, told.parameters, told.architecture) == (own.tensor_bytes, own.parameters, "qwen3")
    assert {one.row for one in file_differences(own, told)} == {"chat template"}  # Ollama's is in another language
    assert told.metadata["general.sampling.top_k"] == 64


def test_another_vocabulary_is_another_one() -> None:
    info = dict(SHOWN["model_info"])
    info["tokenizer.ggml.tokens"] = [*info["tokenizer.ggml.tokens"][:-1], "other"]

    assert {one.row for one in file_differences(read_card(FILE), card(SHOWN | {"model_info": info}))} > {"vocabulary"}


@pytest.mark.parametrize(
    ("show", "silent"),
    [
        ({"model_info": {}}, {"vocabulary_digest": "", "architecture": ""}),
        ({"model_info": {"tokenizer.ggml.tokens": []}}, {"vocabulary": None}),
        ({"model_info": {"tokenizer.ggml.tokens": ["a", "\ufffd"]}}, {"vocabulary": 2, "vocabulary_digest": ""}),
        ({"model_info": {"tokenizer.ggml.tokens": ["a", 5]}}, {"vocabulary_digest": ""}),
        ({"tensors": [{"name": "x", "type": "Q9_9", "shape": [32]}]}, {"tensor_table_digest": "", "tensor_types": {}}),
        ({"tensors": [{"name": "x", "type": "F32", "shape": [-1]}]}, {"tensor_table_digest": ""}),
        ({"tensors": [{"name": "x", "type": "F32", "shape": "32"}]}, {"tensor_table_digest": ""}),
    ],
)
def test_what_cannot_be_the_files_is_not_told(show: dict[str, Any], silent: dict[str, Any]) -> None:
    told = card(show)

    assert {name: getattr(told, name) for name in silent} == silent


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_ROW = st.fixed_dictionaries({"name": _JSON, "type": st.just("F32") | _JSON, "shape": _JSON})
_INFO = st.dictionaries(
    st.sampled_from([f"tokenizer.ggml.{name}" for name in ("tokens", "merges", "scores", "token_type")]), _JSON
)


@given(info=_INFO, rows=st.lists(_ROW), more=st.dictionaries(st.sampled_from(["template", "parameters"]), _JSON))
def test_whatever_is_told_makes_a_card(info: dict[str, Any], rows: list[Any], more: dict[str, Any]) -> None:
    assert card({"model_info": info, "tensors": rows, **more}).served
