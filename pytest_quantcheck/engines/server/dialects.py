"""Which server answers at an address, from what it says of itself, never from its port."""

from __future__ import annotations

from typing import Any
from typing import Final
from urllib.parse import quote

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.server.answer import objects
from pytest_quantcheck.engines.server.client import Client
from pytest_quantcheck.engines.server.dialect import Dialect
from pytest_quantcheck.engines.server.llama_cpp_python import TITLE
from pytest_quantcheck.engines.server.llama_cpp_python import LlamaCppPython
from pytest_quantcheck.engines.server.llama_server import LlamaServer
from pytest_quantcheck.engines.server.ollama import Ollama
from pytest_quantcheck.engines.server.patience import LOADING_S
from pytest_quantcheck.engines.server.proxies import llama_swap
from pytest_quantcheck.engines.server.proxies import router
from pytest_quantcheck.engines.server.vllm import Vllm
from pytest_quantcheck.text import one_line

_SHOWN_MODELS: Final = 8
_ATTEMPTS: Final = 5


def recognise(client: Client) -> Dialect:
    """The server's dialect, with the model that the address names; EngineRefused when it has no such model."""
    running = client.get("/running")
    if running.status in (401, 403):
        raise client.refusal(running)
    if isinstance(running.fields.get("running"), list):
        return _behind_llama_swap(client)
    return _single(client, client, client.timeout)


def _single(front: Client, wire: Client, patience: float) -> Dialect:
    """The dialect of a server itself."""
    props = wire.get("/props", patience=patience, attempts=_ATTEMPTS)
    if props.status in (401, 403):
        raise wire.refusal(props)
    if props.fields.get("role") == "router":
        return _behind_router(wire)
    if "default_generation_settings" in props.fields:
        models = _models(wire)
        model = _chosen(wire, _with_file_names(models))
        meta = models[model].get("meta")
        return LlamaServer(front, wire, model, props.fields, meta if isinstance(meta, dict) else {})
    version = wire.get("/api/version").fields.get("version")
    if isinstance(version, str) and front is wire:
        tags = wire.get("/api/tags").fields.get("models")
        if isinstance(tags, list):
            return _ollama(wire, one_line(version, 40), tags)
    models = _models(wire)
    if all(told.get("owned_by") == "vllm" for told in models.values()):
        version = wire.get("/version").fields.get("version")
        model = _chosen(wire, {name: name for name in models})
        return Vllm(front, wire, model, one_line(str(version or ""), 40), models[model])
    info = wire.get("/openapi.json").fields.get("info")
    title = info.get("title") if isinstance(info, dict) else None
    kind = LlamaCppPython if title == TITLE else Dialect
    return kind(front, wire, _chosen(wire, _with_file_names(models)))


def _behind_llama_swap(client: Client) -> Dialect:
    """The dialect of a model's own server, with answers asked for at the proxy: what its users get."""
    model = client.address.model
    if not model:
        model = _chosen(client, {name: name for name in _models(client)})
    upstream = client.beside(f"/upstream/{quote(model, safe='')}")
    # the first question loads the model
    dialect = _single(client, upstream, max(client.timeout, LOADING_S))
    dialect.go_through(llama_swap(client, model))
    return dialect


def _behind_router(client: Client) -> Dialect:
    """The dialect of one of a llama-server's models, where it holds several, each in a server of its own."""
    model = _chosen(client, _with_file_names(_models(client)))
    proxy = router(client, model)
    one = client.routed(model)
    dialect = _single(one, one, client.timeout)
    dialect.go_through(proxy)
    return dialect


def _ollama(client: Client, version: str, tags: list[Any]) -> Dialect:
    entries = {one["name"]: one for one in objects(tags) if isinstance(one.get("name"), str)}
    names = {name.removesuffix(":latest"): name for name in entries} | {name: name for name in entries}
    model = _chosen(client, names)
    answer = client.post("/api/show", {"model": model, "verbose": True})
    if not answer.ok:
        raise client.refusal(answer)
    return Ollama(client, model, version, entries[model], answer.fields)


def _models(client: Client) -> dict[str, dict[str, Any]]:
    answer = client.get("/v1/models", attempts=_ATTEMPTS)
    if not answer.ok:
        raise client.refusal(answer)
    found = objects(answer.fields.get("data"))
    models = {model["id"]: model for model in found if isinstance(model.get("id"), str)}
    if not models:
        raise EngineRefused(f"{client.address} tells no models (GET /v1/models)")
    return models


def _with_file_names(models: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Every name that a model answers to -> its own; llama.cpp's servers name it after its file unless told more.

    A short name that two models share is none of either's.
    """
    files: dict[str, set[str]] = {}
    known: dict[str, str] = {}
    for name, told in models.items():
        aliases = told.get("aliases")
        for one in (name, *(aliases if isinstance(aliases, list) else ())):
            if isinstance(one, str):
                files.setdefault(one.replace("\\", "/").rpartition("/")[2], set()).add(name)
                known[one] = name
    return {one: min(of) for one, of in files.items() if len(of) == 1} | known | {name: name for name in models}


def _chosen(client: Client, names: dict[str, str]) -> str:
    """The server's own name of the model that the address names.

    :param names: every name that a model answers to -> its own.
    """
    wanted = client.address.model
    if wanted in names:
        return names[wanted]
    own = sorted(set(names.values()))
    if not wanted and len(own) == 1:
        return own[0]
    shown = one_line(", ".join(own[:_SHOWN_MODELS]) + (", ..." if len(own) > _SHOWN_MODELS else ""), 400)
    if not wanted:
        raise EngineRefused(f"{client.address} has {len(own)} models; name one after a '#': {shown}")
    raise EngineRefused(f"{client.address.url} has no model {one_line(wanted, 120)!r}; it has: {shown}")
