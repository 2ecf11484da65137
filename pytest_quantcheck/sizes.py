"""Sizes of memory and files, from and to what people write. Pure."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_SIZE: Final = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?i?B)\s*", re.IGNORECASE | re.ASCII)
ALLOWED: Final = "a number of bytes or a text like '12 GB' or '11.5 GiB'"
"""What `parse_size` takes, in words."""


def parse_size(value: object) -> int:
    """Bytes from a whole number or a text; GB is 10**9, GiB 2**30. ValueError for all else and for nothing at all."""
    size = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (found := _SIZE.fullmatch(value)) and found[2].lower() in _UNITS:
        size = int(float(found[1]) * _UNITS[found[2].lower()])
    if not 0 < size <= 1 << 62:
        raise ValueError(ALLOWED)
    return size


def size(count: int) -> str:
    """Bytes as a person writes them (powers of ten)."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.2f} {unit}"
    return f"{count} B"
