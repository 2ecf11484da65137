"""Write the JSON Schema of the report from the types of its records: python docs/make_schema.py."""

from __future__ import annotations

import json
import types
from dataclasses import fields
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from typing import Literal
from typing import Union
from typing import get_args
from typing import get_origin
from typing import get_type_hints

from docstrings import field_docs

from pytest_quantcheck.reports import json_report

PAGE = Path(json_report.__file__).with_name("report.schema.json")
_SCALARS = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    # a number that is not finite is null: json_report.plain
    float: {"type": ["number", "null"]},
    type(None): {"type": "null"},
    Path: {"type": "string"},
}


def page() -> str:
    """The schema's text."""
    return json.dumps(schema_of(json_report.Report), indent=1, ensure_ascii=False) + "\n"


def schema_of(record: type) -> dict[str, Any]:
    """Draft 2020-12 of one record; every record that it holds is one of ``$defs``, by its class's name."""
    definitions: dict[str, Any] = {}
    top = _record(record, definitions)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"pytest-quantcheck report, version {json_report.VERSION}",
        "$comment": "Made by python docs/make_schema.py. Numbers that are not finite are null.",
    }
    return {**head, **top, "$defs": dict(sorted(definitions.items()))}


def _record(record: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(record)
    said = {name: _prose(text) for name, text in field_docs(record).items()}
    properties = {}
    for field in fields(record):
        schema = _schema(hints[field.name], definitions)
        properties[field.name] = {"description": said[field.name], **schema} if field.name in said else schema
    return {
        "description": _prose((record.__doc__ or "").partition(":param")[0]),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return _union([_schema(argument, definitions) for argument in arguments])
    if origin is tuple and arguments[-1:] == (Ellipsis,):
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is tuple:
        items = [_schema(argument, definitions) for argument in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if origin is dict:
        key, value = arguments
        keys = {} if key is str else {"propertyNames": _schema(key, definitions)}
        return {"type": "object", **keys, "additionalProperties": _schema(value, definitions) or True}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _defined(
            hint, definitions, lambda: {"description": _prose(hint.__doc__), "enum": [e.value for e in hint]}
        )
    if is_dataclass(hint):
        return _defined(hint, definitions, lambda: _record(hint, definitions))
    raise TypeError(f"no JSON Schema for {hint!r}")


def _union(options: list[dict[str, Any]]) -> dict[str, Any]:
    """``anyOf``, or one list of types where the options say no more than a type."""
    if {} in options:
        return {}
    if all(option.keys() == {"type"} for option in options):
        named = [option["type"] if isinstance(option["type"], list) else [option["type"]] for option in options]
        return {"type": list(dict.fromkeys(name for names in named for name in names))}
    return {"anyOf": options}


def _defined(record: type, definitions: dict[str, Any], make: Any) -> dict[str, Any]:
    if record.__name__ not in definitions:
        definitions[record.__name__] = {}  # a record may hold its own kind
        definitions[record.__name__] = make()
    return {"$ref": f"#/$defs/{record.__name__}"}


def _prose(text: str | None) -> str:
    return " ".join((text or "").replace("``", "'").split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
