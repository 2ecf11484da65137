"""Real servers in processes of their own: llama.cpp's, as the xllamacpp wheel carries it, and llama-cpp-python's.

Run as a program: ``python -m tests.real.servers MODEL SETTINGS`` serves a file with llama.cpp's server until its input
ends. SETTINGS is a JSON object of ``CommonParams``'s attributes, and ``draft``, the file of a draft model. It writes
its address on a line.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
CONTEXT = 4096


@contextmanager
def llama_server(model: Path, **settings: Any) -> Generator[str]:
    """The URL of llama.cpp's own server, one slot, one thread."""
    command = [sys.executable, "-m", "tests.real.servers", str(model), json.dumps(settings)]
    with _ended(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip() or "it did not start"


@contextmanager
def llama_cpp_python(model: Path, *args: str) -> Generator[str]:
    """The URL of llama-cpp-python's server."""
    port = free_port()
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--port", str(port)]
    command += ["--n_ctx", str(CONTEXT), "--n_threads", "1", "--verbose", "False", *args]
    url = f"http://127.0.0.1:{port}"
    with _ended(subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, text=True)) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                httpx.get(f"{url}/v1/models")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Generator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _serve(model: str, settings: dict[str, Any]) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames, params.port = ["127.0.0.1"], free_port()
    params.n_ctx, params.n_parallel = CONTEXT, 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.use_jinja, params.warmup = True, False
    if draft := settings.pop("draft", ""):
        params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        params.speculative.draft.mparams.path = draft
    for name, value in settings.items():
        setattr(params, name, value)
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1], json.loads(sys.argv[2]))
