"""What the command line of a llama-server says of the conditions: proxies tell how they started it. Pure.

Options and defaults: tools/server/README.md of llama.cpp.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from pytest_quantcheck.record import Payload

_PROGRAM: Final = "llama-server"
_OPTIONS: Final = {
    # every spelling of an option -> what it is about
    **dict.fromkeys(("-ctk", "--cache-type-k"), "k"),
    **dict.fromkeys(("-ctv", "--cache-type-v"), "v"),
    **dict.fromkeys(("-fa", "--flash-attn"), "flash attention"),
    **dict.fromkeys(("-ngl", "--gpu-layers", "--n-gpu-layers"), "gpu layers"),
    **dict.fromkeys(("-t", "--threads"), "threads"),
    **dict.fromkeys(("-ub", "--ubatch-size"), "batch"),
    **dict.fromkeys(("-md", "--model-draft", "--spec-draft-model"), "draft"),
    **dict.fromkeys(("--lora", "--lora-scaled"), "lora"),
    **dict.fromkeys(("--control-vector", "--control-vector-scaled"), "control vector"),
}
_NO_KV_OFFLOAD: Final = ("-nkvo", "--no-kv-offload")
_ENVIRONMENT: Final = "LLAMA_ARG_"
"""How the variables begin that say what an option says; which of them counts is llama-server's business."""
_SWITCHES: Final = {"1": "on", "true": "on", "enabled": "on", "0": "off", "false": "off", "disabled": "off"}


def told_by(command: str | Sequence[str]) -> Payload:
    """Conditions by their names (``Conditions``); empty where the command is none of a llama-server's.

    An option that is not given has llama-server's default, except where nobody can know it: threads, batch and layers
    are then left out. The environment may say otherwise (``LLAMA_ARG_*``); where the command sets such a variable,
    nothing is told, and where it is set elsewhere nobody tells that.
    """
    words = _arguments(command)
    if words is None or any(_ENVIRONMENT in word for word in ([command] if isinstance(command, str) else command)):
        return {}
    given = _given(words)
    k, v = given.get("k", "f16").lower(), given.get("v", "f16").lower()
    told: Payload = {
        "kv_type": k if k == v else f"{k}/{v}",
        "flash_attention": _SWITCHES.get(given.get("flash attention", "auto"), given.get("flash attention", "auto")),
        "draft": PurePosixPath(given.get("draft", "")).name,
        "lora": " + ".join(filter(None, (_file(given.get(name, "")) for name in ("lora", "control vector")))),
    }
    layers = [given["gpu layers"]] if "gpu layers" in given else []
    layers += ["KV cache in main memory"] if any(word in _NO_KV_OFFLOAD for word in words) else []
    if layers:
        told["gpu_layers"] = ", ".join(layers)
    return told | {name: int(given[name]) for name in ("threads", "batch") if given.get(name, "").isdecimal()}


def _arguments(command: str | Sequence[str]) -> list[str] | None:
    """What follows the program; None where it is another one, a script for instance."""
    for words in (list(command),) if not isinstance(command, str) else (_as_shell(command), command.split()):
        at = next((number for number, word in enumerate(words) if _is_program(word)), None)
        if at is not None:
            return words[at + 1 :]
    return None


def _as_shell(command: str) -> list[str]:
    try:
        return shlex.split(command.replace("\\\n", " "), comments=True)
    except ValueError:
        return []


def _is_program(word: str) -> bool:
    return word.replace("\\", "/").rpartition("/")[2].removesuffix(".exe") == _PROGRAM


def _file(value: str) -> str:
    """The file of an adapter; a scale may stand behind it."""
    return PurePosixPath(value.partition(":")[0]).name


def _given(words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, word in enumerate(words):
        name, is_joined, value = word.partition("=")
        if name not in _OPTIONS:
            continue
        following = words[number + 1] if number + 1 < len(words) else ""
        # older servers take --flash-attn without a value
        is_flag = not following or (following.startswith("-") and not following[1:].isdecimal())
        found[_OPTIONS[name]] = value if is_joined else "on" if is_flag else following
    return found
