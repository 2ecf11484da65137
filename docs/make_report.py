"""Write docs/reference/report.md from the JSON Schema of the report: python docs/make_report.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blocks import table
from docstrings import cell

from pytest_quantcheck.reports import json_report

PAGE = Path(__file__).parent / "reference" / "report.md"
SCHEMA = Path(json_report.__file__).with_name("report.schema.json")
_HEAD = """# The JSON report

Made by `python docs/make_report.py` from the JSON Schema that comes with the package. How to write a report, and where
the schema lies, stands [in CI](../how-to/ci.md#json).

Every key is always there. Tokens are counts, times are seconds. A number that is not finite is `null`."""


def page() -> str:
    """The page's text."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    blocks = [_HEAD, f"## {schema['title'].partition(' ')[2][:1].upper()}{schema['title'].partition(' ')[2][1:]}"]
    blocks += _record(schema)
    blocks.append("## Records")
    for name, record in schema["$defs"].items():
        blocks += [f"### {name}", *_record(record)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _record(record: dict[str, Any]) -> Iterator[str]:
    yield cell(record.get("description", ""), PAGE).replace(r"\|", "|")
    if "enum" in record:
        yield "One of " + ", ".join(f"`{value}`" for value in record["enum"]) + "."
        return
    rows = [
        (f"`{key}`", _type(value), cell(value.get("description", ""), PAGE))
        for key, value in record["properties"].items()
    ]
    yield table(("key", "type", "what"), rows)


def _type(schema: dict[str, Any]) -> str:
    """A type in few words; what the report defines is a link."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if isinstance(kinds := schema.get("type", "anything"), list):
        return " or ".join(kinds)
    if kinds == "array":
        items = [schema["items"]] if schema["items"] else schema["prefixItems"]
        return f"array of {' and '.join(map(_type, items))}"
    if kinds == "object":
        inner = schema.get("additionalProperties", True)
        return f"object of {_type(inner)}" if isinstance(inner, dict) else "object"
    return str(kinds)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
