"""How fast a server reads and writes fixed numbers of tokens, by its own clock: the network is left out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

from pytest_quantcheck.draws import Draws
from pytest_quantcheck.draws import prose
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.rounds import Round
from pytest_quantcheck.engines.rounds import measured
from pytest_quantcheck.engines.rounds import prose_tokens
from pytest_quantcheck.engines.server.stream import drafted
from pytest_quantcheck.engines.server.stream import numbers_of
from pytest_quantcheck.records import Bench

if TYPE_CHECKING:
    from pytest_quantcheck.engines.server.llama_server import LlamaServer
    from pytest_quantcheck.engines.server.vllm import Vllm

_ENDED_EARLY: Final = 4
"""A model that cannot be kept from ending writes at least one token in so many."""
_TOLERANCE: Final = 0.05
"""Where nobody tells the tokens of a text, it may have so many more or less of them, as a share."""
_COUNTED_S: Final = 5.0
"""Until a request is done in vLLM's own statistics."""
_LOOK_S: Final = 0.02


def time_llama_server(server: LlamaServer, context: int | None, request: BenchRequest) -> Bench:
    """Warm up, then time every repetition; nothing is dropped."""
    depth = _depth(request, context, "lower prompt_tokens or depth, or start it with more (-c N -np 1)")
    count = depth + request.prompt_tokens
    # the text that llama.cpp in process is timed with
    ids = prose_tokens(lambda text: server.tokenize(text, special=True), count)[:count]
    return measured(request, depth, lambda: _llama_server_round(server, ids, depth, request))


def _llama_server_round(server: LlamaServer, ids: list[int], depth: int, request: BenchRequest) -> Round:
    plain = {"temperature": 0.0, "repeat_penalty": 1.0, "ignore_eos": True}
    if depth:  # what the last round left behind the depth is forgotten with this
        server.native(plain | {"prompt": ids[:depth], "n_predict": 1, "cache_prompt": True})
    asked = {"prompt": ids, "n_predict": request.generate_tokens, "cache_prompt": depth > 0}
    numbers = numbers_of(server.native(plain | asked).get("timings"))
    read, written = numbers.get("prompt_n"), numbers.get("predicted_n")
    # the token that followed the depth may be the text's own, and is then kept too
    if read not in (request.prompt_tokens, request.prompt_tokens - 1) or written != request.generate_tokens:
        raise EngineRefused(
            f"{server.name} read {read} tokens and wrote {written}, "
            f"not {request.prompt_tokens} and {request.generate_tokens}: does another request run?"
        )
    prompt_s, written_s = (numbers.get(name, 0) / 1000 for name in ("prompt_ms", "predicted_ms"))
    return _round(server.name, read, prompt_s, written, written_s, *drafted(numbers))


def time_ollama(generate: Callable[[str, int], dict[str, Any]], request: BenchRequest, context: int) -> Bench:
    """The same of Ollama, which tells no token ids and ends an answer where the model does.

    So the text has about as many tokens as were asked for, as many for both models of one vocabulary, and an answer may
    be shorter; Ollama counts both.

    :param generate: text and token budget -> the last line of an answer of ``/api/generate``, durations in nanoseconds.
    """
    if request.depth != 0:
        raise EngineCannot("Ollama times no prompt behind others: depth takes a llama-server or a file")
    _depth(request, context, "lower prompt_tokens, or raise --quant-ctx")
    text, count = _ollama_text(generate, request.prompt_tokens)
    number = 0

    def one_round() -> Round:
        nonlocal number
        number += 1  # another beginning each time: what it keeps of earlier prompts is of no use
        told = numbers_of(generate(f"{number}. {text}", request.generate_tokens))
        read, written = (told.get(name) for name in ("prompt_eval_count", "eval_count"))
        if not isinstance(read, int) or abs(read - count) > _TOLERANCE * count or told.get("prompt_eval_cached_count"):
            raise EngineRefused(f"Ollama read {read} tokens anew, not {count}: it kept an earlier prompt")
        if not isinstance(written, int) or written * _ENDED_EARLY < request.generate_tokens or written < 2:
            raise EngineRefused(
                f"the model ended its answer after {written} of {request.generate_tokens} tokens: too few for a speed"
            )
        prompt_s, written_s = (told.get(name, 0) / 1e9 for name in ("prompt_eval_duration", "eval_duration"))
        return _round("Ollama", read, prompt_s, written, written_s)

    return replace(measured(request, 0, one_round), prompt_tokens=count)


def _ollama_text(generate: Callable[[str, int], dict[str, Any]], tokens: int) -> tuple[str, int]:
    """A text of about so many tokens, and how many it has."""
    draws, sentences = Draws("bench"), max(1, tokens // 12)
    text, count = "", 0
    for _ in range(4):
        text = " ".join(prose(draws, number) for number in range(sentences))
        told = generate(f"0. {text}", 1).get("prompt_eval_count")
        if not isinstance(told, int) or told < 1:
            raise EngineRefused("Ollama does not tell how many tokens it read")
        count = told
        if abs(count - tokens) <= _TOLERANCE * tokens:
            break
        sentences = max(1, round(sentences * tokens / count))
    return text, count


def time_vllm(server: Vllm, context: int | None, request: BenchRequest) -> Bench:
    """The same of vLLM, whose clock stands in its statistics (``/metrics``)."""
    if request.depth != 0:
        raise EngineCannot("vLLM times no prompt behind others: depth takes a llama-server or a file")
    _depth(request, context, "lower prompt_tokens, or start it with more (--max-model-len N)")
    ids = prose_tokens(lambda text: server.tokenize(text), request.prompt_tokens)[: request.prompt_tokens]
    turn = 0

    def one_round() -> Round:
        nonlocal turn, ids
        turn += 1
        ids = ids[1:] + ids[:1]  # another beginning each time: its prefix cache is of no use
        before = _vllm_clock(server)
        if before["num_requests_running"] or before["num_requests_waiting"]:
            raise EngineRefused("vLLM answers another request meanwhile: its speed cannot be measured")
        server.write(ids, request.generate_tokens)
        deadline = time.monotonic() + _COUNTED_S
        while (done := (now := _vllm_clock(server))[_DONE] - before[_DONE]) < 1 and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        if done != 1:
            raise EngineRefused(f"vLLM counted {done:g} requests where one was sent: does another one run?")
        prefill, decode, first = (now[name] - before[name] for name in _TIMES)
        found = _round("vLLM", len(ids), prefill, request.generate_tokens, decode)
        return replace(found, ttft=first)

    return measured(request, 0, one_round)


_DONE: Final = "request_decode_time_seconds_count"
_TIMES: Final = (
    "request_prefill_time_seconds_sum",
    "request_decode_time_seconds_sum",
    "time_to_first_token_seconds_sum",
)
_METRIC: Final = re.compile(r"vllm:(\w+)(\{[^}\n]*\})? ([\d.]+(?:[eE][-+]?\d+)?)(?=\s|$)")


def _vllm_clock(server: Vllm) -> dict[str, float]:
    """Its counters and sums by name, all of its engines together."""
    found = dict.fromkeys(("num_requests_running", "num_requests_waiting"), 0.0)
    for name, _, value in _METRIC.findall(server.wire.get("/metrics").text):
        found[name] = found.get(name, 0.0) + float(value)
    if missing := {_DONE, *_TIMES} - found.keys():
        raise EngineCannot(f"this vLLM tells no times of its own ({sorted(missing)[0]} is not among its /metrics)")
    return found


def _depth(request: BenchRequest, context: int | None, cure: str) -> int:
    """The tokens before the prompt; EngineRefused where it does not fit."""
    least = min(request.prompt_tokens, request.generate_tokens, request.repeats)
    if least < 1 or request.generate_tokens < 2 or request.warmup < 0 or (request.depth or 0) < 0:
        raise EngineRefused(
            "the speed probe of a server needs at least one prompt token, two generated tokens and one repeat"
        )
    need = request.prompt_tokens + request.generate_tokens + (request.depth or 0)
    if context is None or need > context:
        raise EngineRefused(
            f"the speed probe needs {need} tokens of context, the server has {context or 'an unknown number'}; {cure}"
        )
    return context - need if request.depth is None else request.depth


def _round(name: str, read: int, prompt_s: float, written: int, written_s: float, *drafts: int) -> Round:
    """The clock of writing begins with the first token."""
    if min(prompt_s, written_s) <= 0:
        raise EngineRefused(f"{name}'s clock stood still")
    return Round(read / prompt_s, (written - 1) / written_s, prompt_s, *drafts)
