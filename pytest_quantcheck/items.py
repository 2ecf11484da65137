"""Items of one's own: a JSONL file of questions with their right answers becomes one parametrised test."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

import pytest

from pytest_quantcheck import markers
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.probe import Probe
from pytest_quantcheck.rfc8259 import parse_strict
from pytest_quantcheck.short_answers import make_judge
from pytest_quantcheck.text import digest
from pytest_quantcheck.text import short

MAX_FILE: Final = 1 << 28
"""Bytes of a file of items. One line holds at most 1 MiB, as every JSON text that the plugin reads."""
MAX_ITEMS: Final = 20_000
MAX_DOCUMENT: Final = 1 << 22
"""Bytes of a document that stands before a question."""
MAX_TEXT: Final = 100
"""Characters of an id, a family or a cluster."""

_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_TEXT - 1}}}")
COMMON: Final = ("type", "id", "prompt", "document", "system", "max_tokens", "family", "cluster")
"""Keys that every item may have."""
_BESIDE: Final = {"choice": ("choices",), "tools": ("tools",)}
_JUDGING: Final = ("constraint", "ifeval", "json", "tools", "recall", "code", "choice")
_ROWS: Final = {row.check: row for row in markers.TABLE if row.check in _JUDGING}
TYPES: Final = ("qa", *_ROWS)
"""What an item's ``type`` can be: 'qa', or the name of a check that judges an answer."""


class ItemError(ValueError):
    """A file of items that cannot be meant like this; the text is one line with file, line number and what is wrong."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the file: what is asked, and how the answer is judged."""

    id: str
    marks: tuple[pytest.MarkDecorator, ...]
    ask: Callable[[Probe], None]
    """Asks the model; fails the test when an answer that no marker judges is wrong."""


def quant_items(path: str, *, samples: bool = True, **defaults: Any) -> Callable[..., None]:
    """The test that asks every item of a JSONL file.

    Usage::

        from pytest_quantcheck import quant_items

        test_mine = quant_items("mine.jsonl")
        test_capitals = quant_items("capitals.jsonl", family="capitals", system="Answer with one word.")

    :param path: relative to the test file. One JSON object a line; ``docs/how-to/own-items.md`` has the keys.
    :param samples: whether the items are samples of a skill; False makes each a requirement.
    :param defaults: ``family``, ``system`` or ``max_tokens`` of items that have none of their own.
    """
    caller = sys._getframe(1)
    source = Path(caller.f_code.co_filename)

    def test(quant: Probe, item: Item) -> None:
        item.ask(quant)

    # a failure is shown with its line: the one that names the file, where the body's only statement is put
    test.__code__ = test.__code__.replace(co_filename=str(source), co_firstlineno=caller.f_lineno - 1)
    try:
        items = load_items(source.parent / path, shown=path, samples=samples, defaults=defaults)
    except ItemError as error:
        # raised when collection is over: there it is a usage error of one line
        setattr(test, markers.WRONG, str(error))
        items = [Item("wrong", (), lambda probe: None)]
    parameters = [pytest.param(item, id=item.id, marks=item.marks) for item in items]
    return pytest.mark.parametrize("item", parameters)(test)


def load_items(
    path: Path, *, shown: str | None = None, samples: bool = True, defaults: Mapping[str, Any] | None = None
) -> list[Item]:
    """Every item of the file.

    :param shown: how messages name the file.
    :raises ItemError: at the first line that is wrong.
    """
    shown = shown or path.name
    if unknown := next((key for key in defaults or {} if key not in ("family", "system", "max_tokens")), None):
        raise ItemError(f"{shown}: unknown keyword {unknown!r}; allowed: family, max_tokens, samples, system")
    items: list[Item] = []
    ids: dict[str, int] = {}
    contents: dict[str, int] = {}
    documents: dict[str, str] = {}
    for number, line in enumerate(_read(path, MAX_FILE, shown).split("\n"), 1):
        if not line.strip():
            continue
        try:
            fields = _fields(line)
            content = digest({key: value for key, value in fields.items() if key not in ("id", "family", "cluster")})
            name = str(fields.get("id", number))
            items.append(_item(name, dict(defaults or {}) | fields, path.parent, samples, documents))
            for seen, key, what in ((ids, name, f"the id {name!r}"), (contents, content, "this item")):
                if key in seen:
                    raise ItemError(f"{what} stands in line {seen[key]} already")
                seen[key] = number
        except (ItemError, MarkerError, AssertionError) as error:
            raise ItemError(f"{shown} line {number}: {error}") from None
        if len(items) > MAX_ITEMS:
            raise ItemError(f"{shown} line {number}: more than {MAX_ITEMS} items")
    if not items:
        raise ItemError(f"{shown}: no item in it")
    return items


def _read(path: Path, most: int, shown: str) -> str:
    """The file as text: UTF-8 with or without a byte order mark, lines ended by LF or CRLF."""
    try:
        # a pipe would wait for ever
        data = None if path.exists() and not path.is_file() else _head(path, most + 1)
    except (OSError, ValueError) as error:
        raise ItemError(f"{shown}: {getattr(error, 'strerror', None) or error} ({path})") from None
    if data is None:
        raise ItemError(f"{shown}: not a file ({path})")
    if len(data) > most:
        raise ItemError(f"{shown}: more than {most} bytes")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ItemError(f"{shown} line {line}: not UTF-8") from None


def _head(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def _fields(line: str) -> dict[str, Any]:
    """One line's object, its keys known and the common ones of the right kind."""
    fields = parse_strict(line)
    if not isinstance(fields, dict):
        raise ItemError(f"{short(fields)}; an item is an object")
    kind = fields.get("type")
    if kind not in TYPES:
        raise ItemError(f"type={short(kind)}; allowed: {', '.join(TYPES)}")
    allowed = (*COMMON, *_keywords(kind))
    if unknown := next((key for key in fields if key not in allowed), None):
        raise ItemError(f"unknown key {short(unknown)}; a {kind} item has: {', '.join(allowed)}")
    if "id" in fields and not (isinstance(fields["id"], str) and _ID.fullmatch(fields["id"])):
        raise ItemError(f"id={short(fields['id'])}; allowed: at most {MAX_TEXT} of A-Z, a-z, 0-9, '.', '_' and '-'")
    return fields


def _item(name: str, fields: dict[str, Any], folder: Path, samples: bool, documents: dict[str, str]) -> Item:
    """The item that the fields mean."""
    kind = fields["type"]
    prompt = _text(fields, "prompt", needed=True)
    system = _text(fields, "system")
    tokens = fields.get("max_tokens")
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or not 0 < tokens < 10**7):
        raise ItemError(f"max_tokens={short(tokens)}; allowed: a whole number above 0")
    cluster = _text(fields, "cluster", MAX_TEXT)
    if document := _text(fields, "document"):
        if document not in documents:
            documents[document] = _read(folder / document, MAX_DOCUMENT, document).strip()
        prompt = f"{documents[document]}\n\n{prompt}"
    marks: list[pytest.MarkDecorator] = []
    if samples:
        named = {"family": _text(fields, "family", MAX_TEXT), "cluster": cluster or document[-MAX_TEXT:]}
        marks.append(pytest.mark.quant_sample(**{key: value for key, value in named.items() if value}))
    keywords = {key: value for key, value in fields.items() if key not in COMMON}
    judge = make_judge(**keywords) if kind == "qa" else None
    tools = keywords.pop("tools", ()) if kind == "tools" else ()
    if kind == "tools" and (not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools)):
        raise ItemError(f"tools={short(tools)}; allowed: a list of OpenAI-style tools")
    choices = _choices(keywords) if kind == "choice" else []
    if choices:
        prompt += "\n\nAnswer with one of these, word for word:\n" + "\n".join(f"- {choice}" for choice in choices)
    if kind != "qa":
        row = _ROWS[kind]
        for key, needed in markers.takes(row).items():
            if needed and key not in keywords:
                raise ItemError(f"key {key!r} is missing")
        markers.make(row, keywords, folder)
        marks.append(getattr(pytest.mark, row.name)(**keywords))

    def ask(quant: Probe) -> None:
        if kind == "choice":
            quant.choose(prompt, choices, system=system or None)
            return
        reply = quant.chat(prompt, system=system or None, tools=tools, max_tokens=tokens)
        wrong = judge(reply.text) if judge else None
        if wrong:
            pytest.fail(wrong, pytrace=False)

    return Item(name, tuple(marks), ask)


def _text(fields: Mapping[str, Any], key: str, most: int | None = None, *, needed: bool = False) -> str:
    """A text of the item, '' when it has none."""
    if key not in fields:
        if needed:
            raise ItemError(f"key {key!r} is missing")
        return ""
    value = fields[key]
    if not isinstance(value, str) or not value.strip() or (most is not None and len(value) > most):
        limit = "" if most is None else f", at most {most} characters"
        raise ItemError(f"{key}={short(value)}; allowed: a text, not empty{limit}")
    return value


def _choices(keywords: dict[str, Any]) -> list[str]:
    """The choices, taken out of the marker's keywords; the right one is among them."""
    choices, answer = keywords.pop("choices", None), keywords.get("answer")
    if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(c, str) and c.strip() for c in choices):
        raise ItemError(f"choices={short(choices)}; allowed: a list of two or more texts, not empty")
    if len(set(choices)) < len(choices):
        raise ItemError(f"choices={short(choices)}: one of them stands there twice")
    if isinstance(answer, str) and answer not in choices:
        raise ItemError(f"answer={short(answer)} is none of the choices")
    if isinstance(answer, int) and answer >= len(choices):
        raise ItemError(f"answer={answer} of {len(choices)} choices; the first has index 0")
    return choices


def _keywords(kind: str) -> tuple[str, ...]:
    """What an item of this type may have besides the common keys."""
    if kind == "qa":
        return tuple(inspect.signature(make_judge).parameters)
    return (*_BESIDE.get(kind, ()), *(key for key in markers.takes(_ROWS[kind]) if key not in COMMON))
