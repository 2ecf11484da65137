"""Whether a value is what its type hints say: for records that were read from files which anybody may have changed."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any
from typing import Literal
from typing import Union
from typing import get_args
from typing import get_origin
from typing import get_type_hints

from pytest_quantcheck.text import short


def misfit(value: Any, hint: Any, where: str = "") -> str:
    """The first place that is not of its type and what stands there, empty when all is well.

    Knows what records are made of: builtins, enums, literals, unions, tuples, mappings and dataclasses of these. A
    whole number fits where a float belongs, a truth value never fits a number.
    """
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return ""
    if origin in (Union, types.UnionType):
        return "" if any(not misfit(value, one) for one in args) else _said(value, where)
    if origin is Literal:
        return "" if any(value == one and type(value) is type(one) for one in args) else _said(value, where)
    if origin is tuple and isinstance(value, tuple):
        hints = args[:1] * len(value) if args[-1:] == (...,) else args
        if len(hints) != len(value):
            return _said(value, where)
        parts = zip(range(len(value)), value, hints, strict=True)
        return next((said for at, one, kind in parts if (said := misfit(one, kind, f"{where}.{at}"))), "")
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        keys, values = args
        pairs = value.items()
        return next(
            (said for at, one in pairs if (said := misfit(at, keys, where) or misfit(one, values, f"{where}.{at}"))), ""
        )
    kind = origin or hint
    if kind is float:
        kind = int | float
    if not isinstance(kind, type | types.UnionType):
        return ""
    if not isinstance(value, type(None) if kind is None else kind) or (isinstance(value, bool) and kind is not bool):
        return _said(value, where)
    if is_dataclass(hint) and isinstance(hint, type):
        hints_of = _hints(hint).items()
        return next((said for at, one in hints_of if (said := misfit(getattr(value, at), one, f"{where}.{at}"))), "")
    return ""


@cache
def _hints(record: type) -> dict[str, Any]:
    names = record.__dataclass_fields__  # type: ignore[attr-defined]
    return {name: hint for name, hint in get_type_hints(record).items() if name in names}


def _said(value: Any, where: str) -> str:
    return f"{where.lstrip('.') or 'it'} is {short(value)}"
