"""How the text of an option is read. ValueError where the text is not what the option's row says it accepts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_quantcheck.engines.base import KV_TYPES
from pytest_quantcheck.engines.server.address import AddressError
from pytest_quantcheck.engines.server.address import parse_address
from pytest_quantcheck.repetition import LoopRule
from pytest_quantcheck.rows import ROWS
from pytest_quantcheck.settings import Thinking


def integer(low: int) -> Callable[[str], int]:
    """A whole number from ``low``."""

    def parse(text: str) -> int:
        value = int(text)
        if value < low:
            raise ValueError
        return value

    return parse


def positive(text: str) -> float:
    """A finite number above 0."""
    return below(float("inf"))(text)


def below(limit: float) -> Callable[[str], float]:
    """A number above 0 and below ``limit``."""

    def parse(text: str) -> float:
        value = float(text)
        if not 0 < value < limit:
            raise ValueError
        return value

    return parse


def ratio(text: str) -> float:
    """A finite number from 1."""
    value = positive(text)
    if value < 1:
        raise ValueError
    return value


def choice(*allowed: str) -> Callable[[str], str]:
    """One of these words, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError
        return text.lower()

    return parse


def flag(text: str) -> bool:
    """'true' or 'false'."""
    return choice("true", "false")(text) == "true"


def thinking(text: str) -> Thinking:
    """'on', 'off', 'auto' or 'budget:N'."""
    word, _, budget = text.lower().partition(":")
    if word == "budget":
        return Thinking(True, integer(1)(budget))
    return Thinking({"on": True, "off": False, "auto": None}[choice("on", "off", "auto")(text)])


def loop(text: str) -> LoopRule | None:
    """'PERIOD:COPIES:TOKENS', or 'off' for None."""
    if text.lower() == "off":
        return None
    period, copies, tokens = text.split(":")
    return LoopRule(integer(1)(period), integer(2)(copies), integer(2)(tokens))


def layers(text: str) -> int:
    """A number of layers, -1 for 'all'."""
    return -1 if text.lower() == "all" else integer(0)(text)


def some_text(text: str) -> str:
    """Anything but blanks."""
    if not text.strip():
        raise ValueError
    return text


def model(text: str) -> str:
    """A file's name or a server's address; AddressError for what only looks like an address."""
    parse_address(text)
    return some_text(text)


def is_address(value: object) -> bool:
    """Whether a value that was read is a server's address."""
    return isinstance(value, str) and parse_address(value) is not None


def reference(text: str) -> str:
    """A file's name; AddressError for a server's address."""
    if parse_address(text) is not None:
        raise AddressError(f"a reference is a file: no server tells the log-probabilities of whole texts ({text!r})")
    return some_text(text)


def folder(text: str) -> Path:
    """A folder's name."""
    return Path(some_text(text))


def folder_or(off: Path) -> Callable[[str], Path]:
    """A folder's name, or 'off' for ``off``."""
    return lambda text: off if text.lower() == "off" else folder(text)


def path(ending: str) -> Callable[[str], Path]:
    """A file's name that ends so."""

    def parse(text: str) -> Path:
        if not text.lower().endswith(ending):
            raise ValueError
        return Path(text)

    return parse


def devices(text: str) -> tuple[str, ...]:
    """Names between commas, several for one worker with '+' between them."""
    entries = tuple(entry.strip() for entry in text.split(","))
    if not all(name.strip() for entry in entries for name in entry.split("+")):
        raise ValueError
    return entries


def rows(text: str) -> tuple[str, ...]:
    """Rows of the fairness report between commas, each once."""
    words = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",")))
    if not set(words) <= ROWS.keys():
        raise ValueError
    return words


def kv_types(text: str) -> tuple[str, ...]:
    """One type of a KV cache, or the baseline's and the candidate's."""
    types = tuple(choice(*KV_TYPES)(word.strip()) for word in text.split(","))
    if len(types) > 2:
        raise ValueError
    return types[:1] if types[0] == types[-1] else types


def one_or_two_files(text: str, folder: Path) -> tuple[str, ...]:
    """The file or 'BASELINE,CANDIDATE'. File names may hold commas: what exists decides, then a single comma."""

    def there(file: str) -> bool:
        return bool(file.strip()) and (folder / Path(file).expanduser()).exists()

    commas = [at for at, sign in enumerate(text) if sign == ","]
    pairs = [(text[:at], text[at + 1 :]) for at in commas]
    if not commas or there(text):
        return (text,)
    found = [pair for pair in pairs if there(pair[0]) and there(pair[1])] or pairs
    if len(found) != 1 or not all(file.strip() for file in found[0]):
        raise ValueError
    old, new = found[0]
    return (old,) if old == new else (old, new)
