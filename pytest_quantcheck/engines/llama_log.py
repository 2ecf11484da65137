"""llama.cpp's own words: its calls fail without a reason, the reason is in its log; so is what it decided by itself."""

from __future__ import annotations

import ctypes
import re
import sys
from typing import Any

import llama_cpp.llama_cpp as C

from pytest_quantcheck.engines.buffers import BufferLog

# ggml's number; the package's own table is off by one
_ERROR = 4
# these say only that something failed, right after the line that says what
_CLOSING_WORDS = ("llama_model_load_from_file_impl", "mtmd_init_from_file: error: Failed to load CLIP model")
_FLASH = re.compile(r"(?:flash attention|flash_attn\s+=) (?:was auto, set to )?(enabled|disabled)", re.IGNORECASE)
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")


class LlamaLog:
    """Keeps the error lines and prints them to the standard error, which the parent reads when this process dies."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self.flash_attention = ""
        """'enabled' or 'disabled' once a context was made; empty when this build does not say."""
        self.gpu_layers = "none"
        """Layers on the GPU: 'all', a number, or 'none'."""
        self.buffers = BufferLog()
        """What memory was said to be taken since it was last replaced."""
        self.callback = C.llama_log_callback(self._take)  # must outlive its use
        C.llama_log_set(self.callback, ctypes.c_void_p(0))

    def close(self) -> None:
        """Listen no more; llama.cpp must not call what is gone."""
        C.llama_log_set(C.llama_log_callback(), None)

    def clear(self) -> None:
        """Forget what was said so far."""
        self._errors.clear()

    def cause(self) -> str:
        """The last error that says something."""
        lines = [line for line in self._errors if not line.startswith(_CLOSING_WORDS)] or self._errors
        return lines[-1] if lines else "it gave no reason"

    def _take(self, level: int, text: bytes, _: Any) -> None:
        if level == _ERROR:
            line = text.decode("utf-8", "replace").strip()
            self._errors.append(line)
            print(line, file=sys.stderr, flush=True)
            return
        words = text.decode("utf-8", "replace")
        self.buffers.feed(words)
        if decided := _FLASH.search(words):
            self.flash_attention = decided[1].lower()
        elif decided := _OFFLOADED.search(words):
            self.gpu_layers = "all" if decided[1] == decided[2] else decided[1] if int(decided[1]) else "none"
