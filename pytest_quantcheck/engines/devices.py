"""llama.cpp's devices by name; as a program it prints them. Runs inside the engine's own process only."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as C

from pytest_quantcheck.devices import CPU
from pytest_quantcheck.devices import Device
from pytest_quantcheck.engines.base import EngineRefused

_KINDS = {0: CPU, 1: "GPU", 2: "IGPU"}  # enum ggml_backend_dev_type


def all_devices() -> list[Device]:
    """Every device, in llama.cpp's order."""
    C.llama_backend_init()
    count = _function("count", ctypes.c_size_t)
    get = _function("get", ctypes.c_void_p, ctypes.c_size_t)
    kind = _function("type", ctypes.c_int, ctypes.c_void_p)
    name, description = (_function(what, ctypes.c_char_p, ctypes.c_void_p) for what in ("name", "description"))
    return [
        Device(_text(name(device)), _KINDS.get(kind(device), "other"), _text(description(device)))
        for device in (get(number) for number in range(count()))
    ]


def offload_to(names: Sequence[str]) -> Any:
    """A model's ``devices`` parameter: what is no processor, then NULL. To be kept until the model is loaded.

    :raises EngineRefused: when llama.cpp does not find one.
    """
    by_name = _function("by_name", ctypes.c_void_p, ctypes.c_char_p)
    found = {name: by_name(name.encode()) for name in names}
    if missing := [name for name, device in found.items() if not device]:
        listed = ", ".join(device.name for device in all_devices())
        raise EngineRefused(f"llama.cpp finds no device {missing[0]!r} here, but {listed}")
    chosen = [device for name, device in found.items() if name != CPU]
    return (ctypes.c_void_p * (len(chosen) + 1))(*chosen, None)


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(C._lib, f"ggml_backend_dev_{name}")
    function.restype, function.argtypes = result, list(arguments)
    return function


def _text(said: bytes | None) -> str:
    return (said or b"").decode("utf-8", "replace")


if __name__ == "__main__":
    print(json.dumps([device.to_payload() for device in all_devices()]))
