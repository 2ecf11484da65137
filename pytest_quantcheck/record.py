"""The base of all records: plain frozen values that cross processes as JSON builtins."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any
from typing import Self

Payload = dict[str, Any]


class Record:
    """Base of all records: to and from JSON builtins. Nested records name their types in ``_nested``."""

    __slots__ = ()

    def to_payload(self) -> Payload:
        """This record as dicts, lists, strings, numbers and None only (execnet and json take nothing else)."""
        payload: Payload = json.loads(encode(self))
        return payload

    @classmethod
    def from_payload(cls, payload: Payload) -> Self:
        """The record that ``to_payload`` was made from; unknown keys are an error."""
        if unknown := payload.keys() - set(_shape(cls)[1]):
            raise ValueError(f"{cls.__name__}: unknown keys {sorted(unknown)}")
        values = dict(payload)
        for key, make in _makers(cls).items():
            if key in values:
                values[key] = make(values[key])
        return cls(**values)

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {}


def encode(value: Any) -> str:
    """The JSON text of builtins and records; TypeError and ValueError as `json.dumps`."""
    return _ENCODER.encode(value)


def plain(record: Record) -> Payload:
    """A record's values by name, those of records in it as well; unlike `Record.to_payload` no copy and no JSON."""
    return {name: plain(value) if isinstance(value, Record) else value for name, value in _shallow(record).items()}


def _shallow(value: object) -> Payload:
    try:
        values, names = _shape(type(value))
    except TypeError:  # no dataclass
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable") from None
    return dict(zip(names, values(value), strict=True))


# of a class they are always the same, and a large suite makes hundreds of thousands of records
_SHAPES: dict[type, tuple[Callable[[object], tuple[Any, ...]], tuple[str, ...]]] = {}
_MAKERS: dict[type, dict[str, Any]] = {}


def _shape(kind: type) -> tuple[Callable[[object], tuple[Any, ...]], tuple[str, ...]]:
    """What reads the values of a dataclass, and their names; TypeError for any other class."""
    if kind not in _SHAPES:
        names = tuple(field.name for field in fields(kind))
        # attrgetter gives a single value bare
        values = attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, name) for name in names)
        _SHAPES[kind] = values, names
    return _SHAPES[kind]


def _makers(kind: type[Record]) -> dict[str, Any]:
    """How nested values become records again."""
    if kind not in _MAKERS:
        _MAKERS[kind] = kind._nested()
    return _MAKERS[kind]


_ENCODER = json.JSONEncoder(default=_shallow)
