"""What a recorded baseline looks like on disk: one file for what it is, and one for each test. Pure.

Everything that depends on the machine (seconds, speeds, bytes of memory, threads) is left out: another machine checks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from pathlib import Path
from typing import Final
from typing import TypeVar

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.record import Payload
from pytest_quantcheck.records import GrammarCost
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import RunScores
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Timings
from pytest_quantcheck.records import ToolCall
from pytest_quantcheck.records import Unusable
from pytest_quantcheck.records import Usage
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.shapes import misfit
from pytest_quantcheck.text import digest
from pytest_quantcheck.text import one_line
from pytest_quantcheck.voice import Voice

FORMAT: Final = 1
"""Of both kinds of file."""
NAME: Final = "baseline.json"
"""The file beside the snapshots that says whose answers they are."""
_SETTINGS: Final = ("ctx", "max_tokens", "kv_type", "seed", "thinking", "loop", "samples")
"""Settings that change answers; the others belong to the machine, or to the judgement."""
_NO_TIME: Final = Timings(0.0, None, 0.0)
# what pytest says of a failed assertion's objects: addresses, and replies with their times
_OF_THIS_RUN: Final = re.compile(r"(?: \+ +where | at 0x|Reply\().*", re.DOTALL)


class SnapshotError(Exception):
    """A recorded baseline that cannot be used; the text is one line that says why.

    :param kind: 'missing', 'unreadable', or 'stale': it answers other questions than this run asks.
    :param asked: digest of the text whose log-probabilities are missing; empty for anything else.
    """

    def __init__(self, why: str, kind: Unusable = "unreadable", asked: str = "") -> None:
        super().__init__(why)
        self.kind: Unusable = kind
        self.asked = asked


_Read = TypeVar("_Read", "Recording", "Snapshot")


@dataclass(frozen=True, slots=True)
class Recording:
    """Whose answers a folder of snapshots holds, and how they were asked for: ``baseline.json``."""

    card: ModelCard
    conditions: Conditions
    pins: Pins
    settings: Payload
    """What `settings_of` makes of the settings."""
    references: Mapping[str, str] = field(default_factory=dict)
    """Whose log-probabilities recorded figures were measured against: fingerprint -> file name."""
    voice: Voice | None = None
    """Of a served model that nothing else tells from another one."""

    def to_json(self) -> Payload:
        """As JSON builtins. Where the file lay is nobody's business."""
        kept = replace(self.conditions, threads=None, batch=None, gpu_layers="", prompt_cache=False, decided_by={})
        return {
            "format": FORMAT,
            "model": replace(self.card, path=self.card.file_name).to_payload(),
            "conditions": kept.to_payload(),
            "held to": self.pins.to_payload(),
            "settings": self.settings,
            **({"references": dict(self.references)} if self.references else {}),
            **({"voice": self.voice.to_payload()} if self.voice is not None else {}),
        }

    @classmethod
    def from_json(cls, text: str) -> Recording:
        """What `to_json` was made from; SnapshotError when the text is something else."""
        found = _parsed(text)
        try:
            recording = cls(
                ModelCard.from_payload(found["model"]),
                Conditions.from_payload(found["conditions"]),
                Pins.from_payload(found["held to"]),
                dict(found["settings"]),
                dict(found.get("references", {})),
                Voice.from_payload(found["voice"]) if "voice" in found else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _other(error) from None
        return _checked(recording)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one snapshot comes from.

    ``settings`` is the digest of `settings_of`; ``build`` is empty where the engine does not tell.
    """

    file: str
    fingerprint: str
    settings: str
    build: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one test recorded on the baseline."""

    origin: Origin
    observation: Observation

    def to_json(self) -> Payload:
        """As JSON builtins, for people to read in a pull request."""
        seen = self.observation
        answers = [_answer(reply) for reply in seen.replies]
        found: Payload = {
            "format": FORMAT,
            "test": seen.pair,
            "recorded": asdict(self.origin),
            "status": seen.status.value,
            "scores": [_score(score) for score in seen.scores],
            "answers": answers,
            "runs": [run.to_payload() for run in seen.each],
        }
        for name in ("choices", "embeddings", "fidelities"):
            found[name] = [one.to_payload() for one in getattr(seen, name)]
        return {name: value for name, value in found.items() if value != [] or name == "answers"}

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """What `to_json` was made from; SnapshotError when the text is something else."""
        found = _parsed(text)
        try:
            runs = tuple(RunScores.from_payload(run) for run in found.get("runs", ()))
            observation = Observation(
                pair=str(found["test"]),
                role=Role.BASELINE,
                status=Status(found["status"]),
                scores=tuple(Score.from_payload(score) for score in found.get("scores", ())),
                replies=tuple(_reply(answer) for answer in found["answers"]),
                runs=max(1, len(runs)),
                each=runs,
                choices=tuple(Choice.from_payload(one) for one in found.get("choices", ())),
                embeddings=tuple(Embeddings.from_payload(one) for one in found.get("embeddings", ())),
                fidelities=tuple(Fidelity.from_payload(one) for one in found.get("fidelities", ())),
            )
            snapshot = cls(Origin(**found["recorded"]), observation)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _other(error) from None
        return _checked(snapshot)


def written(value: Payload) -> str:
    """The text of a file: sorted, indented, one line for each line of an answer, nothing in it that cannot be seen."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text) + "\n"


def without_machine(observation: Observation, machine_checks: Collection[str]) -> Observation:
    """The same without times, speeds and memory, and without the scores of these checks, which judge them."""
    left = [number for number, score in enumerate(observation.scores) if score.check not in machine_checks]
    return replace(
        observation,
        role=Role.BASELINE,
        scores=tuple(observation.scores[number] for number in left),
        each=tuple(
            replace(run, values=tuple(run.values[number] for number in left if number < len(run.values)))
            for run in observation.each
        ),
        replies=tuple(
            replace(reply, thinking="", raw=reply.text, timings=_NO_TIME, cached=False) for reply in observation.replies
        ),
        bench=None,
        duel=None,
        memory=None,
    )


def settings_of(settings: Settings) -> Payload:
    """The settings that change answers, as JSON builtins."""
    plain: Payload = json.loads(json.dumps(asdict(settings), default=str))
    return {name: plain[name] for name in _SETTINGS}


def identity(card: ModelCard) -> str:
    """Tells model files apart; the name where there is nothing better."""
    return card.fingerprint or card.file_name


def references_in(folder: Path) -> dict[str, Fidelity] | None:
    """What all snapshots below a folder measured against a reference: digest of the text -> one of its figures.

    None when a snapshot cannot be read: nobody knows then what it needs.
    """
    found: dict[str, Fidelity] = {}
    for path in sorted(folder.rglob("*.json")):
        try:
            seen = [Fidelity.from_payload(one) for one in _parsed(read(path)).get("fidelities", ())]
        except (FileNotFoundError, SnapshotError, KeyError, TypeError, ValueError, AttributeError):
            return None
        found |= {one.asked: one for one in seen if one.reference}
    return found


def _answer(reply: Reply) -> Payload:
    usage = reply.usage.to_payload()
    found: Payload = {
        "text": _lines(reply.text),
        "tool_calls": [call.to_payload() for call in reply.tool_calls],
        "status": reply.status.value,
        "finish": reply.finish,
        "tokens": usage,
        "attempts": reply.attempts,
        "spared": reply.spared or None,
        "asked": reply.asked,
        "prompt": reply.prompt,
        "thinking_asked": reply.thinking_asked,
        "grammar": None if reply.grammar is None else reply.grammar.to_payload(),
    }
    return {name: value for name, value in found.items() if value not in ([], None)}


def _reply(found: Payload) -> Reply:
    text, grammar = found["text"], found.get("grammar")
    text = text if isinstance(text, str) else "\n".join(text)
    return Reply(
        text=text,
        thinking="",
        tool_calls=tuple(ToolCall.from_payload(call) for call in found.get("tool_calls", ())),
        raw=text,
        finish=found["finish"],
        status=Status(found["status"]),
        usage=Usage.from_payload(found["tokens"]),
        timings=_NO_TIME,
        attempts=found["attempts"],
        thinking_asked=found.get("thinking_asked"),
        asked=found["asked"],
        prompt=found["prompt"],
        grammar=None if grammar is None else GrammarCost.from_payload(grammar),
        spared=found.get("spared", 0),
    )


def _score(score: Score) -> Payload:
    plain = replace(score, why=_OF_THIS_RUN.sub("", score.why)).to_payload()
    return {name: value for name, value in plain.items() if value not in ({}, "") or name not in ("errors", "answer")}


def _lines(text: str) -> str | list[str]:
    """A text of several lines as a list of them: a pull request then shows which line changed."""
    return text.split("\n") if "\n" in text else text


def in_json(value: object) -> str:
    """A value in a sentence."""
    return one_line(json.dumps(value), 60)


def _parsed(text: str) -> Payload:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"it is no JSON: {one_line(str(error), 100)}") from None
    if not isinstance(found, dict):
        raise SnapshotError("it is no JSON object")
    version = found.get("format")
    if version != FORMAT:
        newer = isinstance(version, int) and not isinstance(version, bool) and version > FORMAT
        known = f"a newer version wrote it, this one reads {FORMAT}" if newer else f"only {FORMAT} can be read"
        raise SnapshotError(f"its format is {in_json(version)}; {known}")
    return found


def _checked(read: _Read) -> _Read:
    """The same, every value of its type: what somebody else wrote into the file shows itself here and not later."""
    if said := misfit(read, type(read)):
        raise _other(TypeError(said))
    return read


def _other(error: Exception) -> SnapshotError:
    kind = "misses" if isinstance(error, KeyError) else "is not as it was written:"
    return SnapshotError(f"it {kind} {one_line(str(error), 100)}")


def origin_of(card: ModelCard, settings: Settings, build: str) -> Origin:
    """Where a snapshot of this run comes from."""
    return Origin(card.file_name, identity(card), digest(settings_of(settings)), build)


def read(path: Path) -> str:
    """The text of a recorded file.

    :raises FileNotFoundError: when there is none.
    :raises SnapshotError: when it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except UnicodeDecodeError:
        raise SnapshotError("it is no UTF-8 text") from None
    except OSError as error:
        raise SnapshotError(error.strerror or str(error)) from None
