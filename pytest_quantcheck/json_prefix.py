"""Strict JSON read as it is written: when can nothing more be saved of it?"""

from __future__ import annotations

import json
import re
from typing import Final

from pytest_quantcheck.rfc8259 import MAX_DIGITS

_OUTSIDE: Final = re.compile(r"[\[{\]}]")
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]*')
_SCALAR: Final = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SCALAR_BEGINS: Final = "tfn-0123456789"
_SCALAR_END: Final = re.compile(r"[ \t\n\r,\]}]")
_ESCAPE: Final = re.compile(r'\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})')
_ESCAPE_BEGUN: Final = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?")
_BLANK: Final = " \t\n\r"

_KEY, _KEY_OR_END, _COLON, _VALUE, _VALUE_OR_END, _COMMA_OR_END = range(6)


class JsonPrefix:
    """The visible text as `quant_json` sees it, in pieces.

    quant_json takes the text as JSON, or what is left without one fence, or a single object or array with prose around
    it; a broken object is no prose. So nothing can be saved when

    * an object that stands in no other bracket holds what no strict JSON goes on from, a repeated key included,
    * a second such object ends: then nobody can tell which is meant,
    * a closing bracket outside has no partner.

    Nothing is said of texts whose first bracket is ``[`` (a link is prose) or comes after a quotation mark (the whole
    may be one JSON string), nor behind a ``[`` outside of any object.
    """

    def __init__(self, max_depth: int) -> None:
        self.broken = False
        """Whether the value is 0, whatever follows."""
        self._max_depth = max_depth
        self._given_up = False
        self._objects = 0
        self._open: list[set[str] | None] = []
        """The brackets around this place: the keys of an object so far, None for an array."""
        self._expects = _VALUE
        self._string: list[str] | None = None
        self._is_key = False
        self._escape = ""
        self._scalar = ""

    def feed(self, text: str) -> None:
        """Take more text."""
        at = 0
        while at < len(text) and not self.broken and not self._given_up:
            if not self._open:
                at = self._outside(text, at)
            elif self._string is not None:
                at = self._in_string(text, at)
            elif self._scalar:
                at = self._in_scalar(text, at)
            else:
                self._structure(text[at])
                at += 1

    def _outside(self, text: str, at: int) -> int:
        found = _OUTSIDE.search(text, at)
        end = found.start() if found else len(text)
        if self._objects == 0 and '"' in text[at:end]:
            self._given_up = True
        elif found and found[0] == "{":
            self._begin(set(), _KEY_OR_END)
        elif found and found[0] == "[":
            self._given_up = True
        elif found:
            self.broken = True
        return end + 1

    def _begin(self, keys: set[str] | None, expects: int) -> None:
        self._open.append(keys)
        self._expects = expects
        self.broken = len(self._open) > self._max_depth

    def _end(self) -> None:
        self._open.pop()
        self._expects = _COMMA_OR_END
        if not self._open:
            self._objects += 1
            self.broken = self._objects > 1

    def _structure(self, char: str) -> None:
        if char in _BLANK:
            return
        expects, keys = self._expects, self._open[-1]
        value, key = expects in (_VALUE, _VALUE_OR_END), expects in (_KEY, _KEY_OR_END)
        if char == '"' and (value or key):
            self._string, self._is_key = [], key
        elif value and char in "{[":
            self._begin(set() if char == "{" else None, _KEY_OR_END if char == "{" else _VALUE_OR_END)
        elif char == ("]" if keys is None else "}") and expects in (_COMMA_OR_END, _KEY_OR_END, _VALUE_OR_END):
            self._end()
        elif char == "," and expects == _COMMA_OR_END:
            self._expects = _VALUE if keys is None else _KEY
        elif char == ":" and expects == _COLON:
            self._expects = _VALUE
        elif value and char in _SCALAR_BEGINS:
            self._scalar = char
        else:
            self.broken = True

    def _in_string(self, text: str, at: int) -> int:
        assert self._string is not None
        if self._escape:
            self._escape += text[at]
            if _ESCAPE.fullmatch(self._escape):
                self._string.append(self._escape)
                self._escape = ""
            else:
                self.broken = not _ESCAPE_BEGUN.fullmatch(self._escape)
            return at + 1
        plain = _PLAIN.match(text, at)
        assert plain is not None
        self._string.append(plain[0])
        end = plain.end()
        if end < len(text):
            if text[end] == '"':
                self._end_string("".join(self._string))
            elif text[end] == "\\":
                self._escape = "\\"
            else:
                self.broken = True
        return end + 1

    def _end_string(self, raw: str) -> None:
        self._string = None
        self._expects = _COLON if self._is_key else _COMMA_OR_END
        keys = self._open[-1]
        if self._is_key and keys is not None:
            key: str = json.loads(f'"{raw}"')
            self.broken = key in keys
            keys.add(key)

    def _in_scalar(self, text: str, at: int) -> int:
        found = _SCALAR_END.search(text, at)
        end = found.start() if found else len(text)
        self._scalar += text[at:end]
        if found:
            self.broken = not _SCALAR.fullmatch(self._scalar)
            self._scalar, self._expects = "", _COMMA_OR_END
        elif len(self._scalar) > MAX_DIGITS:
            self.broken = True
        return end
