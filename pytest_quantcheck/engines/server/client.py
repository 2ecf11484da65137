"""The wire: one server asked over HTTP, every way in which that can fail as one clear line, and the key kept secret."""

from __future__ import annotations

import json
import os
import re
import ssl
import sys
import threading
import time
from collections.abc import Generator
from collections.abc import Iterator
from datetime import UTC
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import TYPE_CHECKING
from typing import Any
from typing import Final
from urllib.parse import quote

from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineHung
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.server.address import Address
from pytest_quantcheck.engines.server.answer import Answer
from pytest_quantcheck.engines.server.answer import words_of
from pytest_quantcheck.engines.server.patience import LOADING_S
from pytest_quantcheck.engines.server.patience import Patience
from pytest_quantcheck.engines.server.patience import hung_words
from pytest_quantcheck.records import Role
from pytest_quantcheck.text import one_line

if TYPE_CHECKING:
    import httpx

KEY: Final = "QUANTCHECK_API_KEY"
"""The environment variable with the server's key; with a role (``QUANTCHECK_BASELINE_API_KEY``) that of one side."""
_ATTEMPTS: Final = 5
"""How often a request is sent whose answer never began."""
_PAUSE_S: Final = 0.25
"""Before the second attempt; twice as long before each further one."""
_CONNECT_S: Final = 10.0
_BUSY: Final = (429, 502, 503, 504)
"""Statuses that say 'not now': nothing was answered, so the same request may be sent again."""
_LONGEST_LINE: Final = 1 << 23
_LONGEST_ANSWER: Final = 1 << 28
_LARGEST: Final = 1 << 26
_SHOWN: Final = 300
_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")


def key_of(role: Role) -> str:
    """The key for the server of one side, from the environment; '' without one.

    :raises EngineRefused: for one that no header can hold: the HTTP library would quote it in its error.
    """
    for name in (f"QUANTCHECK_{role.name}_API_KEY", KEY):
        key = os.environ.get(name, "").strip()  # `$(cat file)` and secret stores leave line ends behind
        if not (key.isascii() and key.isprintable()):
            raise EngineRefused(f"the key in {name} holds characters that no key has: printable ASCII is allowed")
        if key:
            return key
    return ""


class Client:
    """Asks one server. Requests from several threads do not wait for each other.

    :param timeout: seconds without any sign of progress.
    :param key: sent as a bearer token, and blotted out wherever the server says it back in an error.
    """

    def __init__(self, address: Address, *, timeout: float, key: str = "") -> None:
        self.address = address
        self.timeout = timeout
        self._key = key
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._parent: Client | None = None  # whose connections are used
        self._routed = ""  # the model whose name goes along with every request
        self._loads = self._always_loads = False

    def get(self, path: str, *, patience: float | None = None, attempts: int = 1) -> Answer:
        """What a GET answers, whatever the status; EngineRefused when nobody answers."""
        query = f"?model={quote(self._routed, safe='')}" if self._routed else ""
        return self._whole("GET", path + query, None, patience, attempts)

    def post(
        self, path: str, body: dict[str, Any], *, patience: float | None = None, attempts: int = _ATTEMPTS
    ) -> Answer:
        """What a POST answers, whatever the status but those that say 'not now' for too long."""
        body = {"model": self._routed} | body if self._routed else body
        return self._whole("POST", path, body, patience, attempts)

    def will_load(self, *, always: bool = False) -> None:
        """The next answer may have to wait for the model; with ``always`` any answer may, for others swap it."""
        root = self._root
        root._always_loads |= always
        root._loads = True

    @property
    def _root(self) -> Client:
        return self if self._parent is None else self._parent._root

    @property
    def _limit_s(self) -> float:
        return max(self.timeout, LOADING_S) if self._root._loads else self.timeout

    def _answered(self) -> None:
        self._root._loads = self._root._always_loads

    def lines(self, path: str, body: dict[str, Any], patience: Patience) -> Generator[str]:
        """The lines of a streamed answer as they come.

        A request whose answer never began is sent again a few times: nothing was generated that could be lost. Once it
        began it is not: EngineDied says where it broke. EngineRefused for a status that is no success.
        """
        httpx = _httpx()
        begun = False
        first = self._limit_s
        for attempt in self._attempts(_ATTEMPTS, first):
            times = {"connect": _CONNECT_S, "read": first, "write": first, "pool": None}
            patience.begin()
            try:
                with self._client().stream(
                    "POST", self._url(path), json=body, extensions={"timeout": times}
                ) as response:
                    patience.progress()
                    times["read"] = self.timeout  # looked at again when the body begins
                    if not response.is_success:
                        answer = _answer(response)
                        if answer.status in _BUSY and attempt.again(_retry_after(response, answer)):
                            continue
                        raise self.refusal(answer)
                    self._answered()
                    for line in _split(response.iter_bytes(), patience):
                        begun = True
                        yield line
                    return
            except httpx.TimeoutException as error:
                if isinstance(error, httpx.ConnectTimeout):
                    raise self._nobody(error) from None
                raise EngineHung(hung_words(times["read"] or first)) from None
            except httpx.TransportError as error:
                if begun:
                    raise EngineDied(f"{self.address}: the connection broke in the middle of an answer") from None
                if not attempt.again():
                    raise self._nobody(error) from None

    def refusal(self, answer: Answer) -> EngineRefused:
        """Why an answer is no success, in the server's own words."""
        said = one_line(self.blot(words_of(answer) or answer.text), _SHOWN) or "nothing"
        if answer.status in (401, 403):
            hint = f"the key in {KEY} is not accepted" if self._key else f"it wants a key; {KEY} takes it"
            return EngineRefused(f"{self.address}: {hint} (status {answer.status}: {said})")
        return EngineRefused(f"{self.address} answers with status {answer.status}: {said}")

    def beside(self, path: str) -> Client:
        """A client of what lies at another path of the same server."""
        client = Client(Address(self.address.url + path), timeout=self.timeout, key=self._key)
        client._parent = self
        return client

    def routed(self, model: str) -> Client:
        """A client of one of the models behind this address: its name goes along with every request."""
        client = self.beside("")
        client.address = Address(self.address.url, model)
        client._routed = model
        return client

    def blot(self, text: str) -> str:
        """The same without the key; before it is shortened, which could leave half of it."""
        return text.replace(self._key, "***") if self._key else text

    def close(self) -> None:
        """Close all connections; a later request opens new ones."""
        with self._lock:
            client, self._http = self._http, None
        if client is not None:
            client.close()

    def _whole(
        self, method: str, path: str, body: dict[str, Any] | None, patience: float | None, attempts: int
    ) -> Answer:
        httpx = _httpx()
        limit = patience or self._limit_s
        limits = httpx.Timeout(limit, connect=min(limit, _CONNECT_S), pool=None)
        for attempt in self._attempts(attempts, limit):
            try:
                with self._client().stream(method, self._url(path), json=body, timeout=limits) as response:
                    answer = _answer(response, limit)
            except httpx.ReadTimeout:
                raise EngineHung(f"{self.address}{path} did not answer within {limit:g} s") from None
            except httpx.TransportError as error:
                if not attempt.again():
                    raise self._nobody(error) from None
                continue
            if answer.status not in _BUSY or not attempt.again(_retry_after(response, answer)):
                if answer.ok and method == "POST":  # what is only looked up loads nothing
                    self._answered()
                return answer
        raise AssertionError("the last attempt returns or raises")

    def _attempts(self, most: int, limit_s: float) -> Iterator[_Attempt]:
        deadline = time.monotonic() + limit_s
        number = 0
        go_on = True
        while go_on:
            attempt = _Attempt(number, most, deadline)
            yield attempt
            go_on = attempt.wanted
            number += 1

    def _nobody(self, error: Exception) -> EngineRefused:
        why = one_line(self.blot(_ERRNO.sub("", str(error))), _SHOWN) or type(error).__name__
        return EngineRefused(f"{self.address}: no server answers there ({why})")

    def _url(self, path: str) -> str:
        return self.address.url + path

    def _client(self) -> httpx.Client:
        if self._parent is not None:
            return self._parent._client()
        httpx = _httpx()
        with self._lock:
            if self._http is None:
                headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
                self._http = httpx.Client(
                    headers=headers,
                    timeout=httpx.Timeout(self.timeout, connect=_CONNECT_S, pool=None),
                    limits=httpx.Limits(max_connections=None, max_keepalive_connections=8),
                    # no proxy, no .netrc: nobody but the server that the user named is spoken to, or gets a key
                    trust_env=False,
                    verify=ssl.create_default_context() if self.address.url.startswith("https:") else False,
                )
            return self._http


class _Attempt:
    """One sending of a request that may be sent again."""

    def __init__(self, number: int, most: int, deadline: float) -> None:
        self._number, self._most, self._deadline = number, most, deadline
        self.wanted = False

    def again(self, wait: float | None = None) -> bool:
        """Wait and say yes, or say no: it was sent often enough, or the server wants more time than there is.

        A server that says how long to wait (or that it still loads) is asked until the time is up.
        """
        pause = _PAUSE_S * 2**self._number if wait is None else max(wait, _PAUSE_S)
        told = wait is not None
        if self._most == 1 or (self._number + 1 >= self._most and not told):
            return False
        if time.monotonic() + pause > self._deadline:
            return False
        time.sleep(pause)
        self.wanted = True
        return True


def _retry_after(response: httpx.Response, answer: Answer) -> float | None:
    """Seconds that the server asks to wait (RFC 9110, 10.2.3); while it loads its model, half a second."""
    said = response.headers.get("retry-after", "")
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        pass
    return 0.5 if answer.status == 503 and "oading" in answer.text[:2000] else None


def _answer(response: httpx.Response, limit_s: float = _CONNECT_S) -> Answer:
    """The whole of an answer that is no stream; EngineRefused for one without end."""
    deadline = time.monotonic() + limit_s
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) > _LARGEST or time.monotonic() > deadline:
            raise EngineRefused(f"the server sends without end: {len(data)} bytes to a plain question")
    try:
        value = json.loads(bytes(data))
    except (ValueError, RecursionError):
        value = None
    return Answer(response.status_code, value, data.decode("utf-8", "replace"))


def _split(chunks: Iterator[bytes], patience: Patience) -> Iterator[str]:
    """Lines without their ends; EngineRefused for one that no server means."""
    held = bytearray()
    total = 0
    for chunk in chunks:
        patience.check()
        total += len(chunk)
        held += chunk
        if len(held) > _LONGEST_LINE + len(chunk) or total > _LONGEST_ANSWER:
            raise EngineRefused(f"the server sends without end: {total} bytes in one answer")
        if b"\n" not in chunk:
            continue
        *lines, held = held.split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if held:
        yield held.decode("utf-8", "replace").rstrip("\r")


def http_errors() -> tuple[type[Exception], ...]:
    """All that the HTTP library raises, where it was loaded at all."""
    httpx = sys.modules.get("httpx")
    return () if httpx is None else (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)


def _httpx() -> ModuleType:
    try:
        import httpx
    except ImportError:
        raise EngineRefused(
            "models behind servers need the package httpx: pip install 'pytest-quantcheck[server]'"
        ) from None
    return httpx
