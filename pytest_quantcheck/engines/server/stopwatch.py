"""How fast a llama-server reads and writes fixed numbers of tokens, by its own clock: the network is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Final

from pytest_quantcheck.draws import Draws
from pytest_quantcheck.draws import prose
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.records import Bench

if TYPE_CHECKING:
    from pytest_quantcheck.engines.server.llama_server import LlamaServer

_FLAT: Final = 0.03
"""The warm-up ends with a round that is faster than the best before it by no more than this share."""

_Round = tuple[float, float, float]
"""Prefill and decode in tokens a second, seconds to the first token."""


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
    ids = _text(server, depth + request.prompt_tokens)
    discarded: list[_Round] = []
    settled = not request.warmup
    while len(discarded) < request.warmup and not settled:
        one = _round(server, ids, depth, request)
        best = [max((was[at] for was in discarded), default=0.0) for at in (0, 1)]
        settled = all(one[at] <= best[at] * (1 + _FLAT) for at in (0, 1))
        discarded.append(one)
    kept = [_round(server, ids, depth, request) for _ in range(request.repeats)]
    return Bench(
        tuple(one[0] for one in kept),
        tuple(one[1] for one in kept),
        request.prompt_tokens,
        request.generate_tokens,
        tuple(one[2] for one in kept),
        depth,
        None,
        len(discarded),
        settled,
    )


def _text(server: LlamaServer, count: int) -> list[int]:
    """The text that llama.cpp in process is timed with."""
    draws, sentences, ids = Draws("bench"), 64, list[int]()
    while len(ids) < count:
        ids = server.tokenize(" ".join(prose(draws, number) for number in range(sentences)), special=True)
        sentences *= 4
    return ids[:count]


def _round(server: LlamaServer, ids: list[int], depth: int, request: BenchRequest) -> _Round:
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
    return read / prompt_s, (written - 1) / written_s, prompt_s
