"""The log-likelihoods of given continuations, from a llama-server: each token is forced, and its own is told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.seam import seam
from pytest_quantcheck.text import digest

if TYPE_CHECKING:
    from pytest_quantcheck.engines.server.llama_server import LlamaServer

_FORCED: Final = 1000.0
"""Added to a token's logit: more than any model's logits are apart. The log-probability is told of the model's own
logits, before anything is added (tools/server/server-context.cpp, populate_token_probs)."""


def choose(server: LlamaServer, prompt: str, request: ChoiceRequest, note: str) -> Choice:
    """Each choice after the prompt, token by token."""
    if request.noise > 0:
        raise EngineCannot("the logits of a server cannot be damaged")
    own = server.tokenize(prompt, special=True)
    whole = [server.tokenize(prompt + choice, special=True) for choice in request.choices]
    shared = seam(own, whole, request.choices)
    before = own[:shared]
    found = [
        sum(_log_probability(server, ids[:at], ids[at]) for at in range(shared, len(ids)))  # each after all before it
        for ids in whole
    ]
    return Choice(
        choices=request.choices,
        loglikelihoods=tuple(found),
        tokens=tuple(len(ids) - shared for ids in whole),
        prompt_tokens=shared,
        note=note,
        prompt=digest([before, *(ids[shared:] for ids in whole)]),
    )


def _log_probability(server: LlamaServer, before: list[int], token: int) -> float:
    answer = server.native(
        {
            "prompt": before,
            "n_predict": 1,
            "n_probs": 1,
            "temperature": 0.0,
            "logit_bias": [[token, _FORCED]],
            "cache_prompt": True,  # the same prompt once more, longer by a token
            "repeat_penalty": 1.0,
        }
    )
    told = answer.get("completion_probabilities")
    first = told[0] if isinstance(told, list) and told and isinstance(told[0], dict) else {}
    value: Any = first.get("logprob")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if first.get("id") != token or not is_number or not math.isfinite(value) or value > 0:
        raise EngineRefused(f"{server.name} tells no log-probability of token {token}")
    return float(value)
