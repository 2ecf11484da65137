"""Whether what was recorded still answers what a run asks: what makes it stale, in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final

from pytest_quantcheck.recording import in_json
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply

_SAME_STORE: Final = 1e-6


def other_settings(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How two `settings_of` differ, in words; empty when they do not."""
    names = [name for name in now if recorded.get(name) != now[name]]
    said = [f"{name}={in_json(recorded.get(name))}, now {in_json(now[name])}" for name in names]
    return f"recorded with {'; '.join(said)}" if said else ""


def other_questions(recorded: Observation, candidate: Observation, ignored: Collection[str] = ()) -> str:
    """Why the recorded answers are not those to the candidate's questions, in words; empty when they are.

    A conversation may take another course as soon as an answer differs, and a failed assertion ends it early. Until
    then both must have been asked the same, and as often.

    :param ignored: checks that need not be recorded.
    """
    mine, theirs = ({score.check for score in side.scores} - set(ignored) for side in (candidate, recorded))
    if mine and theirs and mine != theirs:
        said = [f"scores {', '.join(sorted(mine - theirs))} now"] if mine - theirs else []
        said += [f"no longer scores {', '.join(sorted(theirs - mine))}"] if theirs - mine else []
        return f"the test {' and '.join(said)}"
    if recorded.runs != candidate.runs:
        return f"recorded with {recorded.runs} runs of the test, now {candidate.runs}"
    for old, new in zip(recorded.replies_by_run, candidate.replies_by_run, strict=True):
        if why := _other_course(old, new, whole=recorded.passed and candidate.passed):
            return why
    for name, noun in (("choices", "choice"), ("embeddings", "embedding"), ("fidelities", "text")):
        before, after = getattr(recorded, name), getattr(candidate, name)
        number = next((at for at, (a, b) in enumerate(zip(before, after, strict=False), 1) if a.asked != b.asked), None)
        if number is not None:
            return f"{noun} {number} is another question than the recorded one"
        if len(before) != len(after) and recorded.passed and candidate.passed:
            return f"the test asks for {len(after)} of {name} now, {len(before)} were recorded"
    return ""


def other_reference(recorded: Observation, candidate: Observation) -> str:
    """Why figures that both sides have from the recorded reference are not from the same, in words; else empty."""
    for old, new in zip(recorded.fidelities, candidate.fidelities, strict=False):
        if old.asked != new.asked or not (old.reference or new.reference):
            continue
        if not new.reference:
            return f"the text {new.name!r} was measured against {old.reference}, which left no log-probabilities here"
        if not old.reference:
            return f"the text {new.name!r} was recorded without a reference, and there is one now"
        if old.reference_fingerprint != new.reference_fingerprint:
            said = f"was measured against another {old.reference}"
        elif not math.isclose(old.covered or 0.0, new.covered or 0.0, rel_tol=_SAME_STORE):
            said = f"was measured against other log-probabilities of {old.reference}"
        else:
            continue
        return f"the text {new.name!r} {said} than those that are recorded now"
    return ""


def _other_course(old: Sequence[Reply], new: Sequence[Reply], *, whole: bool) -> str:
    for number, (before, after) in enumerate(zip(old, new, strict=False), 1):
        if before.asked != after.asked:
            return f"question {number} is another than the recorded one"
        if before.message != after.message:
            return ""
    if len(old) != len(new) and whole:
        return f"the test asks {len(new)} questions now, {len(old)} were recorded"
    return ""
