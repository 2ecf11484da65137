"""Which server answers at an address, from what it says of itself, never from its port."""

from __future__ import annotations

from typing import Any
from typing import Final
from urllib.parse import quote

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.server.client import Client
from pytest_quantcheck.engines.server.dialect import Dialect
from pytest_quantcheck.engines.server.llama_cpp_python import TITLE
from pytest_quantcheck.engines.server.llama_cpp_python import LlamaCppPython
from pytest_quantcheck.engines.server.llama_server import LlamaServer
from pytest_quantcheck.text import one_line

_SHOWN_MODELS: Final = 8


def recognise(client: Client) -> Dialect:
    """The server's dialect, with the model that the address names; EngineRefused when it has no such model."""
    props = client.get("/props", patience=None)
    if props.status in (401, 403):
        raise client.refusal(props)
    if "default_generation_settings" in props.fields:
        return _llama_server(client, props.fields)
    info = client.get("/openapi.json").fields.get("info")
    title = info.get("title") if isinstance(info, dict) else None
    models = _models(client)
    kind = LlamaCppPython if title == TITLE else Dialect
    return kind(client, client, _chosen(client, _with_file_names(models)))


def _llama_server(client: Client, props: dict[str, Any]) -> Dialect:
    models = _models(client)
    model = _chosen(client, _with_file_names(models))
    meta = models[model].get("meta")
    return LlamaServer(client, client, model, props, meta if isinstance(meta, dict) else {})


def _models(client: Client) -> dict[str, dict[str, Any]]:
    answer = client.get("/v1/models")
    if not answer.ok:
        raise client.refusal(answer)
    data = answer.fields.get("data")
    found = [model for model in data if isinstance(model, dict)] if isinstance(data, list) else []
    models = {model["id"]: model for model in found if isinstance(model.get("id"), str)}
    if not models:
        raise EngineRefused(f"{client.address} tells no models (GET /v1/models)")
    return models


def _with_file_names(models: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Every name that a model answers to -> its own; llama.cpp's servers name it after its file unless told more."""
    names: dict[str, str] = {}
    for name, told in models.items():
        aliases = told.get("aliases")
        known = [name, *(alias for alias in (aliases if isinstance(aliases, list) else []) if isinstance(alias, str))]
        names |= {one.replace("\\", "/").rpartition("/")[2]: name for one in known}
        names |= dict.fromkeys(known, name)
    return names


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


def upstream_path(model: str) -> str:
    """Where llama-swap lets one speak to a model's own server."""
    return f"/upstream/{quote(model, safe='')}"
