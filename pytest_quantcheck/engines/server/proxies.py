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
from pytest_quantcheck.engines.server.client import Answer
from pytest_quantcheck.engines.server.client import Client
from pytest_quantcheck.text import one_line

LOADING_S: Final = 600.0
"""Seconds that a proxy may take to load a model."""
_GONE_S: Final = 10.0
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Proxy:
    """One model behind a proxy.

    :param model: the name that the proxy knows it by.
    :param command: how it started the model's server; empty where it does not tell.
    :param unload: asks it to let the model go.
    :param is_loaded: whether it still holds the model.
    """

    name: str
    model: str
    command: str | Sequence[str]
    unload: Callable[[], Answer]
    is_loaded: Callable[[], bool]


def let_go(unload: Callable[[], Answer], is_loaded: Callable[[], bool]) -> None:
    """Have a model unloaded and wait until it is gone: its memory is the next one's. Who cannot do it is let be."""
    with suppress(EngineError):
        if not unload().ok:
            return
        deadline = time.monotonic() + _GONE_S
        while is_loaded() and time.monotonic() < deadline:
            time.sleep(_LOOK_S)


def llama_swap(client: Client, model: str) -> Proxy:
    """llama-swap; the model runs already."""
    path = f"/api/models/unload/{quote(model, safe='')}"  # older ones can only unload all models, which may be others'
    running = _running(client).get(model, {})
    return Proxy(
        "llama-swap",
        model,
        str(running.get("cmd") or ""),
        lambda: client.post(path, {}),
        lambda: model in _running(client),
    )


def _running(client: Client) -> dict[str, Mapping[str, Any]]:
    found = client.get("/running").fields.get("running")
    return {str(one.get("model")): one for one in objects(found)}


def router(client: Client, model: str) -> Proxy:
    """llama-server in router mode: it is asked to load the model, which is waited for.

    :raises EngineRefused: when the model does not load.
    """
    status = _status(client, model)
    if status.get("value") not in ("loaded", "sleeping"):
        answer = client.post("/models/load", {"model": model})
        if not answer.ok and _status(client, model).get("value") == "unloaded":
            raise client.refusal(answer)
        status = _loaded(client, model)
    args = status.get("args")
    return Proxy(
        "its router",
        model,
        [str(arg) for arg in args] if isinstance(args, list) else "",
        lambda: client.post("/models/unload", {"model": model}),
        lambda: _status(client, model).get("value") not in ("unloaded", None),
    )


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


def _status(client: Client, model: str) -> Mapping[str, Any]:
    for one in objects(client.get("/models").fields.get("data")):
        if one.get("id") == model and isinstance(one.get("status"), dict):
            status: dict[str, Any] = one["status"]
            return status
    return {}


def objects(found: object) -> list[dict[str, Any]]:
    """The objects of a JSON list; none of anything else."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
