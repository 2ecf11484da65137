"""llama.cpp's own tools of the very llama.cpp that the installed llama-cpp-python holds, to compare with.

    python -m benchmarks.llama_tools llama-perplexity llama-bench

prints the folder that holds them. They are built once, from the source distribution of the installed version (pip,
CMake and a C++ compiler are needed; minutes), and kept in the user's cache folder. The environment variable LLAMA_TOOLS
names a folder with ready ones instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

_PACKAGE: Final = "llama-cpp-python"
_SOURCE: Final = "vendor/llama.cpp"
# no web front end, no network, nothing that the tools do not need
_OFF: Final = ("TESTS", "EXAMPLES", "SERVER", "UI", "MTMD")
_OPTIONS: Final = (
    "-DCMAKE_BUILD_TYPE=Release",
    *(f"-DLLAMA_BUILD_{part}=OFF" for part in _OFF),
    "-DLLAMA_BUILD_TOOLS=ON",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
)


def tools(*names: str) -> Path:
    """The folder that holds these programs of llama.cpp, 'llama-perplexity' for one; they are built when missing.

    SystemExit, one line, when a step of that fails or when LLAMA_TOOLS names a folder without them.
    """
    given = os.environ.get("LLAMA_TOOLS")
    if given:
        folder = Path(given)
        lacking = _lacking(folder, names)
        if lacking:
            raise SystemExit(f"LLAMA_TOOLS names {folder}, which has no {', '.join(lacking)}")
        return folder
    home = _home()
    folder = home / "build" / "bin"
    lacking = _lacking(folder, names)
    if lacking:
        _build(_source(home), home / "build", lacking)
    return folder


def _lacking(folder: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if shutil.which(name, path=str(folder)) is None]


def _home() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pytest-quantcheck" / f"llama-tools-{version(_PACKAGE)}"


def _source(home: Path) -> Path:
    """llama.cpp's source as the package ships it."""
    kept = home / "source"
    if not kept.exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as folder:
            wanted = f"{_PACKAGE}=={version(_PACKAGE)}"
            command = ["pip", "download", "--no-deps", "--no-binary", _PACKAGE, "--dest", folder, wanted]
            _call([sys.executable, "-m", *command])
            archive = next(Path(folder).glob("*.tar.gz"))
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            unpacked = next(path for path in Path(folder).iterdir() if path.is_dir())
            unpacked.rename(kept)
    return kept / _SOURCE


def _build(source: Path, build: Path, targets: list[str]) -> None:
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    _call(["cmake", "-S", str(source), "-B", str(build), *generator, *_OPTIONS])
    _call(["cmake", "--build", str(build), "--parallel", str(os.cpu_count() or 1), "--target", *targets])


def _call(command: list[str]) -> None:
    print("$", *command, file=sys.stderr, flush=True)
    try:
        subprocess.run(command, check=True, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"llama.cpp's tools cannot be built: {error}") from None


if __name__ == "__main__":
    print(tools(*sys.argv[1:]))
