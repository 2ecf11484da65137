"""The log-likelihoods of given continuations, from a server that tells those of given tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.seam import seam
from pytest_quantcheck.text import digest
from pytest_quantcheck.text import short


class _Server(Protocol):
    def tokenize(self, text: str, *, special: bool = False) -> list[int]: ...

    def log_probabilities(self, ids: list[int], shared: int) -> Sequence[object]: ...


def choose(server: _Server, prompt: str, request: ChoiceRequest, note: str) -> Choice:
    """Each choice after the prompt, token by token."""
    if request.noise > 0:
        raise EngineCannot("the logits of a server cannot be damaged")
    own = server.tokenize(prompt, special=True)
    whole = [server.tokenize(prompt + choice, special=True) for choice in request.choices]
    shared = seam(own, whole, request.choices)
    return Choice(
        choices=request.choices,
        loglikelihoods=tuple(_sum(server.log_probabilities(ids, shared)) for ids in whole),
        tokens=tuple(len(ids) - shared for ids in whole),
        prompt_tokens=shared,
        note=note,
        prompt=digest([own[:shared], *(ids[shared:] for ids in whole)]),
    )


def _sum(told: Sequence[object]) -> float:
    total = 0.0
    for value in told:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value > 0:
            raise EngineRefused(f"the server tells no log-probability of a token, but {short(value)}")
        total += value
    return total
