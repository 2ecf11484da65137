"""Where a prompt ends and a choice begins, in tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.text import short


def seam(own: Sequence[int], whole: Sequence[Sequence[int]], choices: Sequence[str]) -> int:
    """How many tokens the prompt and every prompt with its choice have in common; what comes after is scored.

    The whole text is tokenised at once, as lm-evaluation-harness does (lm_eval/api/model.py, TemplateLM._encode_pair),
    since a token may reach over the seam ('Answer: ' + 'Paris' has the token ' Paris'). What is scored begins where the
    prompt's own tokens and those of any prompt with choice part, at the same place for all choices: each figure is the
    likelihood of the same rest of the prompt and of its choice.

    :param own: the tokens of the prompt alone.
    :param whole: of each choice the tokens of the prompt with it.
    """
    shared = min(_common(own, ids) for ids in whole)
    for choice, ids in zip(choices, whole, strict=True):
        if len(ids) <= shared or list(ids) == list(own):
            raise EngineRefused(f"the choice {short(choice)} has no tokens of its own")
    if not shared:
        raise EngineRefused("no token of the prompt is left in front of the choices; give a prompt")
    return shared


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next(
        (index for index, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
    )
