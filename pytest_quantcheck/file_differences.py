"""Two model cards against each other: what differs between the files as shipped. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from typing import Final

from pytest_quantcheck import token_differences as tokens
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_header import Scalar
from pytest_quantcheck.header_words import both
from pytest_quantcheck.header_words import changes
from pytest_quantcheck.header_words import listed
from pytest_quantcheck.header_words import several
from pytest_quantcheck.header_words import value
from pytest_quantcheck.records import Role
from pytest_quantcheck.renderings import Renderings
from pytest_quantcheck.rows import Difference
from pytest_quantcheck.rows import difference

MOST_BITS_APART: Final = 0.25
"""Bits per weight; two formats that are further apart differ in size enough to differ in quality by that alone."""
_SIZE_TOLERANCE: Final = 1e-3
"""Share of the weights that one file may have more of: rotary factors and the like."""
_READ_ALIKE: Final = "; both sides read the same tokens in this run"
_OF_PROMPTS: Final = ("tokenizer", "token types")
_UNKNOWN: Final[dict[str, Any]] = {
    **dict.fromkeys(("architecture", "tokenizer", "pre", "vocabulary_digest", "token_types_digest", "bos", "eos"), ""),
    **dict.fromkeys(("tensor_table_digest", "embedding_type", "output_type"), ""),
    **dict.fromkeys(("block_count", "embedding_length", "vocabulary", "chat_template", "sliding_window"), None),
    **dict.fromkeys(("add_bos", "add_space_prefix"), None),
    **{name: {} for name in ("tensor_types", "sampling", "rope", "quantizer", "imatrix")},
    **dict.fromkeys(("special_tokens", "end_of_generation"), ()),
    "parameters": 0,
}
"""Fields of a card that are compared, with what they hold where nobody tells."""
# beside '{architecture}.': keys that say nothing of the shapes, or have a row of their own
_OWN_ROWS: Final = (".rope.", ".context_length", ".vocab_size", "sliding_window")


def file_differences(
    baseline: ModelCard,
    candidate: ModelCard,
    *,
    prompts_alike: bool | None = None,
    template_pinned: bool = False,
    sampled: bool = False,
    renderings: Sequence[Renderings] = (),
) -> list[Difference]:
    """What differs between two files of different content.

    :param prompts_alike: both sides read the same token ids; None when nobody knows yet.
    :param template_pinned: the baseline's template rendered both sides.
    :param sampled: answers are drawn with the model's own sampling.
    :param renderings: what the two templates make of the same conversations, if known.
    """
    baseline, candidate = as_told(baseline, candidate)
    alike = prompts_alike is True
    found = []
    for row, compare in _SENTENCES.items():
        if text := compare(baseline, candidate):
            harmless = alike and row in _OF_PROMPTS
            found.append(difference(row, text + (_READ_ALIKE if harmless else ""), informs=harmless))
    if baseline.chat_template != candidate.chat_template:
        found.append(_template(baseline, candidate, alike=alike, pinned=template_pinned, rendered=renderings))
    if text := _sampling(baseline, candidate, sampled=sampled):
        found.append(difference("sampling defaults", text, informs=not sampled))
    return found


def as_told(old: ModelCard, new: ModelCard) -> tuple[ModelCard, ModelCard]:
    """Both cards without what only one of them can tell: a server keeps silent of much."""
    if not old.served and not new.served:
        return old, new
    silent = {
        name: nothing
        for name, nothing in _UNKNOWN.items()
        if any(card.served and getattr(card, name) == nothing for card in (old, new))
    }
    unknown: dict[str, Any] = silent | {"context_length": None}  # a server's is that of its run
    both_tell = set.intersection(*(set(card.metadata) for card in (old, new) if card.served))
    # a server may tell its template without the last newline, which Jinja drops anyway
    old, new = (
        replace(card, chat_template=card.chat_template.removesuffix("\n")) if card.chat_template else card
        for card in (old, new)
    )
    return (
        replace(old, **unknown, metadata={key: of for key, of in old.metadata.items() if key in both_tell}),
        replace(new, **unknown, metadata={key: of for key, of in new.metadata.items() if key in both_tell}),
    )


def _keys(card: ModelCard, *prefixes: str) -> dict[str, Scalar]:
    return {key: value for key, value in card.metadata.items() if key.startswith(prefixes)}


def _architecture(old: ModelCard, new: ModelCard) -> str:
    so = "these are not two quantizations of one model"
    if old.architecture != new.architecture:
        return f"architecture {both(old.architecture, new.architecture)}: {so}"
    # converters leave out what they take for the default, so a key on one side only proves nothing
    found = changes(_shapes(old), _shapes(new), absent_counts=False)
    if found:
        return f"{listed(found, f'{old.architecture}.')}: {so}"
    if _other_size(old, new):
        return f"{old.parameters:,} weights for the baseline, {new.parameters:,} for the candidate: {so}"
    return ""


def _shapes(card: ModelCard) -> dict[str, Scalar]:
    keys = _keys(card, f"{card.architecture}.")
    return {key: of for key, of in keys.items() if not any(part in key for part in _OWN_ROWS)}


def _other_size(old: ModelCard, new: ModelCard) -> bool:
    """Whether the numbers of weights differ by more than an output matrix of its own and small helper tensors."""
    sizes = [old.parameters, new.parameters]
    # a server that does not tell the tensors does not tell this either
    if old.embedding_type and new.embedding_type and old.tied_embeddings != new.tied_embeddings:
        untied = 0 if new.tied_embeddings else 1
        card = new if untied else old
        sizes[untied] -= (card.vocabulary or 0) * (card.embedding_length or 0)
    return abs(sizes[0] - sizes[1]) > _SIZE_TOLERANCE * max(old.parameters, new.parameters)


def _rope(old: ModelCard, new: ModelCard) -> str:
    found = changes(old.rope, new.rope)
    return f"{listed(found)}: positions are read differently, above all in long prompts" if found else ""


def _sliding_window(old: ModelCard, new: ModelCard) -> str:
    if old.sliding_window == new.sliding_window:
        return ""
    return (
        f"window {both(old.sliding_window, new.sliding_window)}: one side sees further back in the layers with a window"
    )


def _context(old: ModelCard, new: ModelCard) -> str:
    if old.context_length == new.context_length:
        return ""
    lengths = f"{value(old.context_length)} tokens for the baseline, {value(new.context_length)} for the candidate"
    return f"trained for {lengths}; both run with the same context all the same"


def _types(old: ModelCard, new: ModelCard) -> str:
    if not old.parameters or not new.parameters or old.tensor_table_digest == new.tensor_table_digest:
        return ""
    apart = abs(old.bits_per_weight - new.bits_per_weight)
    if _other_size(old, new) and apart <= MOST_BITS_APART and old.tensor_types.keys() == new.tensor_types.keys():
        return ""  # other tensors, and told so already
    bits = f"{old.bits_per_weight:.2f} bits per weight for the baseline, {new.bits_per_weight:.2f} for the candidate"
    mixes = f"({old.type_mix} against {new.type_mix}{_output(old, new)})"
    if old.tensor_types == new.tensor_types:
        return f"the same types in the same amounts, but not on the same tensors ({old.type_mix}{_output(old, new)})"
    if apart > MOST_BITS_APART:
        return f"{bits} {mixes}: the larger format alone can make the difference, whatever the recipe"
    return f"other tensor types {mixes}, {bits}: a change may come from the format as well as from the recipe"


def _output(old: ModelCard, new: ModelCard) -> str:
    """Where the formats differ in what matters most for its size: the embedding and the matrix that makes logits."""
    said = ""
    for name, one, other in (
        ("embedding", old.embedding_type, new.embedding_type),
        ("output matrix", old.output_type, new.output_type),
    ):
        if one != other:
            said += f"; {name} {value(one)} against {value(other)}"
    if old.tied_embeddings != new.tied_embeddings:
        said += f"; only the {'candidate' if old.tied_embeddings else 'baseline'} has an output matrix of its own"
    return said


_QAT = re.compile(r"(?<![a-z])qat(?![a-z])", re.IGNORECASE)
_NAMES = ("general.name", "general.basename", "general.finetune", "general.version")


def _recipe(old: ModelCard, new: ModelCard) -> str:
    qat = [
        bool(_QAT.search(" ".join([card.file_name, *map(str, _keys(card, *_NAMES).values())]))) for card in (old, new)
    ]
    if qat[0] == qat[1]:
        return ""
    side = "baseline" if qat[0] else "candidate"
    return (
        f"only the {side} calls itself QAT (trained on for its quantization): "
        "its answers may differ in style as well as in quality"
    )


def _imatrix(old: ModelCard, new: ModelCard) -> str:
    if old.imatrix and new.imatrix:
        found = changes(old.imatrix, new.imatrix)
        return f"importance matrix: {listed(found)}; each favours texts like its own" if found else ""
    if old.imatrix or new.imatrix:
        side = "baseline" if old.imatrix else "candidate"
        text = value((old.imatrix or new.imatrix).get("dataset", "an unnamed text"))
        return f"only the {side} was made with an importance matrix, from {text}; it favours texts like that"
    return ""


def _quantizer(old: ModelCard, new: ModelCard) -> str:
    by = [card.quantizer.get("quantized_by") for card in (old, new)]
    return f"quantized by {both(*by)}" if by[0] != by[1] else ""


def _base_model(old: ModelCard, new: ModelCard) -> str:
    keys = [
        {key: of for key, of in _keys(card, "general.base_model.").items() if key.endswith(_NAMING)}
        for card in (old, new)
    ]
    found = changes(*keys, absent_counts=False)
    return f"{listed(found, 'general.')}: the files name different models that they were made from" if found else ""


_NAMING: Final = (".name", ".version", ".repo_url")
_SENTENCES: Final[dict[str, Callable[[ModelCard, ModelCard], str]]] = {
    "architecture": _architecture,
    "vocabulary": tokens.vocabulary,
    "tokenizer": tokens.tokenizer,
    "token types": tokens.token_types,
    "end of generation": tokens.end,
    "rope": _rope,
    "sliding window": _sliding_window,
    "trained context": _context,
    "tensor types": _types,
    "recipe": _recipe,
    "imatrix": _imatrix,
    "quantizer": _quantizer,
    "base model": _base_model,
}
"""Row -> its sentence, empty where the headers agree or do not tell."""


def _template(
    old: ModelCard, new: ModelCard, *, alike: bool, pinned: bool, rendered: Sequence[Renderings]
) -> Difference:
    if old.chat_template is None or new.chat_template is None:
        text = f"only the {'candidate' if old.chat_template is None else 'baseline'} has a chat template"
    elif old.template_is_go != new.template_is_go:
        side = "baseline" if old.template_is_go else "candidate"
        text = f"the {side}'s chat template is in Ollama's own language, so nobody can compare it with the other side's"
    else:
        text = f"the files' chat templates differ{_rendered(*rendered) if len(rendered) == 2 else ''}"
    if pinned:
        return difference("chat template", f"{text}; the baseline's rendered both sides", informs=True)
    if alike:
        return difference("chat template", f"{text}{_READ_ALIKE}", informs=True)
    tells = "" if old.template_is_go or new.template_is_go else " (--quant-pin-template=baseline tells)"
    return difference("chat template", f"{text}: a loss may be the template's and not the weights'{tells}")


def _rendered(old: Renderings, new: Renderings) -> str:
    """Which of the probe conversations come out otherwise, or fail, on one side."""
    for role, mine, other in ((Role.BASELINE, old, new), (Role.CANDIDATE, new, old)):
        alone = [name for name in mine.errors if name in other.texts]
        if alone:
            return f", the {role}'s fails on {several(alone)} ({value(mine.errors[alone[0]])})"
    both_said = [name for name in old.texts if name in new.texts]
    others = [name for name in both_said if old.texts[name] != new.texts[name]]
    if others:
        return f" in what they make of these conversations: {several(others)}"
    return ", though not on the conversations that were tried" if both_said else ""


def _sampling(old: ModelCard, new: ModelCard, *, sampled: bool) -> str:
    found = changes(old.sampling, new.sampling)
    so = "answers are drawn from other distributions" if sampled else "nobody reads them in a greedy run"
    return f"{listed(found)}: {so}" if found else ""
