"""The log-likelihoods of given continuations of one prompt. Runs inside the engine's own process only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.bounds import Progress
from pytest_quantcheck.engines.decoder import DAMAGED
from pytest_quantcheck.engines.decoder import Decoder
from pytest_quantcheck.engines.seam import seam
from pytest_quantcheck.engines.vocabulary import Vocabulary
from pytest_quantcheck.text import digest


def choose(
    decoder: Decoder,
    vocabulary: Vocabulary,
    prompt: str,
    choices: Sequence[str],
    progress: Progress,
    *,
    noise: float = 0.0,
    note: str = "",
) -> Choice:
    """Read the prompt once and each choice after it, token by token, exactly as an answer is generated."""
    own = vocabulary.prompt(prompt)
    whole = [vocabulary.prompt(prompt + choice) for choice in choices]
    shared = seam(own, whole, choices)
    longest = max(map(len, whole))
    if longest > decoder.length:
        raise EngineRefused(f"prompt and choice have {longest} tokens, the context {decoder.length}; raise --quant-ctx")
    before = own[:shared]
    spoil = decoder.noise(noise, 0, before)
    decoder.prefill(before)
    spoil()
    first = _log_softmax(decoder.logits())
    found = []
    for ids in whole:
        rest = ids[shared:]
        total = float(first[rest[0]])
        for number, (token, following) in enumerate(pairwise(rest)):
            if number == 0:
                decoder.rewind(before)
            decoder.read(token)
            spoil()
            total += float(_log_softmax(decoder.logits())[following])
            progress("")
        if not np.isfinite(total):
            raise EngineRefused(DAMAGED)
        found.append(total)
    return Choice(
        choices=tuple(choices),
        loglikelihoods=tuple(found),
        tokens=tuple(len(ids) - shared for ids in whole),
        prompt_tokens=shared,
        note=note,
        prompt=digest([before, *(ids[shared:] for ids in whole)]),
    )


def _log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """In double precision: sums over a vocabulary of 262k lose digits otherwise."""
    exact = logits.astype(np.float64)
    exact -= exact.max()
    exact -= np.log(np.exp(exact).sum())
    return exact
