"""The end of a test: observation -> verdict -> what pytest shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_quantcheck import markers
from pytest_quantcheck.baselines import Baselines
from pytest_quantcheck.checks.base import CheckCannot
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.observing import in_one_line
from pytest_quantcheck.observing import observe
from pytest_quantcheck.recording import SnapshotError
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Verdict
from pytest_quantcheck.records import Word
from pytest_quantcheck.repeats import mean_observation
from pytest_quantcheck.reports import junit
from pytest_quantcheck.reports.replies import answer
from pytest_quantcheck.reports.replies import ending
from pytest_quantcheck.reports.replies import likelihoods
from pytest_quantcheck.said import Said
from pytest_quantcheck.sandbox import host
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.staleness import other_questions
from pytest_quantcheck.staleness import other_reference
from pytest_quantcheck.trial import Caught
from pytest_quantcheck.trial import Trial
from pytest_quantcheck.trial import is_broken_test
from pytest_quantcheck.verdict import UNUSABLE
from pytest_quantcheck.verdict import Result
from pytest_quantcheck.verdict import judge
from pytest_quantcheck.verdict import without_snapshot

if TYPE_CHECKING:
    from pytest_quantcheck.snapshots import Snapshots


_SHOWN_CHARACTERS = 300
_SHOWN_RUNS = 2
_CANNOT = "this engine cannot do it"


def finish(item: pytest.Item, trial: Trial, baselines: Baselines, settings: Settings) -> None:
    """Turn the end of a test's body, after its last run, into an outcome; returns normally when the item passed."""
    caught = trial.caught
    if trial.again:
        # the candidate is held to the first baseline, so the baseline is too
        trial.observation = mean_observation(observe(item, trial, baselines.get(trial.pair)))
        return
    baseline, unusable = None, None
    if trial.role is Role.CANDIDATE:
        try:
            baseline = baselines.find(item, trial.pair)
        except SnapshotError as error:
            unusable = error
    reason = broken = ""
    try:
        observation = mean_observation(observe(item, trial, baseline))
    except CheckCannot as cannot:
        reason = str(cannot)
    except EngineCannot as cannot:
        reason = f"{_CANNOT}: {cannot}"
    except MarkerError as error:  # what only the question shows: a right choice that is none, a tool without its schema
        broken = str(error)
    if broken:
        pytest.fail(broken, pytrace=False)
    if not reason and isinstance(caught, EngineCannot):
        reason = f"{_CANNOT}: {caught}"
    if reason:
        trial.say(Said(cannot=reason))
        pytest.skip(reason)
    sandbox = host.used()
    if trial.role is Role.BASELINE:
        trial.say(Said(baseline=observation, sandbox=sandbox))
        junit.tell(item, observation)
        baselines.put(observation)
        if baselines.snapshots is not None:
            _record(item, trial, observation, baselines.snapshots, settings)
        return
    plan = markers.plan(item)
    # compared figures are a statistical verdict already
    is_sample = plan.sample is not None or (settings.gate == "session" and not observation.compared_figures)
    if unusable is None and isinstance(caught, SnapshotError):
        unusable, baseline = _without_store(caught, baseline), None
    if baseline is not None and baselines.snapshots is not None:
        why = other_questions(baseline, observation, (*plan.of_the_machine, markers.EXACT))
        if not why and settings.reference is None:
            why = other_reference(baseline, observation)
        if why:
            unusable, baseline = SnapshotError(why, "stale"), None
    if is_broken_test(caught) and not isinstance(caught, SnapshotError):
        verdict = Verdict(Word.UNSCORED, "failed", f"the test itself is broken: {in_one_line(caught)}")
    elif unusable is not None:
        refresh = f"; record it: {baselines.snapshots.refresh()}" if baselines.snapshots is not None else ""
        verdict = without_snapshot(unusable.kind, f"{unusable}{refresh}", observation)
    else:
        ignored = plan.not_compared(baseline, observation)
        verdict = judge(baseline, observation, tolerances=plan.tolerances, sample=is_sample, ignored=ignored)
    family = plan.sample.family if plan.sample is not None else plan.family if is_sample else ""
    cluster = plan.sample.cluster if plan.sample is not None else ""
    result = Result(observation.pair, item.nodeid, plan.family, family, observation, verdict, cluster=cluster)
    recorded = None
    if baselines.snapshots is not None:
        baselines.snapshots.tell(item, accepted=not verdict.counts)
        recorded = baseline
    trial.say(Said(result=result, recorded=recorded, sandbox=sandbox))
    junit.tell(item, observation, verdict)
    act(verdict, observation, baseline, caught)


def _without_store(error: SnapshotError, baseline: Observation | None) -> SnapshotError:
    """Why the reference's log-probabilities are of no use; those of a text that was never asked for are not lost."""
    if baseline is not None and error.asked and error.asked not in {one.asked for one in baseline.fidelities}:
        return SnapshotError(f"the test asks for another text than the recorded one: {error}", "stale")
    return error


def _record(
    item: pytest.Item, trial: Trial, observation: Observation, snapshots: Snapshots, settings: Settings
) -> None:
    """Write the snapshot; what cannot be a baseline fails, and leaves the snapshot as it was."""
    caught, said = trial.caught, Said(baseline=observation, sandbox=host.used())
    trial.say(replace(said, unrecorded=True))
    if observation.status is Status.ERROR or is_broken_test(caught):
        snapshots.keep(item)
        if isinstance(caught, SnapshotError):
            cure = "" if settings.reference is not None else f"; record it: {snapshots.refresh()}"
            pytest.fail(f"not recorded: {caught}{cure}", pytrace=False)
        if observation.status is not Status.ERROR and caught is not None:
            raise caught
        pytest.fail(f"no answer from the engine: {observation.error}", pytrace=False)
    if why := snapshots.record(item, observation, markers.plan(item).of_the_machine):
        pytest.fail(f"the snapshot {why}", pytrace=False)
    trial.say(said)


def act(verdict: Verdict, candidate: Observation, baseline: Observation | None, caught: Caught | None) -> None:
    """Raise what makes pytest show the verdict; nothing for a test that passed."""
    if verdict.outcome == "passed":
        return
    if verdict.outcome == "xfailed":
        # a traceback would be made by reading our own source, and shown to nobody
        raise pytest.xfail.Exception(verdict.why, pytrace=False)
    if verdict.outcome == "error":
        pytest.fail(f"no answer from the engine: {verdict.why}", pytrace=False)
    alone = verdict.word is Word.UNPAIRED
    if caught is not None and not verdict.snapshot and (alone or is_broken_test(caught)):
        raise caught  # nothing was compared: the test's own failure says most
    pytest.fail(explain(verdict, candidate, baseline, measured=not isinstance(caught, SnapshotError)), pytrace=False)


def explain(verdict: Verdict, candidate: Observation, baseline: Observation | None, *, measured: bool = True) -> str:
    """The message of a failed candidate: what was lost, and both answers.

    :param measured: whether the test came to its end; without its reference it could not.
    """
    if verdict.snapshot:
        itself = "passes by itself" if candidate.passed else "fails by itself too"
        itself = itself if measured else "could not measure the candidate"
        lines = [f"{UNUSABLE[verdict.snapshot]}: {verdict.why}", f"  the test {itself}; nothing was compared"]
    elif verdict.word is Word.UNPAIRED and not verdict.budget:
        failing = [f"{score.check}: {score.why}" for score in candidate.scores if not score.passed]
        lines = [f"{'; '.join(failing)} ({verdict.why})"]
    else:
        lines = [f"{'NO ANSWER' if verdict.budget else verdict.word.value.upper()}: {verdict.why}"]
    shown = _runs_to_show(candidate)
    if baseline is not None:
        lines += _answers("baseline", baseline, shown)
    lines += _answers("candidate", candidate, shown)
    return "\n".join(lines)


def _runs_to_show(candidate: Observation) -> list[int]:
    """The first runs that the candidate failed; all of them would fill the screen."""
    failed = [number for number, run in enumerate(candidate.each) if not run.passed]
    return (failed or list(range(candidate.runs)))[:_SHOWN_RUNS]


def _answers(who: str, observation: Observation, shown: Sequence[int]) -> list[str]:
    lines = []
    for run, replies in enumerate(observation.replies_by_run):
        if observation.each and run not in shown:
            continue
        side = f"{who}, run {run + 1}" if observation.each else who
        for number, reply in enumerate(replies, 1):
            label = side if len(replies) == 1 else f"{side} {number}" if side == who else f"{side}, answer {number}"
            lines.append(f"  {label:12} {reply.usage.total} tokens ({reply.usage.thinking} thinking), {ending(reply)}:")
            lines.append(f"    {answer(reply, _SHOWN_CHARACTERS)}")
    lines += [f"  {who:12} {likelihoods(choice)}" for choice in observation.choices]
    return lines
