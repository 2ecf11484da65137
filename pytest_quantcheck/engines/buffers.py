"""llama.cpp's own account of its memory: the lines '... buffer size = N MiB' of its log. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

from pytest_quantcheck.memory import Buffers

_MIB: Final = 1 << 20
_BUFFER: Final = re.compile(r":\s+(\S+)\s+(\S.*?)\s+buffer size\s*=\s*(\d+(?:\.\d+)?) MiB\b")
_CACHE: Final = re.compile(r"llama_kv_cache\w*: size\s*=\s*(\d+(?:\.\d+)?) MiB \(\s*\d+ cells")
_UNUSED: Final = re.compile(r"model has unused tensor \S+ \(size = (\d+) bytes\)")
_REPACKED: Final = re.compile(r"CPU_(?!Mapped)|AMX")
_HOST: Final = re.compile(r"CPU|AMX|.*_Host$")
_PURPOSES: Final = {"model": "weights", "KV": "kv", "RS": "kv", "compute": "compute", "output": "output"}


class BufferLog:
    """Adds up what llama.cpp says while it loads a model and makes one context. MiB with two decimals, so +-5 KiB."""

    def __init__(self) -> None:
        self._bytes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.cache = 0
        """Bytes of keys and values as their tensors say; buffers say 0 where nothing is allocated."""
        self.unused = 0
        """Bytes of tensors that the model's architecture has no use for."""
        self.mapped = False
        """Whether weights are mapped from the file."""

    def feed(self, message: str) -> None:
        """One message of the log; all that says nothing of memory is passed over."""
        for line in message.splitlines():
            if found := _BUFFER.search(line):
                self._add(found[1], found[2], found[3])
            elif found := _CACHE.search(line):
                self.cache += _bytes(found[1])
            elif found := _UNUSED.search(line):
                self.unused += int(found[1])

    def _add(self, buffer: str, what: str, mebibytes: str) -> None:
        # 'DSV4 csa state' is a cache too; 'LoRA' is none of ours
        purpose = _PURPOSES.get(what) or ("kv" if what.endswith(" state") else "")
        if not purpose:
            return
        device = self._bytes["CPU" if _HOST.match(buffer) else buffer.partition("_")[0]]
        if purpose == "compute":
            device[f"compute {buffer}"] = _bytes(mebibytes)  # reserved anew: the last word counts
            return
        device[purpose] += _bytes(mebibytes)
        if purpose == "weights":
            self.mapped = self.mapped or buffer.endswith("_Mapped")
            device["repacked"] += _bytes(mebibytes) if _REPACKED.match(buffer) else 0

    def devices(self) -> dict[str, Buffers]:
        """By device; memory of the host that another device reads counts as the CPU's."""
        return {
            device: Buffers(
                sizes.get("weights", 0),
                sizes.get("kv", 0),
                sum(size for name, size in sizes.items() if name.startswith("compute ")),
                sizes.get("output", 0),
                sizes.get("repacked", 0),
            )
            for device, sizes in self._bytes.items()
        }


def _bytes(mebibytes: str) -> int:
    return round(float(mebibytes) * _MIB)
