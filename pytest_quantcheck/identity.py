"""What an answer depends on besides the question: the model's bytes, the engine's build, the machine's kernels."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pytest_quantcheck.cache import Cache
from pytest_quantcheck.cache import key_of
from pytest_quantcheck.record import Payload

TELLING_VARIABLES: Final = ("GGML_", "OMP_", "GOMP_", "KMP_", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Environment variables that switch kernels, threads and devices, by their beginnings."""
_LIBRARIES: Final = (".so", ".dylib", ".dll", ".metal")
_CHUNK: Final = 1 << 20
_WORTH_KEEPING: Final = 1 << 24
"""Bytes of a file above which its digest is kept: smaller ones are read as fast as the entry would be."""


def content_digest(paths: Sequence[Path], cache: Cache) -> str:
    """32 hexadecimal digits of all bytes of these files, in order; OSError when one cannot be read.

    Reading gigabytes takes seconds, so the digest of a file is kept until its place, size, inode or time changes.
    """
    return key_of(*(_file_digest(path, cache) for path in paths))[:32]


def file_state(paths: Sequence[Path]) -> tuple[tuple[str, int, int, int], ...]:
    """What changes when a file is replaced or written to: place, size, inode and time of each; OSError when missing."""
    found = ((path, path.stat()) for path in paths)
    return tuple((str(path), stat.st_size, stat.st_ino, stat.st_mtime_ns) for path, stat in found)


def build_identity(cache: Cache) -> Payload:
    """llama.cpp's libraries and this package's own code by their content, the machine, what switches its kernels.

    The own code counts because it turns tokens into thoughts, calls and text; a changed rule is another answer.
    """
    spec = find_spec("llama_cpp")  # not imported: the libraries are loaded in the engine's process only
    folders = [os.environ["LLAMA_CPP_LIB_PATH"]] if "LLAMA_CPP_LIB_PATH" in os.environ else []
    folders += [os.path.join(place, "lib") for place in (spec.submodule_search_locations or ())] if spec else []
    libraries = sorted(
        path for folder in folders for path in Path(folder).glob("*") if any(end in path.name for end in _LIBRARIES)
    )
    own = sorted(Path(__file__).parent.rglob("*.py"))
    return {
        "libraries": content_digest(libraries, cache),
        "code": content_digest(own, cache),
        "machine": [platform.system(), platform.machine(), _processor(), _graphics()],
        "environment": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(TELLING_VARIABLES)},
    }


def _file_digest(path: Path, cache: Cache) -> str:
    key = key_of("file", file_state([path]))
    large = path.stat().st_size > _WORTH_KEEPING
    kept = cache.get(key) if large else None
    if kept is not None and isinstance(kept.get("digest"), str):
        return str(kept["digest"])
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if large:
        cache.put(key, {"digest": digest.hexdigest()})
    return digest.hexdigest()


def _processor() -> list[str]:
    """Name and instruction sets, which choose the kernels; other systems than Linux tell only the name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return [platform.processor()]
    lines = text.partition("\n\n")[0].splitlines()
    return [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "flags", "Features"))]


def _graphics() -> list[str]:
    """The NVIDIA cards that the kernel driver tells of."""
    found = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            found.append(path.read_text(encoding="utf-8", errors="replace").partition("\n")[0])
        except OSError:
            continue
    return found
