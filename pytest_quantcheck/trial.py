"""One test for one role: the body's outcome and the checks' scores -> observation -> verdict -> what pytest shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from typing import TYPE_CHECKING
from typing import Any
from typing import TypeAlias

import pytest

from pytest_quantcheck import markers
from pytest_quantcheck.baselines import Baselines
from pytest_quantcheck.checks.base import CheckCannot
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import Tool
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.measuring import Measured
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.probe import Probe
from pytest_quantcheck.record import encode
from pytest_quantcheck.recording import SnapshotError
from pytest_quantcheck.recording import other_questions
from pytest_quantcheck.recording import other_reference
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Verdict
from pytest_quantcheck.records import Word
from pytest_quantcheck.repeats import Repeats
from pytest_quantcheck.repeats import mean_observation
from pytest_quantcheck.reports import junit
from pytest_quantcheck.reports.replies import answer
from pytest_quantcheck.reports.replies import ending
from pytest_quantcheck.reports.replies import likelihoods
from pytest_quantcheck.reports.replies import other_words
from pytest_quantcheck.said import Said
from pytest_quantcheck.sandbox import host
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.text import one_line
from pytest_quantcheck.verdict import UNUSABLE
from pytest_quantcheck.verdict import Result
from pytest_quantcheck.verdict import judge
from pytest_quantcheck.verdict import without_snapshot

if TYPE_CHECKING:
    from pytest_quantcheck.snapshots import Snapshots

# an Exception, or pytest's own 'Failed', which is none
Caught: TypeAlias = BaseException
_SHOWN_CHARACTERS = 300
_CANNOT = "this engine cannot do it"
_SHOWN_RUNS = 2
_WRONG = {
    Status.EMPTY: "an answer is empty",
    Status.UNCLOSED: "an answer ended inside its own thought",
    Status.LOOP: "an answer ends in a loop",
}
# what a model's answer cannot cause: the test or what was recorded for it is broken, and no verdict may hide that
_BROKEN_TEST = (NameError, ImportError, SyntaxError, MarkerError, SnapshotError)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How one run of a test's body ended: what it raised, what the model answered, what the engine failed with."""

    caught: Caught | None
    replies: tuple[Reply, ...] = ()
    measured: Measured = field(default_factory=Measured)
    error: EngineError | None = None
    offered: tuple[Tool, ...] = ()
    """The tools that its last question offered."""


@dataclass(slots=True)
class Trial:
    """What is known of a running item; kept in its stash."""

    role: Role
    pair: str
    """What both halves of the pair share."""
    repeats: Repeats = field(default_factory=Repeats)
    probe: Probe | None = None
    ends: list[RunEnd] = field(default_factory=list)
    """One entry a run of the body that is over."""
    said: Said | None = None
    """What the call report says."""
    text: str = ""
    """The same as JSON."""
    again: bool = False
    """Whether it is asked again: its observation is kept, and nothing is decided."""
    observation: Observation | None = None
    running: bool = False
    """Whether the body runs already: the hook that runs it is called again for every further run."""

    def start(self) -> None:
        """The body begins for the first time."""
        self.running = True
        if self.probe is not None:
            self.probe.begin_run(0)

    def say(self, said: Said) -> None:
        """Let the call report say this; TypeError for values of a user's engine that are no JSON."""
        self.said, self.text = said, encode(said)

    def release(self) -> None:
        """The item is over; it stays in memory to the end of the session, and what it asked with need not."""
        self.probe, self.said, self.text = None, None, ""
        self.ends.clear()

    def end_run(self, caught: Caught | None) -> None:
        """Keep how the body ended."""
        if self.probe is None:
            self.ends.append(RunEnd(caught))
        else:
            probe = self.probe
            self.ends.append(RunEnd(caught, probe.replies, probe.measured, probe.error, probe.offered))

    def begin_run(self) -> bool:
        """Make ready for the next run of the body; False when there is none.

        Nothing is repeated after a failure of the engine or of the test itself, nor when the body asked the model
        nothing: it measures speed, or a fixture did the asking.
        """
        last = self.ends[-1]
        over = last.error is not None or isinstance(last.caught, EngineError | EngineCannot)
        if over or is_broken_test(last.caught) or len(self.ends) >= self.repeats.runs:
            return False
        if self.probe is None or not self.probe.asked:
            return False
        self.probe.begin_run(len(self.ends))
        return True

    @property
    def caught(self) -> Caught | None:
        """What the body raised: that the test itself is broken before all else, else in the first run that failed."""
        failures = [end.caught for end in self.ends if end.caught is not None]
        return next((caught for caught in failures if is_broken_test(caught)), failures[0] if failures else None)


trial_key = pytest.StashKey[Trial]()


def is_broken_test(caught: Caught | None) -> bool:
    """Whether an exception says that the test is wrong, not the model."""
    if isinstance(caught, AttributeError):
        return isinstance(caught.obj, Probe | Reply | Choice | Embeddings | Fidelity | Memory)
    return isinstance(caught, _BROKEN_TEST)


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
        verdict = Verdict(Word.UNSCORED, "failed", f"the test itself is broken: {_one_line(caught)}")
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
    return where + _one_line(caught)


def _one_line(caught: Caught | None) -> str:
    text = str(caught)
    name = type(caught).__name__
    return one_line(text if name in ("AssertionError", "Failed") and text else f"{name}: {text}", _SHOWN_CHARACTERS)
