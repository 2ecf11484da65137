"""A small HTTP server in a thread, what its model says, and the faults that it can be told to have."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Says:
    """What the model generates to one prompt: each text a token, the end of the answer one more."""

    thought: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    calls: tuple[tuple[str, Body], ...] = ()
    marks: tuple[str, str] = ("<think>", "</think>")

    @property
    def raw(self) -> list[str]:
        """All tokens, as the model writes them."""
        calls = [f"<tool_call>{json.dumps({'name': name, 'arguments': of})}</tool_call>" for name, of in self.calls]
        marked = [self.marks[0], *self.thought, self.marks[1]] if self.thought else []
        return [*marked, *self.text, *calls]

    def cut(self, budget: int) -> tuple[Says, str, int]:
        """What fits into the budget, 'stop' or 'length', and the tokens that are reported: the end is one."""
        if len(self.raw) < budget:
            return self, "stop", len(self.raw) + 1
        thought, text = self.thought[: max(0, budget - 1)], self.text
        left = budget - (len(self.thought) + 2 if self.thought else 0)
        return Says(thought, text[: max(0, left)], (), self.marks), "length", budget


Script = Callable[[str], Says]


@dataclass
class Fault:
    """What goes wrong with a request; the request after ``times`` of them is answered."""

    kind: str
    """'status', 'reset' and 'empty' (before the answer), 'cut', 'end', 'stall', 'ping', 'garbage', 'array', 'error'."""
    times: int = 1
    status: int = 500
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    path: str = "/v1/chat/completions"


class Raw(Exception):
    """The connection is no longer an HTTP answer."""


class Fake:
    """One server. ``asked`` holds every request: method, path, body."""

    def __init__(self, script: Script, *, model: str = "tiny", key: str = "") -> None:
        self.script = script
        self.model = model
        self.key = key
        self.asked: list[tuple[str, str, Body]] = []
        self.headers: list[dict[str, str]] = []
        self.fault: Fault | None = None
        self.url = ""
        self.lock = threading.Lock()

    # what a kind of server answers: status and JSON, or the objects of a stream
    def get(self, path: str) -> tuple[int, Any]:
        """A GET."""
        del path
        return 404, {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}

    def post(self, path: str, body: Body) -> tuple[int, Any] | Iterator[str]:
        """A POST: status and JSON, or the lines of a stream."""
        del body
        return self.get(path)

    def paths(self, method: str = "POST") -> list[str]:
        """The paths that were asked for."""
        return [path for how, path, _ in self.asked if how == method]

    def bodies(self, path: str) -> list[Body]:
        """What was posted there."""
        return [body for _, where, body in self.asked if where == path]

    @contextmanager
    def running(self, port: int = 0) -> Generator[str]:
        """The URL while it runs."""
        fake = self

        class Handler(_Handler):
            owner = fake

        server = _Server(("127.0.0.1", port), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self.url
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that broke are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: Fake

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._answer("GET", {})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        self._answer("POST", json.loads(self.rfile.read(length) or b"{}"))

    def _answer(self, method: str, body: Body) -> None:
        owner = self.owner
        with owner.lock:
            owner.asked.append((method, self.path, body))
            owner.headers.append({name.lower(): value for name, value in self.headers.items()})
            fault = owner.fault
            if fault is not None and fault.path == self.path and fault.times > 0:
                fault.times -= 1
            else:
                fault = None
        if owner.key and self.headers.get("authorization") != f"Bearer {owner.key}":
            said = self.headers.get("authorization", "nothing").removeprefix("Bearer ")
            self._json(401, {"error": {"message": f"Incorrect API key provided: {said}", "code": "invalid_api_key"}})
            return
        try:
            if fault is not None and self._is_over(fault):
                return
            answer = owner.get(self.path) if method == "GET" else owner.post(self.path, body)
            if isinstance(answer, tuple):
                self._json(*answer)
            else:
                self._stream(answer, fault)
        except Raw:
            self.close_connection = True

    def _is_over(self, fault: Fault) -> bool:
        if fault.kind == "status":
            self._json(fault.status, fault.body, fault.headers)
            return True
        if fault.kind == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            raise Raw
        return False

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, lines: Iterable[str], fault: Fault | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        kind = fault.kind if fault is not None else ""
        if kind == "empty":
            raise Raw
        for number, line in enumerate(lines):
            if number == 3 and kind:
                self._break(kind, fault)
            self._chunk(line.encode())
        self._chunk(b"")

    def _break(self, kind: str, fault: Fault | None) -> None:
        if kind == "cut":
            raise Raw
        if kind == "end":
            self._chunk(b"")
            raise Raw
        if kind == "stall":
            time.sleep(3)
            raise Raw
        if kind == "ping":
            for _ in range(60):
                time.sleep(0.05)
                self._chunk(b": ping\n\n")
            raise Raw
        words = {"garbage": 'data: {"choices": [\n\n', "array": "data: [1]\n\n"}
        said = json.dumps(fault.body if fault is not None else None)
        self._chunk(words.get(kind, f"data: {said}\n\n").encode())

    def _chunk(self, data: bytes) -> None:
        try:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
        except OSError:
            raise Raw from None


def sse(events: Iterable[Any]) -> Iterator[str]:
    """Server-sent events, with the end that OpenAI's protocol has."""
    for event in events:
        yield f"data: {json.dumps(event)}\n\n"
    yield "data: [DONE]\n\n"


def words_of(messages: Iterable[Body]) -> str:
    """What the user said last."""
    content = list(messages)[-1]["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def tokens_of(text: str) -> list[int]:
    """A token each word or marker."""
    return [sum(map(ord, word)) for word in text.replace("<", " <").replace(">", "> ").split()]
