"""What a GGUF file says of itself, from its header alone: nothing is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import Final

from pytest_quantcheck.gguf_cost import EMBEDDING
from pytest_quantcheck.gguf_cost import OUTPUT
from pytest_quantcheck.gguf_cost import KvLayers
from pytest_quantcheck.gguf_cost import decode_bytes
from pytest_quantcheck.gguf_cost import kv_layers
from pytest_quantcheck.gguf_header import GgufError
from pytest_quantcheck.gguf_header import Header
from pytest_quantcheck.gguf_header import Scalar
from pytest_quantcheck.gguf_header import Tensor
from pytest_quantcheck.gguf_header import opened
from pytest_quantcheck.gguf_parts import fingerprint
from pytest_quantcheck.gguf_parts import part_paths
from pytest_quantcheck.gguf_parts import read_parts
from pytest_quantcheck.gguf_parts import tensors_of
from pytest_quantcheck.gguf_vocabulary import SpecialToken
from pytest_quantcheck.gguf_vocabulary import read_vocabulary
from pytest_quantcheck.records import Record
from pytest_quantcheck.text import text_digest

__all__ = ["GgufError", "KvLayers", "ModelCard", "SpecialToken", "read_card", "same_content"]

_TEMPLATE: Final = "tokenizer.chat_template"
_TOKENS: Final = "tokenizer.ggml.tokens"
_NOT_A_MODEL: Final = {
    # general.type: what such a file is
    "mmproj": "an image projector (mmproj), not a language model; give the text model",
    "adapter": "a LoRA adapter, not a language model; give the model that it was merged into",
    "imatrix": "an importance matrix, not a language model",
}
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelCard(Record):
    """One model file. Sizes in bytes; None where the header does not say.

    ``tensor_bytes`` and ``parameters`` are what llama.cpp's llama_model_size and llama_model_n_params answer.
    ``tensor_types`` maps a ggml type to the bytes that it takes; ``metadata`` holds every scalar key of the header but
    the chat template (numbers that are not finite as text). The rest says more of the same, so that two cards can be
    compared field by field; an empty or zero field is one that the header does not tell.
    """

    path: str
    name: str
    architecture: str
    file_bytes: int
    tensor_bytes: int
    parameters: int
    tensor_types: dict[str, int]
    context_length: int | None
    block_count: int | None
    embedding_length: int | None
    vocabulary: int | None
    chat_template: str | None
    metadata: dict[str, Scalar]
    tokenizer: str = ""
    """tokenizer.ggml.model: 'gpt2' (BPE), 'llama' (SentencePiece), ..."""
    pre: str = ""
    """tokenizer.ggml.pre: how text is cut before the merges."""
    vocabulary_digest: str = ""
    """Of the tokens, merges and scores, byte for byte."""
    token_types_digest: str = ""
    special_tokens: tuple[SpecialToken, ...] = ()
    end_of_generation: tuple[str, ...] = ()
    """Texts of the tokens at which llama.cpp stops, by id."""
    add_bos: bool | None = None
    """Whether llama.cpp puts the BOS token before a text."""
    add_space_prefix: bool | None = None
    bos: str = ""
    eos: str = ""
    tensor_table_digest: str = ""
    """Of the names, shapes and types of all tensors, in order."""
    embedding_type: str = ""
    """ggml type of token_embd.weight."""
    output_type: str = ""
    """ggml type of the matrix that makes the logits: output.weight, or token_embd.weight where they are tied."""
    tied_embeddings: bool = False
    decode_bytes: int = 0
    """Bytes of weights that one decoded token reads: docs/explanation/model-cards.md tells what counts."""
    kv_layers: tuple[KvLayers, ...] = ()
    sliding_window: int | None = None
    sampling: dict[str, Scalar] = field(default_factory=dict)
    """general.sampling.*, without the prefix."""
    rope: dict[str, Scalar] = field(default_factory=dict)
    """{architecture}.rope.*, without the prefix."""
    quantizer: dict[str, Scalar] = field(default_factory=dict)
    """quantized_by, quantization_version and file_type, where the header says."""
    imatrix: dict[str, Scalar] = field(default_factory=dict)
    """quantize.imatrix.*, without the prefix."""
    fingerprint: str = ""
    """Tells contents apart without reading all bytes: ``gguf_parts.fingerprint`` says what it is and what it is not."""
    parts: int = 1
    """Files that the model consists of."""
    served: bool = False
    """A server speaks for the file: what the card does not say is unknown, and the context is the server's."""
    template_is_go: bool = False
    """The chat template is Ollama's, in Go's template language: nothing else renders it."""
    thinks: bool | None = None
    """Whether the model thinks unless told otherwise, where the server says so beside the template."""

    def kv_bytes_per_token(self, context: int, bytes_per_value: float = 2.0) -> float:
        """Bytes of keys and values that one decoded token reads when ``context`` tokens stand before it."""
        return bytes_per_value * sum(
            group.layers
            * (group.key_width + group.value_width)
            * (context if group.window is None else min(context, group.window))
            for group in self.kv_layers
        )

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {
            "special_tokens": lambda tokens: tuple(SpecialToken.from_payload(token) for token in tokens),
            "end_of_generation": tuple,
            "kv_layers": lambda groups: tuple(KvLayers.from_payload(group) for group in groups),
        }

    @property
    def bits_per_weight(self) -> float:
        """Bits that one weight takes on average, scales and unquantized tensors included."""
        return self.tensor_bytes * 8 / self.parameters

    @property
    def type_mix(self) -> str:
        """Shares of the weights' bytes, largest first: 'Q4_0 97 %, F32 3 %'."""
        largest_first = sorted(self.tensor_types.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{name} {_percent(size, self.tensor_bytes)}" for name, size in largest_first)

    @property
    def file_name(self) -> str:
        """The last part of the path; of a served model its name and place."""
        return self.name if self.served else Path(self.path).name


def read_card(path: str | Path) -> ModelCard:
    """The card of a language model, in one file or in the parts beside the one that is given.

    GgufError, one line without the path, for everything else. Takes milliseconds and, for a vocabulary of 262k tokens,
    a fraction of a second; vocabularies are not kept.
    """
    parts = read_parts(path)
    header, tensors = parts[0].header, tensors_of(parts)
    architecture = _line(header.scalars.get("general.architecture"))
    _refuse_other_files(header, architecture, tensors)
    types: dict[str, int] = {}
    for tensor in tensors:
        types[tensor.type] = types.get(tensor.type, 0) + tensor.bytes
    tokens = header.spans.get(_TOKENS)
    template = header.scalars.get(_TEMPLATE)
    template = template if isinstance(template, str) else None
    embedding, output = (_type_of(tensors, name) for name in (EMBEDDING, OUTPUT))
    with opened(parts[0].path) as file:
        words = read_vocabulary(file, header, template or "")
        layers = kv_layers(file, header, architecture)
    return ModelCard(
        path=str(parts[0].path if len(parts) > 1 else path),
        name=_line(header.scalars.get("general.name")) or parts[0].path.stem,
        architecture=architecture,
        file_bytes=sum(part.header.file_bytes for part in parts),
        tensor_bytes=sum(types.values()),
        parameters=sum(tensor.weights for tensor in tensors),
        tensor_types=types,
        context_length=_count(header, f"{architecture}.context_length"),
        block_count=_count(header, f"{architecture}.block_count"),
        embedding_length=_count(header, f"{architecture}.embedding_length"),
        vocabulary=tokens.length if tokens else _count(header, f"{architecture}.vocab_size"),
        chat_template=template,
        metadata={key: value for key, value in header.scalars.items() if key != _TEMPLATE},
        tokenizer=_line(header.scalars.get("tokenizer.ggml.model")),
        pre=_line(header.scalars.get("tokenizer.ggml.pre")),
        vocabulary_digest=words.digest,
        token_types_digest=words.types_digest,
        special_tokens=words.special,
        end_of_generation=words.end_of_generation,
        add_bos=words.add_bos,
        add_space_prefix=words.add_space_prefix,
        bos=words.bos,
        eos=words.eos,
        tensor_table_digest=table_digest(tensors),
        embedding_type=embedding,
        output_type=output or embedding,
        tied_embeddings=bool(embedding) and not output,
        decode_bytes=decode_bytes(header, architecture, tensors),
        kv_layers=layers,
        sliding_window=_count(header, f"{architecture}.attention.sliding_window"),
        sampling=_below(header, "general.sampling."),
        rope=_below(header, f"{architecture}.rope."),
        quantizer=_below(header, "general.", "quantized_by", "quantization_version", "file_type"),
        imatrix=_below(header, "quantize.imatrix."),
        fingerprint=fingerprint(parts),
        parts=len(parts),
    )


def same_content(a: str | Path, b: str | Path) -> bool:
    """Whether two models hold the same bytes, exactly; OSError when one cannot be read.

    Costs nothing for one file under two names or for files of different size, else up to reading both once. Where the
    names say that they are split models, all parts are compared with all parts.
    """
    mine, theirs = (paths if all(path.exists() for path in paths) else paths[:0] for paths in map(part_paths, (a, b)))
    if not mine or not theirs:  # the names pretend
        return _same_bytes(Path(a), Path(b))
    if len(mine) != len(theirs):
        return False
    return all(_same_bytes(*pair) for pair in zip(mine, theirs, strict=True))


def _same_bytes(a: Path, b: Path) -> bool:
    if os.path.samefile(a, b):
        return True
    if os.path.getsize(a) != os.path.getsize(b):
        return False
    with open(a, "rb") as left, open(b, "rb") as right:
        while True:
            mine = left.read(_CHUNK)
            if mine != right.read(_CHUNK):
                return False
            if not mine:
                return True


def _refuse_other_files(header: Header, architecture: str, tensors: tuple[Tensor, ...]) -> None:
    """GgufError for a sound GGUF file that is no language model."""
    kind = "mmproj" if architecture == "clip" else str(header.scalars.get("general.type", ""))
    if kind in _NOT_A_MODEL:
        raise GgufError(f"is {_NOT_A_MODEL[kind]}")
    if not architecture:
        raise GgufError("names no architecture (general.architecture)")
    if not tensors:
        raise GgufError("holds no weights (a vocabulary file?)")
    if _TEMPLATE in header.spans:
        raise GgufError(f"has a chat template that is no text or too long ({header.spans[_TEMPLATE].length} bytes)")


def table_digest(tensors: Sequence[Tensor]) -> str:
    """Of the names, shapes and types of tensors, in order."""
    rows = "".join(f"{tensor.name}\0{tensor.shape}\0{tensor.type}\n" for tensor in tensors)
    return text_digest(rows)


def _type_of(tensors: tuple[Tensor, ...], name: str) -> str:
    return next((tensor.type for tensor in tensors if tensor.name == name), "")


def _below(header: Header, prefix: str, *names: str) -> dict[str, Scalar]:
    """The scalars whose keys begin so, by the rest of the key; of all of them, or of those named."""
    found = {key.removeprefix(prefix): value for key, value in header.scalars.items() if key.startswith(prefix)}
    return {name: value for name, value in found.items() if not names or name in names}


def _count(header: Header, key: str) -> int | None:
    value = header.scalars.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _line(text: Scalar | None) -> str:
    """A string value as one printable line: it ends up in terminals and in error messages."""
    if not isinstance(text, str):
        return ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text[:200]).split())


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    if share < 0.5:
        return "<1 %"
    if 99.5 <= share < 100:
        return ">99 %"
    return f"{share:.0f} %"
