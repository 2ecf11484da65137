"""How fast a llama-server reads and writes fixed numbers of tokens, by its own clock: the network is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.rounds import Round
from pytest_quantcheck.engines.rounds import measured
from pytest_quantcheck.engines.rounds import prose_tokens
from pytest_quantcheck.engines.server.stream import drafted
from pytest_quantcheck.records import Bench

if TYPE_CHECKING:
    from pytest_quantcheck.engines.server.llama_server import LlamaServer


def bench(server: LlamaServer, context: int | None, request: BenchRequest) -> Bench:
    """Warm up, then time every repetition; nothing is dropped."""
    least = min(request.prompt_tokens, request.generate_tokens, request.repeats)
    if least < 1 or request.generate_tokens < 2 or request.warmup < 0 or (request.depth or 0) < 0:
        raise EngineRefused(
            "the speed probe of a server needs at least one prompt token, two generated tokens and one repeat"
        )
    need = request.prompt_tokens + request.generate_tokens + (request.depth or 0)
    if context is None or need > context:
        raise EngineRefused(
            f"the speed probe needs {need} tokens of context, the server has {context or 'an unknown number'}; "
            "lower prompt_tokens or depth, or start it with more (-c N -np 1)"
        )
    depth = context - need if request.depth is None else request.depth
    count = depth + request.prompt_tokens
    # the text that llama.cpp in process is timed with
    ids = prose_tokens(lambda text: server.tokenize(text, special=True), count)[:count]
    return measured(request, depth, lambda: _round(server, ids, depth, request))


def _round(server: LlamaServer, ids: list[int], depth: int, request: BenchRequest) -> Round:
    plain = {"temperature": 0.0, "repeat_penalty": 1.0, "ignore_eos": True}
    if depth:  # what the last round left behind the depth is forgotten with this
        server.native(plain | {"prompt": ids[:depth], "n_predict": 1, "cache_prompt": True})
    asked = {"prompt": ids, "n_predict": request.generate_tokens, "cache_prompt": depth > 0}
    timings = server.native(plain | asked).get("timings")
    numbers = timings if isinstance(timings, dict) else {}
    read, written = numbers.get("prompt_n"), numbers.get("predicted_n")
    # the token that followed the depth may be the text's own, and is then kept too
    if read not in (request.prompt_tokens, request.prompt_tokens - 1) or written != request.generate_tokens:
        raise EngineRefused(
            f"{server.name} read {read} tokens and wrote {written}, "
            f"not {request.prompt_tokens} and {request.generate_tokens}: does another request run?"
        )
    prompt_s, written_s = numbers["prompt_ms"] / 1000, numbers["predicted_ms"] / 1000
    if min(prompt_s, written_s) <= 0:
        raise EngineRefused(f"{server.name}'s clock stood still")
    # its clock of writing begins with the first token
    return Round(read / prompt_s, (written - 1) / written_s, prompt_s, *drafted(numbers))
