"""Model cards for people: one below a heading, or several side by side with what differs marked."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Final

from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import SpecialToken
from pytest_quantcheck.gguf_header import Scalar
from pytest_quantcheck.renderings import PROBES
from pytest_quantcheck.renderings import Renderings
from pytest_quantcheck.sizes import size
from pytest_quantcheck.text import one_line
from pytest_quantcheck.text import text_digest
from pytest_quantcheck.thinking import recognise

_MARK: Final = "*"
_LEAST_COLUMN: Final = 22
_SHOWN_DIGITS: Final = 12
_CONTEXT: Final = 32768
"""Tokens of the context that the plugin takes unless told otherwise, where the model was trained for as many."""
_TOKEN: Final = "token "

Rows = dict[str, str]


def card_rows(card: ModelCard, renderings: Renderings) -> Rows:
    """What there is to say of one model, by label, in order; '-' where the file does not tell."""
    return {
        "name": one_line(card.name),
        "architecture": one_line(card.architecture),
        "layers": _number(card.block_count),
        "embedding width": _number(card.embedding_length),
        "trained context": _number(card.context_length),
        "file": _file(card),
        "parameters": _count(card.parameters),
        "bits per weight": f"{card.bits_per_weight:.2f}" if card.parameters else "-",
        "types": card.type_mix or "-",
        "token embedding": card.embedding_type or "-",
        "output matrix": _output(card),
        "tensor table": _digits(card.tensor_table_digest),
        "read per token": f"{size(card.decode_bytes)} of weights",
        **_kv(card),
        "tokenizer": _tokenizer(card),
        "vocabulary": _digits(card.vocabulary_digest),
        "token types": _digits(card.token_types_digest),
        "BOS, EOS": f"{_token(card.bos)}, {_token(card.eos)}",
        "adds BOS": _flag(card.add_bos),
        "adds a space": _flag(card.add_space_prefix),
        "answers end at": " ".join(map(_token, card.end_of_generation)) or "-",
        "special tokens": _number(len(card.special_tokens) or None),
        **_template(card, renderings),
        "rope": _settings(card.rope),
        "sampling defaults": _settings(card.sampling),
        "made by": _settings(card.quantizer),
        "importance matrix": _settings(card.imatrix),
        "fingerprint": _digits(card.fingerprint),
        **{f"{_TOKEN}{token.id}": _special(token) for token in card.special_tokens},
    }


def layout(columns: Mapping[str, Rows], width: int) -> list[str]:
    """Lines of a table with one column a file and a mark before each row in which the files differ.

    Rows of which no file tells anything are left out; so are, of several files, special tokens that all have alike.
    """
    names = list(columns)
    labels = [label for label, cells in _by_label(columns).items() if _is_shown(label, cells)]
    left = max(map(len, labels)) + 2
    each = max(_LEAST_COLUMN, (width - left - 2) // len(names) - 2)
    lines = []

    def add(mark: str, label: str, cells: Sequence[str]) -> None:
        wrapped = [_wrapped(cell, each) for cell in cells]
        for number in range(max(map(len, wrapped))):
            texts = [cell[number] if number < len(cell) else "" for cell in wrapped]
            begin = f"{mark if not number else '':2}{label if not number else '':{left}}"
            lines.append((begin + "  ".join(f"{text:{each}}" for text in texts)).rstrip())

    add("", "", names)
    for label in labels:
        cells = [rows.get(label, "-") for rows in columns.values()]
        add(_MARK if len(set(cells)) > 1 else "", label, cells)
    if len(names) > 1:
        lines += ["", f"{_MARK} the files differ"]
    return lines


def _by_label(columns: Mapping[str, Rows]) -> dict[str, list[str]]:
    labels = dict.fromkeys(label for rows in columns.values() for label in rows)
    return {label: [rows.get(label, "-") for rows in columns.values()] for label in labels}


def _is_shown(label: str, cells: Sequence[str]) -> bool:
    if label.startswith(_TOKEN) and len(cells) > 1:
        return len(set(cells)) > 1
    return any(cell != "-" for cell in cells)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


def _file(card: ModelCard) -> str:
    parts = f" in {card.parts} parts" if card.parts > 1 else ""
    return size(card.file_bytes) + parts


def _output(card: ModelCard) -> str:
    if not card.output_type:
        return "-"
    return f"{card.output_type}, the token embedding itself (tied)" if card.tied_embeddings else card.output_type


def _kv(card: ModelCard) -> Rows:
    """Keys and values: for one token, and for a whole context."""
    if not card.kv_layers:
        return {"keys and values": "-", "a full context": "-"}
    shared = sum(group.layers for group in card.kv_layers if group.window is not None)
    layers = sum(group.layers for group in card.kv_layers)
    context = min(card.context_length or _CONTEXT, _CONTEXT)
    windows = "/".join(sorted({str(group.window) for group in card.kv_layers if group.window is not None}))
    note = f", {shared} of {layers} layers see {windows} tokens only" if shared else ""
    return {
        "keys and values": f"{size(round(card.kv_bytes_per_token(1)))} a token (16 bit){note}",
        "a full context": f"{size(round(card.kv_bytes_per_token(context)))} of them at {context} tokens",
    }


def _tokenizer(card: ModelCard) -> str:
    if not card.tokenizer:
        return "-"
    pre = f" ({card.pre})" if card.pre else ""
    return f"{card.tokenizer}{pre}, {_number(card.vocabulary)} tokens"


def _special(token: SpecialToken) -> str:
    return f"{_token(token.text)}  {token.type} ({', '.join(token.uses)})"


def _template(card: ModelCard, renderings: Renderings) -> Rows:
    rows: Rows = {"chat template": "-", "template family": "-", "thinking switch": "-"}
    why = list(dict.fromkeys(renderings.errors.values()))
    useless = not renderings.texts and len(why) == 1
    if card.chat_template is not None:
        rows["chat template"] = _characters(card.chat_template)
        rows["template family"] = recognise(card.chat_template).name
        if useless:
            rows["chat template"] += f"; FAILS: {one_line(why[0], 200)}"
        else:
            rows["thinking switch"] = _switch(renderings)
    for name in PROBES:
        rows[f"prompt: {name}"] = "-" if card.chat_template is None or useless else _prompt(renderings, name)
    return rows


def _switch(renderings: Renderings) -> str:
    if not renderings.thinking_switch:
        return "none"
    return f"yes, {'on' if renderings.thinking_default else 'off'} unless told otherwise"


def _prompt(renderings: Renderings, name: str) -> str:
    if name in renderings.errors:
        return f"FAILS: {one_line(renderings.errors[name], 200)}"
    return _characters(renderings.texts[name])


def _characters(text: str) -> str:
    return f"{_count(len(text))} characters, {_digits(text_digest(text))}"


def _settings(values: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{one_line(key, 60)} {_value(value)}" for key, value in sorted(values.items())) or "-"


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    # the header holds 32-bit numbers: 0.949999988079071 was 0.95
    return f"{value:.7g}" if isinstance(value, float) else one_line(str(value), 120)


def _token(text: str) -> str:
    return one_line(text, 80) or "-"


def _flag(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"


def _digits(digest: str) -> str:
    return digest[:_SHOWN_DIGITS] or "-"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _count(value: int) -> str:
    for unit, scale in (("billion", 1e9), ("million", 1e6)):
        if value >= scale:
            return f"{value / scale:.2f} {unit}"
    return str(value)
