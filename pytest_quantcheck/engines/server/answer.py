"""The whole of what a server answered, and the words of its errors. Pure."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, and the JSON value of the body, None where it is none."""

    status: int
    value: Any
    text: str

    @property
    def ok(self) -> bool:
        """Whether the server did what it was asked."""
        return 200 <= self.status < 300

    @property
    def fields(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is none."""
        return self.value if isinstance(self.value, dict) else {}


def objects(found: object) -> list[dict[str, Any]]:
    """The objects of a JSON list; none of anything else."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def words_of(answer: Answer) -> str:
    """The message of an error, in any of the forms that servers have."""
    return error_words(answer.fields)


def error_words(fields: dict[str, Any]) -> str:
    """``{"error": {"message": ...}}``, ``{"error": ...}``, ``{"message": ...}`` or ``{"detail": ...}``; else ''."""
    error = fields.get("error")
    if isinstance(error, str) and error.startswith("{"):  # Ollama passes on what its runner says
        with suppress(ValueError, RecursionError):
            error = error_words(json.loads(error)) or error
    if isinstance(error, dict):
        error = error.get("message") or error
    for found in (error, fields.get("message"), fields.get("detail")):
        if found:
            return found if isinstance(found, str) else json.dumps(found)
    return ""
