"""What loading a model took, as this process and the devices see it. Runs inside the engine's own process only."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from typing import Any
from typing import Final

import llama_cpp.llama_cpp as C

from pytest_quantcheck.engines.buffers import BufferLog
from pytest_quantcheck.memory import together

_GRAPHICS: Final = (1, 2)
"""ggml_backend_dev_type: GPU and IGPU. The CPU says that all its memory is free, whatever happens."""


class Footprint:
    """Made before a model is loaded; knows afterwards what that took."""

    def __init__(self, library: Any = C._lib) -> None:
        self._library = library
        self._free = free_memory(library)
        self._found: dict[str, Any] = {}

    def loaded(self, buffers: BufferLog, context: int) -> None:
        """The model and its context are there: keep what llama.cpp said and what is gone from each device."""
        devices = buffers.devices()
        after = free_memory(self._library)
        self._found = {
            "measured": together(devices.values()).to_payload(),
            "measured_context": context,
            "devices": {name: one.to_payload() for name, one in devices.items()},
            "mapped": buffers.mapped,
            "device_taken": {name: free - after.get(name, 0) for name, free in self._free.items()} or None,
        }

    def measured(self) -> dict[str, Any]:
        """All of it, with what this process holds now and held at most."""
        held = _status()
        return self._found | {
            "resident": held.get("VmRSS"),
            "resident_file": held.get("RssFile"),
            "peak": peak_memory(),
            "video": video_memory(),
        }


def free_memory(library: Any = C._lib) -> dict[str, int]:
    """Free bytes of every graphics device, by name; what other processes do shows too."""
    try:
        count, get, name, kind, memory = (
            getattr(library, f"ggml_backend_dev_{what}") for what in ("count", "get", "name", "type", "memory")
        )
    except AttributeError:  # a build that hides them
        return {}
    count.restype, count.argtypes = ctypes.c_size_t, []
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    kind.restype, kind.argtypes = ctypes.c_int, [ctypes.c_void_p]
    size = ctypes.POINTER(ctypes.c_size_t)
    memory.restype, memory.argtypes = None, [ctypes.c_void_p, size, size]
    found = {}
    for device in map(get, range(count())):
        if kind(device) in _GRAPHICS:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            memory(device, ctypes.byref(free), ctypes.byref(total))
            found[name(device).decode("utf-8", "replace")] = free.value
    return found


def video_memory() -> int | None:
    """Bytes of video memory that NVML counts for this process; None without pynvml or an NVIDIA device in use."""
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
        running = [one for handle in handles for one in nvml.nvmlDeviceGetComputeRunningProcesses(handle)]
    except Exception:  # no such module, no driver, no permission: all of it somebody else's
        return None
    mine = [one.usedGpuMemory for one in running if one.pid == os.getpid() and one.usedGpuMemory]
    return sum(mine) or None


def resident_memory() -> int | None:
    """What this process holds now, in bytes; None where nothing tells."""
    return _status().get("VmRSS")


def peak_memory() -> int | None:
    """Most memory that this process held so far, in bytes; mapped weights count once they were touched."""
    # not getrusage: its figure is inherited from the parent across exec on Linux
    if (peak := _status().get("VmHWM")) is not None:
        return peak
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _status() -> dict[str, int]:
    """The kernel's account of this process in bytes; nothing where there is no such file."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            rows = [line.split() for line in status]
    except OSError:
        return {}
    return {row[0].removesuffix(":"): int(row[1]) * 1024 for row in rows if len(row) == 3 and row[2] == "kB"}
