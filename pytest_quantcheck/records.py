"""What is known after each step of a run: plain frozen records that cross processes as JSON builtins."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from enum import StrEnum
from itertools import islice
from typing import Any
from typing import Final
from typing import Literal

from pytest_quantcheck.benches import Bench as Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.record import Payload as Payload
from pytest_quantcheck.record import Record as Record

Answer = Literal["regression", "no-regression", "cannot-tell"]
"""What can be said of a comparison of measured figures."""


class Role(StrEnum):
    """What a file is in the comparison; tests run for the baseline and the candidate."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"
    REFERENCE = "reference"
    """The unquantized weights of the same training, for fidelity only."""


SIDES: Final = (Role.BASELINE, Role.CANDIDATE)
"""The roles that tests run for, in the order in which they run."""


class Status(StrEnum):
    """How one answer ended, worst last: docs/explanation/verdicts.md, 'Statuses of an answer'."""

    OK = "ok"
    EMPTY = "empty"
    """Ended by itself and showed nothing: an answer, and a wrong one."""
    UNCLOSED = "unclosed"
    """Ended by itself inside its own thought: an answer, and a wrong one."""
    LOOP = "loop"
    """Ends in a repetition, cut by the budget or not: an answer, and a wrong one."""
    TRUNCATED = "truncated"
    """The token budget cut a visible answer."""
    STARVED = "starved"
    """The token budget ended before any visible answer."""
    PROMPT_TRUNCATED = "prompt truncated"
    """The model did not see the whole prompt."""
    ERROR = "error"
    """The engine died, hung or refused."""

    @property
    def rank(self) -> int:
        """Position in the order of severity, 0 is ok."""
        return _RANKS[self]

    @property
    def has_answer(self) -> bool:
        """Whether an answer exists that may be scored, right or wrong."""
        return self is Status.OK or self.is_wrong

    @property
    def is_wrong(self) -> bool:
        """Whether the answer is wrong whatever was asked."""
        return self in (Status.EMPTY, Status.UNCLOSED, Status.LOOP)


_RANKS: Final = {status: rank for rank, status in enumerate(Status)}

Finish = Literal["stop", "length", "early"]
"""The model ended the answer, the token budget cut it, or it was ended early: nothing could change its scores."""


@dataclass(frozen=True, slots=True)
class ToolCall(Record):
    """One tool call that the answer contains. ``arguments`` is None when what stands there is not a JSON object."""

    name: str
    arguments: dict[str, Any] | None
    raw: str


@dataclass(frozen=True, slots=True)
class Usage(Record):
    """Tokens of one reply. ``total = thinking + visible``; the end-of-generation token is not counted.

    ``tool_calls`` are those of the visible tokens that make up tool calls, their markers included.
    """

    prompt: int
    thinking: int
    visible: int
    total: int
    source: Literal["exact", "reported", "re-tokenised", "estimated"] = "exact"
    tool_calls: int = 0


@dataclass(frozen=True, slots=True)
class Timings(Record):
    """Seconds since the request reached the model. ``first_visible_s`` is None when nothing visible came.

    ``drafted`` tokens were proposed by a draft model (speculative decoding), ``accepted`` of them the model itself
    would have written too; 0 where nothing drafts.
    """

    first_token_s: float
    first_visible_s: float | None
    total_s: float
    drafted: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class GrammarCost(Record):
    """What a grammar kept the model from saying, seen at every step of an answer that it governed.

    :param steps: tokens that were chosen under the grammar, the end of the answer included.
    :param illegal_argmax: steps whose most likely token the grammar forbids: there the grammar changed the answer.
    :param rejected_mass: probability, 0 to 1, that the model gave to forbidden tokens; mean over the steps.
    """

    steps: int
    illegal_argmax: int
    rejected_mass: float


@dataclass(frozen=True, slots=True)
class Reply(Record):
    """One answer with its tokens and times.

    ``text`` is what a user sees: no thinking, no tool calls. ``raw`` is everything that the model generated.
    """

    text: str
    thinking: str
    tool_calls: tuple[ToolCall, ...]
    raw: str
    finish: Finish
    status: Status
    usage: Usage
    timings: Timings
    attempts: int = 1
    """How often the question was asked, each time with twice the budget, until the answer was not cut."""
    thinking_asked: bool | None = None
    """What the options or the test said of thinking; None left it to the template."""
    asked: str = ""
    """Digest of the request: equal for the same question on both sides. Empty when nobody recorded it."""
    prompt: str = ""
    """Digest of the token ids that the model read. Empty when the engine does not know them."""
    grammar: GrammarCost | None = None
    """What the grammar or the JSON schema that governed the answer cost; None without one, or where it is not known."""
    cached: bool = False
    """Whether the answer was kept from an earlier run; then ``timings`` are those of that run."""
    spared: int = 0
    """Of an answer that was ended early: tokens that its budget still allowed, the most that this can have saved."""

    @property
    def json(self) -> Any:
        """The visible text as strict JSON (RFC 8259); an AssertionError says what is wrong with it."""
        __tracebackhide__ = True
        from pytest_quantcheck.rfc8259 import parse_strict

        return parse_strict(self.text)

    @property
    def message(self) -> Payload:
        """This reply as an OpenAI-style message, to go on with: ``messages = [..., reply.message, tool_result]``.

        Thinking is left out, as the templates do with earlier turns. Calls get ids of nine letters and digits, which
        every template takes.
        """
        said: Payload = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            said["tool_calls"] = [
                {
                    "id": f"call{number:05}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments or {}},
                }
                for number, call in enumerate(self.tool_calls, 1)
            ]
        return said

    @property
    def decode_tok_s(self) -> float | None:
        """Tokens per second after the first one, thinking included; None below two tokens."""
        seconds = self.timings.total_s - self.timings.first_token_s
        if self.usage.total < 2 or seconds <= 0:
            return None
        # the end-of-generation token took a step of its own and is not in the usage
        return (self.usage.total - (self.finish != "stop")) / seconds

    @property
    def useful_tok_s(self) -> float | None:
        """Visible tokens over the whole time, thinking and reading the prompt included; None without any time."""
        return self.usage.visible / self.timings.total_s if self.timings.total_s > 0 else None

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {
            "tool_calls": lambda calls: tuple(ToolCall.from_payload(call) for call in calls),
            "status": Status,
            "usage": Usage.from_payload,
            "timings": Timings.from_payload,
            "grammar": lambda cost: None if cost is None else GrammarCost.from_payload(cost),
        }


@dataclass(frozen=True, slots=True)
class Score(Record):
    """What one check says of an observation: ``value`` 0..1 and why. It is passed when ``value >= floor``."""

    check: str
    value: float
    why: str
    floor: float = 1.0
    errors: dict[str, int] = field(default_factory=dict)
    """How many errors of each kind the check found; of several runs together."""
    answer: Answer | Literal[""] = ""
    """What a check that measures says of the comparison with the baseline; empty where it compared nothing."""

    @property
    def passed(self) -> bool:
        """Whether the value reaches the floor."""
        return self.value >= self.floor


@dataclass(frozen=True, slots=True)
class RunScores(Record):
    """One run behind an observation's means: how it ended, and each check's value in the observation's order."""

    status: Status
    passed: bool
    values: tuple[float, ...]
    replies: int
    """How many of the observation's replies are this run's; they stand in the order of the runs."""

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"status": Status, "values": tuple}


@dataclass(frozen=True, slots=True)
class Observation(Record):
    """All that one test recorded for one role. ``pair`` is the node id without the role word."""

    pair: str
    role: Role
    status: Status
    scores: tuple[Score, ...]
    replies: tuple[Reply, ...] = ()
    bench: Bench | None = None
    error: str = ""
    """The engine's own words when ``status`` is error."""
    runs: int = 1
    """How often the test ran; with more than one run the scores are means over the runs."""
    each: tuple[RunScores, ...] = ()
    """The single runs when there is more than one."""
    choices: tuple[Choice, ...] = ()
    """What ``quant.choose`` found; it is the same in every run."""
    embeddings: tuple[Embeddings, ...] = ()
    """What ``quant.embed`` found; it is the same in every run."""
    fidelities: tuple[Fidelity, ...] = ()
    """What ``quant.fidelity`` found; it is the same in every run."""
    duel: Duel | None = None
    """Both models' speed in turn; only a candidate's test measures that."""
    memory: Memory | None = None

    @property
    def asked(self) -> bool:
        """Whether the test asked the model about anything but its speed and its memory."""
        return self.spoke or bool(self.fidelities)

    @property
    def spoke(self) -> bool:
        """Whether the model gave answers, and not only figures."""
        return bool(self.replies or self.choices or self.embeddings)

    @property
    def compared_figures(self) -> bool:
        """Whether some check compared measured figures with the baseline's."""
        return any(score.answer for score in self.scores)

    @property
    def replies_by_run(self) -> tuple[tuple[Reply, ...], ...]:
        """The replies of every run, in order."""
        if not self.each:
            return (self.replies,)
        rest = iter(self.replies)
        return tuple(tuple(islice(rest, run.replies)) for run in self.each)

    @property
    def answered(self) -> tuple[tuple[Reply, ...], ...]:
        """The replies of every run that has an answer."""
        if not self.each:
            return (self.replies,) if self.status.has_answer else ()
        runs = zip(self.each, self.replies_by_run, strict=True)
        return tuple(replies for run, replies in runs if run.status.has_answer)

    @property
    def passed(self) -> bool:
        """Whether there is an answer and every check and assertion holds."""
        return self.status.has_answer and all(score.passed for score in self.scores)

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {
            "role": Role,
            "status": Status,
            "scores": lambda scores: tuple(Score.from_payload(score) for score in scores),
            "replies": lambda replies: tuple(Reply.from_payload(reply) for reply in replies),
            "bench": lambda bench: None if bench is None else Bench.from_payload(bench),
            "each": lambda runs: tuple(RunScores.from_payload(run) for run in runs),
            "choices": lambda choices: tuple(Choice.from_payload(choice) for choice in choices),
            "embeddings": lambda found: tuple(Embeddings.from_payload(one) for one in found),
            "fidelities": lambda found: tuple(Fidelity.from_payload(one) for one in found),
            "duel": lambda value: None if value is None else Duel.from_payload(value),
            "memory": lambda value: None if value is None else Memory.from_payload(value),
        }


class Word(StrEnum):
    """The verdict on one pair."""

    HELD = "held"
    IMPROVED = "improved"
    REGRESSED = "regressed"
    INHERITED = "inherited"
    UNSCORED = "unscored"
    UNPAIRED = "unpaired"


Outcome = Literal["passed", "failed", "xfailed", "error"]
Unusable = Literal["missing", "stale", "unreadable"]
"""Why a recorded baseline cannot be compared with."""


@dataclass(frozen=True, slots=True)
class Verdict(Record):
    """Observation against observation: the word, what becomes of the candidate's item, and why."""

    word: Word
    outcome: Outcome
    why: str
    flip: bool = False
    """A sample's loss: it does not fail by itself, its family decides."""
    budget: bool = False
    """The candidate needs more tokens than it was given, the baseline did not."""
    change: float = 0.0
    """Score of the candidate minus score of the baseline, -1 to 1; 0 where nothing was compared."""
    snapshot: Unusable | Literal[""] = ""
    """What is wrong with the baseline that should have been recorded; empty when nothing is."""

    @property
    def counts(self) -> bool:
        """Whether this pair alone makes the run fail."""
        return self.outcome in ("failed", "error")

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"word": Word}
