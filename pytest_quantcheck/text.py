"""Foreign text made fit for people's screens: model output, files and processes are hostile input."""

from __future__ import annotations

import hashlib
import json
import reprlib
from typing import Any


class _Bounded(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write an integer of more than 4300 digits; up to 640 it always does."""
        return super().repr_int(x, level) if x.bit_length() < _LONG_BITS else f"an integer of {x.bit_length()} bits"


_LONG_BITS = 2000
_REPR = _Bounded()  # keywords came with Python 3.12
_REPR.maxstring, _REPR.maxother, _REPR.maxlong, _REPR.maxlevel = 60, 60, 40, 3
_BOTH_ENDS_FROM = 200


def short(value: object) -> str:
    """A bounded one-line repr, safe for a terminal."""
    return _REPR.repr(value)


def one_line(text: str, limit: int = 600) -> str:
    """Prose on one bounded line, control characters spelled out, both ends kept."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))
    if len(line) <= limit:
        return line
    end = limit // 2
    return f"{line[: limit - end]} ... {line[len(line) - end :]}"


def printable(text: str, limit: int) -> str:
    """Quoted text with control characters and escapes spelled out, bounded.

    :param limit: characters of the text that are shown; what is left out is counted.
    """
    if len(text) <= limit:
        return repr(text)
    if limit < _BOTH_ENDS_FROM:
        return f"{text[:limit]!r} and {len(text) - limit} characters more"
    half = limit // 2
    return f"{text[:half]!r} ... {len(text) - 2 * half} characters ... {text[-half:]!r}"


def plural(count: int, noun: str) -> str:
    """The count with its noun: '1 word', '2 words', '3 losses'."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith('ss') else 's'}"


def points(share: float) -> str:
    """A share of 1 as signed whole points of 100: '+4', '-67', '0'."""
    rounded = round(100 * share)
    return f"{rounded:+d}" if rounded else "0"


_SORTED = json.JSONEncoder(sort_keys=True, default=repr)


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits that are equal for equal values (JSON builtins; anything else by its repr)."""
    return hashlib.sha256(_SORTED.encode(value).encode()).hexdigest()[:16]


def text_digest(text: str) -> str:
    """32 hexadecimal digits of a text's UTF-8 bytes, for a person to compare."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def encodable(text: str) -> str:
    """Text that UTF-8 can hold: half a surrogate pair, which a model can write as a JSON escape, is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()
