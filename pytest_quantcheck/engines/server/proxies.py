"""What stands between us and a model's own server: it starts and ends servers, one for each model."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from typing import Final
from urllib.parse import quote

from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.server.answer import Answer
from pytest_quantcheck.engines.server.answer import objects
from pytest_quantcheck.engines.server.client import Client
from pytest_quantcheck.engines.server.client import http_errors
from pytest_quantcheck.engines.server.patience import LOADING_S
from pytest_quantcheck.text import one_line

_GONE_S: Final = 10.0
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Proxy:
    """One model behind a proxy.

    :param model: the name that the proxy knows it by.
    :param command: how it started the model's server; empty where it does not tell.
    :param load: has it load the model, and waits for that; nothing where the next answer waits by itself.
    :param unload: asks it to let the model go, within so many seconds.
    :param is_loaded: whether it still holds the model, told within so many seconds.
    """

    name: str
    model: str
    command: str | Sequence[str]
    load: Callable[[], object]
    unload: Callable[[float], Answer]
    is_loaded: Callable[[float], bool]


def let_go(unload: Callable[[float], Answer], is_loaded: Callable[[float], bool]) -> None:
    """Have a model unloaded and wait until it is gone: its memory is the next one's. Who cannot do it is let be."""
    deadline = time.monotonic() + _GONE_S
    with suppress(EngineError, *http_errors()):
        if not unload(_GONE_S).ok:
            return
        while (left := deadline - time.monotonic()) > 0 and is_loaded(left):
            time.sleep(_LOOK_S)


def llama_swap(client: Client, model: str) -> Proxy:
    """llama-swap; the model runs already."""
    path = f"/api/models/unload/{quote(model, safe='')}"  # older ones can only unload all models, which may be others'
    running = _running(client).get(model, {})
    return Proxy(
        "llama-swap",
        model,
        str(running.get("cmd") or ""),
        lambda: None,
        lambda seconds: client.post(path, {}, patience=seconds, attempts=1),
        lambda seconds: model in _running(client, seconds),
    )


def _running(client: Client, patience: float | None = None) -> dict[str, Mapping[str, Any]]:
    found = client.get("/running", patience=patience).fields.get("running")
    return {str(one.get("model")): one for one in objects(found)}


def router(client: Client, model: str) -> Proxy:
    """llama-server in router mode: it is asked to load the model, which is waited for.

    :raises EngineRefused: when the model does not load.
    """
    args = _load(client, model).get("args")
    return Proxy(
        "its router",
        model,
        [str(arg) for arg in args] if isinstance(args, list) else "",
        lambda: _load(client, model),
        lambda seconds: client.post("/models/unload", {"model": model}, patience=seconds, attempts=1),
        lambda seconds: _status(client, model, seconds).get("value") not in ("unloaded", None),
    )


def _load(client: Client, model: str) -> Mapping[str, Any]:
    status = _status(client, model)
    if status.get("value") in ("loaded", "sleeping"):
        return status
    answer = client.post("/models/load", {"model": model})
    if not answer.ok and _status(client, model).get("value") == "unloaded":
        raise client.refusal(answer)
    return _loaded(client, model)


def _loaded(client: Client, model: str) -> Mapping[str, Any]:
    deadline = time.monotonic() + LOADING_S
    while time.monotonic() < deadline:
        status = _status(client, model)
        if status.get("failed"):
            raise EngineRefused(f"{client.address}: the router could not load the model (see its log)")
        if status.get("value") in ("loaded", "sleeping"):
            return status
        time.sleep(_LOOK_S)
    raise EngineRefused(f"{client.address}: the router did not load {one_line(model, 120)!r} within {LOADING_S:g} s")


def _status(client: Client, model: str, patience: float | None = None) -> Mapping[str, Any]:
    for one in objects(client.get("/models", patience=patience).fields.get("data")):
        if one.get("id") == model and isinstance(one.get("status"), dict):
            status: dict[str, Any] = one["status"]
            return status
    return {}
