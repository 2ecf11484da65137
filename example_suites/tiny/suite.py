"""What the tests of this suite share: their held-out cases, and how these are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tasks import Example
from tasks import generate

from pytest_quantcheck import Probe
from pytest_quantcheck import Reply

# fixed before any answer was seen; training draws from other seeds and from other material (tasks.py)
FIRST_SEED = 700_000
CASES_A_TASK = 16
# right answers have 60 tokens with their thought, and what has not ended by then is seldom going to
MAX_TOKENS = 256


def heldout(
    task: str,
    family: str,
    mark: Callable[[Example], pytest.MarkDecorator] | None = None,
    cases: range = range(CASES_A_TASK),
) -> Any:
    """Parametrise a test over held-out cases of a task, each a sample of ``family``.

    ``mark`` says what each case's answer must be. Two families that ask about the same cases are no independent
    evidence: a case is a cluster.
    """
    parameters = []
    for number in cases:
        case = generate(task, "heldout", FIRST_SEED + number)
        marks = [pytest.mark.quant_sample(family=family, cluster=f"{task} {number}")]
        parameters.append(pytest.param(case, id=str(number), marks=marks if mark is None else [*marks, mark(case)]))
    return pytest.mark.parametrize("case", parameters)


def ask(quant: Probe, case: Example, **how: Any) -> Reply:
    """The answer to a case; ``how`` is that of ``quant.chat``."""
    return quant.chat(case.messages, tools=case.tools, max_tokens=MAX_TOKENS, **how)
