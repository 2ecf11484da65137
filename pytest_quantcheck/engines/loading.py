"""Loading one GGUF and making its context; what llama.cpp decided. Runs inside the engine's own process only."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import llama_cpp
import llama_cpp.llama_cpp as C

from pytest_quantcheck.engines.base import CHUNK
from pytest_quantcheck.engines.base import KV_TYPES
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import default_context
from pytest_quantcheck.engines.bounds import Progress
from pytest_quantcheck.engines.devices import offload_to
from pytest_quantcheck.engines.llama_log import LlamaLog
from pytest_quantcheck.identity import TELLING_VARIABLES

# of one number in the cache; all other types have at least four bits
_LEAST_BYTES = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 1.0}


def load_model(path: str, settings: LoadSettings, log: LlamaLog, progress: Progress, *, allocate: bool = True) -> Any:
    """The model; EngineRefused with llama.cpp's own words. ``progress`` is called while it loads.

    Without ``allocate`` it has no weights: it only serves to ask what its contexts would take.
    """

    def go_on(share: float, _data: Any) -> bool:
        progress("", round(100 * share), 100)
        return True

    params = C.llama_model_default_params()
    params.n_gpu_layers = settings.gpu_layers
    if settings.devices:
        devices = offload_to(settings.devices)
        params.devices = ctypes.cast(devices, ctypes.c_void_p)
        if len(devices) == 1:
            params.n_gpu_layers = 0
    if not allocate:
        params.no_alloc = True
        params.load_mode = C.LLAMA_LOAD_MODE_NONE  # any other aborts
    params.check_tensors = True  # weights with NaN or Inf load and 'generate' silently otherwise
    params.progress_callback = C.llama_progress_callback(go_on)
    model = C.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise EngineRefused(f"llama.cpp cannot load it: {log.cause()}")
    return model


def context_params(model: Any, settings: LoadSettings) -> Any:
    """How every context of this run is made; EngineRefused for what cannot be."""
    if settings.kv_type not in KV_TYPES:
        raise EngineRefused(f"unknown KV type {settings.kv_type!r}; known: {', '.join(KV_TYPES)}")
    params = C.llama_context_default_params()
    params.n_ctx = settings.context or default_context(C.llama_model_n_ctx_train(model))
    params.n_batch = params.n_ubatch = min(CHUNK, params.n_ctx)
    params.n_outputs_max = 1  # 4 MiB instead of 514 MiB for a vocabulary of 262k
    params.n_threads = params.n_threads_batch = settings.threads
    params.type_k = params.type_v = KV_TYPES[settings.kv_type]
    params.flash_attn_type = -1
    params.swa_full = False
    return params


def make_context(model: Any, settings: LoadSettings, log: LlamaLog) -> Any:
    """The context that answers are generated in."""
    _refuse_absurd(model, settings)
    params = context_params(model, settings)
    context = C.llama_init_from_model(model, params)
    if not context:
        raise EngineRefused(
            f"llama.cpp cannot make a context of {params.n_ctx} tokens (KV type {settings.kv_type}): "
            f"{log.cause()}; a smaller --quant-ctx needs less memory"
        )
    return context


def _refuse_absurd(model: Any, settings: LoadSettings) -> None:
    """Refuse what one layer's cache cannot fit; llama.cpp would find out after half a minute and gigabytes."""
    if C.llama_supports_gpu_offload() or not hasattr(os, "sysconf"):
        return  # it may fit elsewhere
    context = settings.context or 0
    heads, kv_heads = C.llama_model_n_head(model), C.llama_model_n_head_kv(model)
    width = C.llama_model_n_embd(model) // max(1, heads) * kv_heads
    least = int(context * width * 2 * _LEAST_BYTES.get(settings.kv_type, 0.5))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if context < 0 or least > memory:
        raise EngineRefused(
            f"a context of {context} tokens needs more than {least >> 30} GiB, "
            f"this machine has {memory >> 30} GiB; lower --quant-ctx"
        )


def build_facts(context: Any, log: LlamaLog) -> dict[str, Any]:
    """What this build and this load are: for the reports."""
    return {
        "flash_attention": log.flash_attention,
        "gpu": bool(C.llama_supports_gpu_offload()),
        "gpu_layers": log.gpu_layers,
        "threads": C.llama_n_threads(context),
        "batch": C.llama_n_ubatch(context),
        "build": build_words(),
        "system": C.llama_print_system_info().decode("utf-8", "replace").strip(),
        "environment": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith(TELLING_VARIABLES)
        },
    }


def build_words() -> str:
    """Which build of llama.cpp this is."""
    return f"llama.cpp with ggml {_ggml_words()}, llama-cpp-python {llama_cpp.__version__}"


def _ggml_words() -> str:
    """Version and commit of the library; older ones have no such functions."""
    words = []
    for name in ("ggml_version", "ggml_commit"):
        function = getattr(C._lib, name, None)
        if function is not None:
            function.restype = ctypes.c_char_p
            words.append(function().decode("utf-8", "replace"))
    return " ".join(words) or "of unknown version"
