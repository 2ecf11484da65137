"""What a test recorded: the body's outcome and the checks' scores, one observation a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_quantcheck import markers
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.probe import Probe
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.reports.replies import other_words
from pytest_quantcheck.text import one_line
from pytest_quantcheck.trial import Caught
from pytest_quantcheck.trial import RunEnd
from pytest_quantcheck.trial import Trial

_SHOWN_CHARACTERS = 300
_WRONG = {
    Status.EMPTY: "an answer is empty",
    Status.UNCLOSED: "an answer ended inside its own thought",
    Status.LOOP: "an answer ends in a loop",
}


def observe(item: pytest.Item, trial: Trial, baseline: Observation | None = None) -> list[Observation]:
    """Everything that this test recorded, scored: one observation a run. A check may still ask the engine (speed)."""
    several = len(trial.ends) > 1
    answered = tuple(end.replies for end in trial.ends if _worst(end.replies).has_answer) if several else ()
    seen = [_observe_run(item, trial, end, baseline, answered) for end in trial.ends]
    if not markers.plan(item).exact:
        return seen
    before = baseline.replies_by_run if baseline is not None else ()
    return [_with_exact(run, before[number] if number < len(before) else None) for number, run in enumerate(seen)]


def _with_exact(run: Observation, before: Sequence[Reply] | None) -> Observation:
    """The same with the score that says whether the answers are the baseline's."""
    if run.status is Status.ERROR:
        return run
    differs = "" if before is None else other_words(before, run.replies)
    why = differs or ("nothing to compare with" if before is None else "the same words")
    return replace(run, scores=(*run.scores, Score(markers.EXACT, 0.0 if differs else 1.0, why)))


def _observe_run(
    item: pytest.Item,
    trial: Trial,
    end: RunEnd,
    baseline: Observation | None,
    answered: tuple[tuple[Reply, ...], ...],
) -> Observation:
    probe, checks = trial.probe, markers.plan(item).checks
    error = end.error
    if error is None and isinstance(end.caught, EngineError):
        error = end.caught
    scores: list[Score] = []
    if error is None:
        scores.append(_answered(end.replies))
        scores.append(
            Score(
                markers.ASSERTIONS,
                0.0 if end.caught else 1.0,
                _describe(item, end.caught) if end.caught else "all hold",
            )
        )
        try:
            if checks:
                found = (end.measured.choices, end.measured.embeddings, end.offered, end.measured.fidelities)
                given = CheckInput(end.replies, _bench(probe), baseline, answered, *found, **_figures(probe))
                scores += [check(given) for check in checks]
        except EngineError as failure:
            error = failure
    return Observation(
        pair=trial.pair,
        role=trial.role,
        status=Status.ERROR if error is not None else _worst(end.replies),
        scores=tuple(scores),
        replies=end.replies,
        bench=probe.last_bench if probe is not None else None,
        error=str(error) if error is not None else "",
        choices=end.measured.choices,
        embeddings=end.measured.embeddings,
        fidelities=end.measured.fidelities,
        duel=probe.last_duel if probe is not None else None,
        memory=probe.last_memory if probe is not None else None,
    )


def _worst(replies: Sequence[Reply]) -> Status:
    return max((reply.status for reply in replies), key=lambda status: status.rank, default=Status.OK)


def _answered(replies: Sequence[Reply]) -> Score:
    """Whether every answer is one at all, before anybody looks at what it says."""
    wrong = next((reply.status for reply in replies if reply.status.is_wrong), None)
    if wrong is None:
        early = any(reply.finish == "early" for reply in replies)
        return Score(markers.ANSWER, 1.0, "ended early" if early else "every answer ended as one should")
    return Score(markers.ANSWER, 0.0, _WRONG[wrong])


def _bench(probe: Probe | None) -> Any:
    if probe is None:
        raise pytest.UsageError("quant_speed needs the quant fixture")
    return probe.bench


def _figures(probe: Probe | None) -> dict[str, Any]:
    """What the checks may still ask for beside the test's own speed."""
    assert probe is not None  # or _bench said so
    duel = probe.duel if probe.others.duel is not None else None
    return {"duel": duel, "no_speed": probe.others.no_speed, "memory": probe.memory}


def _describe(item: pytest.Item, caught: Caught) -> str:
    """Where the body failed and why, without a traceback."""
    info = pytest.ExceptionInfo.from_exception(caught) if caught.__traceback__ else None
    where = ""
    if info is not None:
        own = [entry for entry in info.traceback if str(entry.path) == str(item.path)]
        if own:
            where = f"{item.path.name}:{own[-1].lineno + 1}: "
    return where + in_one_line(caught)


def in_one_line(caught: Caught | None) -> str:
    """What was raised, for a sentence."""
    text = str(caught)
    name = type(caught).__name__
    return one_line(text if name in ("AssertionError", "Failed") and text else f"{name}: {text}", _SHOWN_CHARACTERS)
