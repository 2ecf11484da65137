"""What a user writes for a model behind a server: a URL with its name, or a server's word and its name. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote
from urllib.parse import urlsplit

from pytest_quantcheck.text import short

PORTS: Final = {"llama-server": 8080, "llama-swap": 8080, "ollama": 11434, "vllm": 8000}
"""Word -> the port on which that server listens unless told otherwise. What it is, it says itself (dialects.py)."""
_NEEDS_NAME: Final = ("llama-swap", "ollama")
"""Servers that hold many models."""
_URL = re.compile(r"https?:", re.IGNORECASE)
_HOST: Final = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
# Ollama's names hold colons and slashes, an organisation's may hold an '@': only what can be a host is one
_SHORTHAND = re.compile(rf"(?P<word>{'|'.join(PORTS)}):(?P<model>.*?)(?:@(?P<host>{_HOST}))?", re.DOTALL)
_HOW: Final = "http://host:port#model, or ollama:model, llama-swap:model, vllm:model, llama-server: (with @host:port)"


# a user and a password, wherever a '/', '#' or '?' in them makes an address of them
_HIDES_KEY: Final = re.compile(r":.*@", re.DOTALL)
_HIDES_KEY_IN_NAME: Final = re.compile(r"@.*:", re.DOTALL)
_NO_KEYS: Final = (
    "an address of a server holds no user, password or key; QUANTCHECK_API_KEY takes the key "
    "(an '@' in a model's name can be written %40)"
)


class AddressError(ValueError):
    """What looks like a server's address and is none; the text is one clear line."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is served. ``url`` has no slash and no ``/v1`` at its end; ``model`` is '' for the only one."""

    url: str
    model: str = ""

    def __str__(self) -> str:
        return f"{self.url}#{self.model}" if self.model else self.url

    @property
    def place(self) -> str:
        """Host and port, and the path if any."""
        return self.url.partition("://")[2]


def parse_address(source: str) -> Address | None:
    """The address that ``source`` is, None where it is the name of a file; AddressError where it is neither.

    An address begins with ``http:`` or ``https:``, or with one of the words of ``PORTS`` and a colon. A file whose name
    begins so can be given as ``./ollama:x.gguf``.
    """
    if _URL.match(source):
        if _HIDES_KEY.search(source.partition(":")[2]):
            raise AddressError(_NO_KEYS)
        return _from_url(source)
    found = _SHORTHAND.fullmatch(source)
    if found is None:
        return None
    if _HIDES_KEY_IN_NAME.search(found["model"]):
        raise AddressError(_NO_KEYS)
    word, model, host = found["word"], found["model"].strip(), found["host"] or "localhost"
    if word in _NEEDS_NAME and not model:
        raise AddressError(f"{short(source)} names no model: {word}:NAME")
    bare = host.rpartition("]")[2] if host.startswith("[") else host
    port = "" if ":" in bare else f":{PORTS[word]}"
    return _from_url(f"http://{host}{port}#{model}", source)


def _from_url(url: str, source: str = "") -> Address:
    said = short(source or url)
    place = url.partition("#")[0]
    if "@" in place or "?" in place:
        # a command line ends up in reports, in logs and in the lists of processes
        raise AddressError(_NO_KEYS)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressError(f"{said} is no address of a server ({error}); {_HOW}") from None
    name = parts.hostname or ""
    if not _is_host(name) or port == 0 or not _is_plain(url):
        raise AddressError(f"{said} is no address of a server; {_HOW}")
    host = f"[{name}]" if ":" in name else name
    place = f"{host}:{port}" if port is not None else host
    path = re.sub(r"/v1$", "", parts.path.rstrip("/"))
    return Address(f"{parts.scheme.lower()}://{place}{path}", unquote(parts.fragment).strip())


def _is_host(name: str) -> bool:
    """Whether a name service would take it: parts of 1 to 63 characters (RFC 1035, 2.3.4)."""
    return all(0 < len(part) < 64 for part in name.removesuffix(".").split("."))


def _is_plain(url: str) -> bool:
    place = url.partition("#")[0]
    return url.isprintable() and not any(sign in place for sign in ' "<>\\^`{|}')
