"""Decode speed as the plugin reports it, beside llama-bench on the same file; what the engine's own process costs.

    python -m benchmarks.speed_vs_llama_bench [--pairs 10] [--tokens 128] [--depth 256] [--threads N] [--types Q4_0 F16]

A model of 57 million random weights with a vocabulary of 32,000 is written to a temporary folder for each type. In each
of the pairs llama-bench and the plugin's engine (through its own process, signs of life included) decode as many tokens
behind as many others, with the same number of threads, in blocks of four (A B B A). The same engine also runs inside
this process without any sign of life: that is what the engine's own process costs. llama-bench is built if need be
(benchmarks/llama_tools.py) and, on Linux, runs on the very libraries of the installed llama-cpp-python. Exits 1 unless
the 90 % interval of plugin / llama-bench reaches 0.97 for every type.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import Final

import gguf
import llama_cpp
import numpy as np

from benchmarks.llama_tools import tools
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.speed_rules import geometric

LEAST: Final = 0.97
WIDTH, LAYERS, HIDDEN, HEADS, VOCABULARY = 512, 12, 1536, 8, 32_000


def write_model(path: Path, weights: str) -> None:
    """57 million random weights; the embedding is the output matrix too."""
    draw = np.random.default_rng(0)
    kind = gguf.GGMLQuantizationType[weights]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    # SentencePiece: what is no word falls back to its bytes
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"abcdefghijklmnopqrstuvwxyz\u2581."]
    words += [f"[PAD{number}]" for number in range(VOCABULARY - len(words))]
    types = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.BYTE] * 256]
    types += [gguf.TokenType.NORMAL] * 28
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types([*types, *[gguf.TokenType.UNUSED] * (VOCABULARY - len(types))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def add(name: str, rows: int, columns: int) -> None:
        matrix = draw.standard_normal((rows, columns), dtype=np.float32) / np.float32(columns**0.5)
        if weights == "F16":
            writer.add_tensor(name, matrix.astype(np.float16))
        else:
            writer.add_tensor(name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)

    add("token_embd.weight", VOCABULARY, WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for part in ("q", "k", "v", "output"):
            add(f"{block}.attn_{part}.weight", WIDTH, WIDTH)
        for part, shape in (("gate", (HIDDEN, WIDTH)), ("up", (HIDDEN, WIDTH)), ("down", (WIDTH, HIDDEN))):
            add(f"{block}.ffn_{part}.weight", *shape)
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}.{norm}.weight", np.ones(WIDTH, dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_bench(program: Path, model: Path, request: BenchRequest, threads: int) -> float:
    """Tokens per second, one repetition after llama-bench's own warm-up."""
    counts = ["-p", "0", "-n", str(request.generate_tokens), "-d", str(request.prompt_tokens)]
    command = [str(program), "-m", str(model), *counts, "-t", str(threads), "-ub", "512", "-r", "1", "-o", "json"]
    # the libraries that the plugin uses: another compiler's flags are not what is compared
    libraries = str(Path(llama_cpp.__file__).parent / "lib")
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    [run] = json.loads(done.stdout)
    assert run["n_gen"] == request.generate_tokens
    assert run["n_depth"] == request.prompt_tokens
    speed: float = run["samples_ts"][0]
    return speed


def sign_of_life() -> float:
    """Seconds that one call of the child's ``progress`` takes on average, the messages that it sends included."""
    from pytest_quantcheck.engines.child import Child

    child, calls = Child(io.StringIO()), 200_000
    start = time.perf_counter()
    for _ in range(calls):
        child.progress("")
    return (time.perf_counter() - start) / calls


def in_turn(measures: dict[str, Callable[[], float]], pairs: int) -> dict[str, list[float]]:
    """One figure of each in every round, the order turned round each time."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(pairs):
        for name in list(measures)[:: -1 if number % 2 else 1]:
            found[name].append(measures[name]())
    return found


def ratio(ours: list[float], theirs: list[float]) -> tuple[str, float]:
    """The ratio with its 90 % interval in words, and the interval's upper end."""
    found = geometric([mine / other for mine, other in zip(ours, theirs, strict=True)])
    assert found.high is not None
    return f"{found.mean:.4f} (90 % interval {found.low:.4f} to {found.high:.4f})", found.high


def measure(program: Path, weights: str, folder: Path, given: argparse.Namespace) -> bool:
    """One type: print what came out; whether the plugin's interval reaches `LEAST`."""
    from pytest_quantcheck.engines.llama import LlamaModel

    model = folder / f"{weights}.gguf"
    write_model(model, weights)
    settings = LoadSettings(context=given.depth + given.tokens, threads=given.threads)
    engine = ProcessEngine(model, settings)
    inside: Any = LlamaModel(str(model), settings, lambda *_: None)
    once = BenchRequest(given.depth, given.tokens, repeats=1, warmup=0)
    for ready in (engine, inside):
        ready.bench(BenchRequest(given.depth, given.tokens, repeats=1))
    measures = {
        "llama-bench": lambda: llama_bench(program, model, once, given.threads),
        "plugin": lambda: engine.bench(once).decode_tok_s[0],
        "inside": lambda: float(inside.bench(once).decode_tok_s[0]),
    }
    found = in_turn(measures, given.pairs)
    engine.close()
    size = f"{model.stat().st_size / 1e6:.0f} MB"
    print(
        f"{weights}, {size}: {given.tokens} tokens behind {given.depth}, {given.threads} threads, {given.pairs} pairs"
    )
    for name, speeds in found.items():
        print(f"  {name:12} {np.median(speeds):8.1f} tok/s (median; {min(speeds):.1f} to {max(speeds):.1f})")
    against, high = ratio(found["plugin"], found["llama-bench"])
    print(f"  plugin / llama-bench                         {against}")
    print(f"  plugin / the same loop inside one process    {ratio(found['plugin'], found['inside'])[0]}")
    return high >= LEAST


def main() -> None:
    """Measure, print, exit 1 where the plugin is slower."""
    parser = argparse.ArgumentParser(description="The plugin's decode speed beside llama-bench")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--depth", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--types", nargs="+", default=["Q4_0", "F16"])
    given = parser.parse_args()
    program = tools("llama-bench") / "llama-bench"
    with tempfile.TemporaryDirectory() as folder:
        kept = [measure(program, weights, Path(folder), given) for weights in given.types]
    print(f"one sign of life costs {1e6 * sign_of_life():.2f} microseconds; one is given for every token")
    if not all(kept):
        raise SystemExit(f"plugin / llama-bench: the interval does not reach {LEAST}")


if __name__ == "__main__":
    main()
