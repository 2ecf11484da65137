"""llama-swap in front of llama-servers: it loads on demand and says so where a thought would come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.fakes.base import Body
from tests.fakes.base import Fake
from tests.fakes.openai import OpenAi

BANNER = (
    "━━━━━\n",
    "llama-swap loading model: {}\n",
    "Untangling the tensors",
    " .",
    " .",
    "\nDone! (1.50s)\n",
    "━━━━━\n",
    " \n",
)


class LlamaSwap(Fake):
    """llama-swap.

    :param behind: the servers by the names that the proxy knows them by.
    :param banner: 'reasoning_content' or 'content', where the loading text comes (``sendLoadingState: true``).
    :param command: how it starts them; '' for an older version, which neither tells it nor unloads a single model.
    """

    def __init__(
        self, behind: dict[str, OpenAi], *, banner: str = "reasoning_content", command: str = "", **more: Any
    ) -> None:
        super().__init__(next(iter(behind.values())).script, **more)
        self.behind = behind
        self.banner = banner
        self.loaded = ""
        self.unloads: list[str] = []
        self.command = command

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/running":
            told = {"cmd": self.command, "ttl": 0, "name": "", "proxy": "http://127.0.0.1:5800"} if self.command else {}
            running = [{"model": self.loaded, "state": "ready"} | told] if self.loaded else []
            return 200, {"running": running}
        if path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": name, "owned_by": "llama-swap"} for name in self.behind]}
        if path == "/api/version":
            return 200, {"version": "190", "commit": "abc", "build_date": "today"}
        if path == "/props":
            return 400, {"error": "model id required"}
        server, rest = self._upstream(path)
        return server.get(rest) if server is not None else (404, "404 page not found")

    def _upstream(self, path: str) -> tuple[OpenAi | None, str]:
        if not path.startswith("/upstream/"):
            return None, path
        name, _, rest = path.removeprefix("/upstream/").partition("/")
        if name in self.behind:
            self.loaded = name
        return self.behind.get(name), f"/{rest}"

    def post(self, path: str, body: Body) -> tuple[int, Any] | Iterator[str]:
        if path.startswith("/api/models/unload/") and self.command:
            self.unloads.append(path.rpartition("/")[2])
            self.loaded = ""
            return 200, {"msg": "ok"}
        server, rest = self._upstream(path)
        if server is not None:
            return server.post(rest, body)
        server = self.behind.get(body.get("model", ""))
        if path != "/v1/chat/completions" or server is None:
            return 404, {"error": f"could not find real modelID for {body.get('model')}"}
        answer = server.post(path, body | {"model": server.model})
        was, self.loaded = self.loaded, body["model"]
        if isinstance(answer, tuple) or was == self.loaded:
            return answer
        return self._with_banner(answer)

    def _with_banner(self, lines: Iterator[str]) -> Iterator[str]:
        for text in BANNER:
            event = {"choices": [{"delta": {self.banner: text.format(self.loaded)}}]}
            yield f"data: {json.dumps(event)}\n\n"
        yield from lines
