"""llama-server in router mode: a server for each model, found by a query or by the name in a body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs
from urllib.parse import urlsplit

from tests.fakes.base import Body
from tests.fakes.base import Fake
from tests.fakes.openai import LlamaServer


class Router(Fake):
    """A router.

    :param behind: the servers by the models' names.
    :param broken: models that do not load.
    :param slow: how often the state is told before a model is loaded, or gone.
    """

    def __init__(self, behind: dict[str, LlamaServer], *, broken: tuple[str, ...] = (), slow: int = 2) -> None:
        super().__init__(next(iter(behind.values())).script)
        self.behind = behind
        self.broken = broken
        self.slow = slow
        self.states = dict.fromkeys(behind, "unloaded")
        self.failed: set[str] = set()
        self._told = 0

    def get(self, path: str) -> tuple[int, Any]:
        where, model = urlsplit(path).path, parse_qs(urlsplit(path).query).get("model", [""])[0]
        if where in ("/models", "/v1/models"):
            self._move()
            return 200, {"object": "list", "data": [self._entry(name) for name in self.behind]}
        if where == "/props" and not model:
            return 200, {"role": "router", "max_instances": 4, "model_path": "none"}
        server = self.behind.get(model)
        if server is None or self.states[model] != "loaded":
            return 400, {"error": {"message": "model is not loaded", "code": 400}}
        return server.get(where)

    def post(self, path: str, body: Body) -> tuple[int, Any] | Iterator[str]:
        model = body.get("model", "")
        if model not in self.behind:
            return 400, {"error": {"message": f"model '{model}' not found", "code": 400}}
        if path == "/models/load":
            self.states[model], self._told = "loading", 0
            return 200, {"success": True}
        if path == "/models/unload":
            self.states[model], self._told = "unloading", 0
            return 200, {"success": True}
        return self.behind[model].post(path, body)

    def _move(self) -> None:
        self._told += 1
        for model, state in self.states.items():
            if self._told > self.slow and state in ("loading", "unloading"):
                is_good = state == "loading" and model not in self.broken
                self.failed |= {model} if state == "loading" and not is_good else set()
                self.states[model] = "loaded" if is_good else "unloaded"

    def _entry(self, model: str) -> Body:
        status: Body = {"value": self.states[model]}
        if self.states[model] != "unloaded":
            status["args"] = ["llama-server", "-m", model, "-c", "4096", "-ctk", "q8_0", "-ctv", "q8_0"]
        if model in self.failed:
            status |= {"failed": True, "exit_code": 1}
        return self.behind[model].entry | {"status": status}
