"""Write docs/reference/fixtures.md and docs/reference/hooks.md from the docstrings of the public names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import MISSING
from dataclasses import fields
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from blocks import table
from docstrings import annotation
from docstrings import cell
from docstrings import field_docs
from docstrings import markdown
from docstrings import parts

import pytest_quantcheck as public
from pytest_quantcheck import hookspec
from pytest_quantcheck import plugin
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.models import ModelUnderTest
from pytest_quantcheck.records import Timings
from pytest_quantcheck.records import Usage

FOLDER = Path(__file__).parent / "reference"
FIXTURES, HOOKS = FOLDER / "fixtures.md", FOLDER / "hooks.md"
_MADE = "Made by `python docs/make_api.py` from the docstrings."
_ASKS = ("chat", "complete", "choose", "choose_text", "tokenize")
_MEASURES = ("embed", "fidelity", "bench", "duel", "memory")
_KNOWS = ("replies", "card")
_ANSWERS = (public.Reply, Usage, Timings, public.ToolCall, public.GrammarCost, public.Status)
_FIGURES = (public.Choice, public.Embeddings, public.Fidelity, Chunk, public.Bench, public.Duel, public.Memory)
_EXPECTED = (public.anyof, public.about, public.matching, public.unordered, public.optional, public.anything)
_REQUESTS = (
    *(public.ChatRequest, public.CompletionRequest, Generation, public.ChoiceRequest, public.EmbeddingRequest),
    *(FidelityRequest, public.BenchRequest, public.MemoryRequest),
)
_ERRORS = (public.EngineError, public.EngineRefused, public.EngineCannot, public.EngineDied, public.EngineHung)
_JUDGED = (public.Role, public.Observation, public.Score, public.Verdict)


def pages() -> dict[Path, str]:
    """Each page with its text."""
    return {FIXTURES: _text(_fixtures(FIXTURES)), HOOKS: _text(_hooks(HOOKS))}


def _text(blocks: Iterator[str]) -> str:
    return "\n\n".join(block for block in blocks if block) + "\n"


def _fixtures(page: Path) -> Iterator[str]:
    yield "# Fixtures, and what they give"
    yield _MADE
    yield "Names come from `pytest_quantcheck`, but for `Usage`, `Timings` and `Chunk`, which are met as attributes."
    yield "## Fixtures"
    for fixture in (plugin.quant, plugin.quant_model):
        yield f"### `{fixture.__name__}`"
        yield markdown(parts(inspect.getdoc(fixture)).text, page)
    yield from _record(ModelUnderTest, page)
    yield "## Asking with `quant`"
    yield markdown(parts(public.Probe.__doc__).text, page)
    for name in _ASKS:
        yield from _call(f"quant.{name}", getattr(public.Probe, name), page)
    yield "## Measuring with `quant`"
    for name in _MEASURES:
        yield from _call(f"quant.{name}", getattr(public.Probe, name), page)
    yield "## What else `quant` knows"
    yield table(("attribute", "what"), [(f"`{name}`", _first(getattr(public.Probe, name), page)) for name in _KNOWS])
    yield "## Answers"
    for record in _ANSWERS:
        yield from _record(record, page)
    yield "## Figures"
    for record in _FIGURES:
        yield from _record(record, page)
    yield "## What may be expected of a tool's argument"
    yield "In the keywords of [quant_tools](checks/tools.md)."
    yield table(("word", "what"), [(f"`{word.__name__}`", _first(word, page)) for word in _EXPECTED])
    yield "## Tests out of a file"
    yield from _call("quant_items", public.quant_items, page)


def _hooks(page: Path) -> Iterator[str]:
    yield "# Hooks, and engines of your own"
    yield _MADE
    yield "## Hooks"
    yield "Implement them in a `conftest.py` or a plugin; take only those parameters that you need."
    for name, hook in vars(hookspec).items():
        if name.startswith("pytest_quantcheck_"):
            yield from _call(name, hook, page)
            if returns := parts(hook.__doc__).returns:
                yield f"Returns {markdown(returns, page)}"
    yield "## Engines"
    yield f"{markdown(parts(public.Engine.__doc__).text, page)} An engine of your own has these methods:"
    methods = [(name, method) for name, method in vars(public.Engine).items() if name[0] != "_" and method.__doc__]
    yield table(("method", "what"), [(f"`{name}`", _first(method, page)) for name, method in methods])
    yield "### A scripted engine"
    yield from _call("ScriptedEngine", public.ScriptedEngine.__init__, page, about=public.ScriptedEngine.__doc__)
    yield "## What an engine is asked for"
    for record in _REQUESTS:
        yield from _record(record, page)
    yield "## How an engine says no"
    yield table(("exception", "what"), [(f"`{error.__name__}`", cell(str(error.__doc__), page)) for error in _ERRORS])
    yield "## What becomes of it"
    for record in (*_JUDGED, public.Buffers):
        yield from _record(record, page)


def _call(name: str, function: Callable[..., Any], page: Path, about: str | None = None) -> Iterator[str]:
    """A function: what it does, then its parameters."""
    said = parts(about or function.__doc__)
    parameters = [one for key, one in inspect.signature(function).parameters.items() if key != "self"]
    yield f"### `{name}`"
    yield markdown(said.text, page)
    for error, when in said.raises.items():
        yield f"Raises `{error}` {markdown(when, page)}"
    rows = [
        (_parameter(one), annotation(one.annotation), cell(said.params.get(one.name, ""), page)) for one in parameters
    ]
    yield table(("parameter", "type", "what"), rows)


def _parameter(one: inspect.Parameter) -> str:
    star = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    default = "" if one.default is one.empty else _shown(one.default)
    return f"`{star}{one.name}{default}`".replace("|", r"\|")


def _record(record: type, page: Path) -> Iterator[str]:
    """A record: what it is, its fields, and what follows from them."""
    yield f"### `{record.__name__}`"
    yield markdown(parts(record.__doc__).text, page)
    said = field_docs(record)
    if issubclass(record, Enum):
        yield table(("value", "what"), [(f"`{one.value}`", cell(said.get(one.name, ""), page)) for one in record])
        return
    assert is_dataclass(record)
    rows = [
        (
            f"`{one.name}{_default(one) if record in _REQUESTS else ''}`",
            annotation(one.type),
            cell(said.get(one.name, ""), page),
        )
        for one in fields(record)
    ]
    for name, member in vars(record).items():
        if name[0] != "_" and isinstance(member, property) and member.fget is not None:
            rows.append((f"`{name}`", annotation(member.fget.__annotations__["return"]), _first(member, page)))
        elif name[0] != "_" and inspect.isfunction(member):
            takes = ", ".join(list(inspect.signature(member).parameters)[1:])
            rows.append((f"`{name}({takes})`", annotation(member.__annotations__["return"]), _first(member, page)))
    yield table(("attribute", "type", "what"), rows)


def _default(one: Any) -> str:
    return "" if one.default is MISSING else _shown(one.default)


def _shown(default: Any) -> str:
    return f"={default!r}" if len(repr(default)) < 40 else "=..."


def _first(documented: Any, page: Path) -> str:
    """The first paragraph of a docstring, as a cell."""
    return cell(parts(inspect.getdoc(documented)).text.partition("\n\n")[0], page)


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
