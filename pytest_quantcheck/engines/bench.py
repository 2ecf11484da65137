"""How fast a loaded model reads and writes fixed numbers of tokens. Runs inside the engine's own process only."""

from __future__ import annotations

import time

from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.bounds import Progress
from pytest_quantcheck.engines.decoder import Decoder
from pytest_quantcheck.engines.llama_log import LlamaLog
from pytest_quantcheck.engines.rounds import Round
from pytest_quantcheck.engines.rounds import measured
from pytest_quantcheck.engines.rounds import prose_tokens
from pytest_quantcheck.engines.sampler import make_sampler
from pytest_quantcheck.engines.vocabulary import Vocabulary
from pytest_quantcheck.records import Bench


class Stopwatch:
    """Times a decoder over a text of its own.

    The text is sentences that do not repeat (`draws.prose`), the same for every model with the same tokenizer: random
    tokens would send a mixture of experts elsewhere. What is 'generated' is this text as well, so the end of generation
    never comes; after every token the greedy choice is made as in an answer, and not followed.
    """

    def __init__(self, decoder: Decoder, vocabulary: Vocabulary, log: LlamaLog, progress: Progress) -> None:
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._log = log
        self._progress = progress
        self._ids: list[int] = []
        self._standing = (-1, 0)  # the decoder's count of prompts when the depth was read, and the depth

    def bench(self, request: BenchRequest) -> Bench:
        """Warm up, then time every repetition; nothing is dropped."""
        depth = self._depth(request)
        ids = self._text(depth + request.prompt_tokens + request.generate_tokens)
        bounds = depth, depth + request.prompt_tokens
        is_cold = not self._decoder.prompts and not depth
        return measured(request, depth, lambda: self._round(ids, *bounds), is_cold=is_cold)

    def _depth(self, request: BenchRequest) -> int:
        """The depth that was asked for; EngineRefused for counts that make no measurement or do not fit."""
        least = min(request.prompt_tokens, request.generate_tokens, request.repeats)
        if least < 1 or request.warmup < 0 or (request.depth or 0) < 0:
            raise EngineRefused("the speed probe needs at least one prompt token, one generated token and one repeat")
        need = request.prompt_tokens + request.generate_tokens + (request.depth or 0)
        if need > self._decoder.length:
            raise EngineRefused(
                f"the speed probe needs {need} tokens of context, the model has {self._decoder.length}; "
                "lower prompt_tokens or depth, or ask for more context (quant_context, --quant-ctx)"
            )
        return self._decoder.length - need if request.depth is None else request.depth

    def _text(self, count: int) -> list[int]:
        if len(self._ids) < count:
            self._ids = prose_tokens(self._vocabulary.prompt, count)
        return self._ids[:count]

    def _round(self, ids: list[int], depth: int, prompt_end: int) -> Round:
        decoder = self._decoder
        self._stand(ids[:depth])
        sampler = make_sampler(self._vocabulary.handle, Generation(), self._log)
        try:
            start = time.perf_counter()
            decoder.read_on(ids[depth:prompt_end])
            decoder.wait()
            read = time.perf_counter()
            sampler.sample(decoder)
            first = time.perf_counter()
            for token in ids[prompt_end:]:
                decoder.read(token)
                sampler.sample(decoder)
                self._progress("")
            done = time.perf_counter()
        finally:
            sampler.free()
        if read <= start or done <= first or first <= start:
            raise EngineRefused("the clock did not go forward while the speed was measured; run the test again")
        return Round((prompt_end - depth) / (read - start), (len(ids) - prompt_end) / (done - first), first - start)

    def _stand(self, before: list[int]) -> None:
        """Only the depth stands in the context; it is not read again while it stands there already."""
        if before and self._standing == (self._decoder.prompts, len(before)):
            self._decoder.rewind(before)
        else:
            self._decoder.prefill(before)
        self._decoder.wait()
        self._standing = (self._decoder.prompts, len(before))
