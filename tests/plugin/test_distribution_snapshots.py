"""A reference's log-probabilities beside the snapshots: fidelity is checked without the reference's file."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck import distributions
from pytest_quantcheck.fidelity_store import MAGIC
from tests.plugin.conftest import Gate
from tests.plugin.conftest import Outcome
from tests.plugin.test_fidelity import World

CURE = "record it: pytest --quant-model=old.gguf --quant-reference=f16.gguf --snapshot-update, with the other options*"
RECORD = ("--quant-model=old", "--snapshot-update")


def suite(*names: str, keywords: str = "") -> str:
    """A test for each name, which asks for a text of its own."""
    body = "".join(
        f"\n\n@pytest.mark.quant_fidelity({keywords})\ndef test_{name}(quant):\n"
        f"    quant.fidelity('Once upon a {name}', name='{name}')\n"
        for name in names
    )
    return f"import pytest\n{body}"


class Recorded(World):
    """A world whose suite is in test_it.py and whose runs have no live baseline."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate)
        for path in self.path.glob("test_*.py"):
            path.unlink()

    def tests(self, *names: str, keywords: str = "") -> None:
        self.gate.pytester.makepyfile(test_it=suite(*names, keywords=keywords))

    def record(self, *args: str, reference: str = "f16") -> Outcome:
        return self.run(*RECORD, *args, reference=reference, baseline=False)

    def check(self, *args: str, reference: str = "") -> Outcome:
        return self.run(*args, reference=reference, baseline=False)

    @property
    def folder(self) -> Path:
        return self.path / "quant_snapshots" / distributions.FOLDER

    def kept(self) -> dict[str, bytes]:
        """Name of the text -> its store."""
        found = sorted(self.folder.iterdir()) if self.folder.exists() else []
        return {path.name.rpartition("-")[0]: path.read_bytes() for path in found}

    def store(self, name: str) -> Path:
        [path] = self.folder.glob(f"{name}-*.logp")
        return path


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run inside a worker of these tests' own run would be a worker for syrupy, by the environment."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def plain(plain_gate: Gate) -> Recorded:
    return Recorded(plain_gate)


def whys(outcome: Outcome) -> dict[str, str]:
    return {pair["pair"].split("::")[-1]: pair["verdict"]["why"] for pair in outcome.report["pairs"]}


def judged(outcome: Outcome) -> tuple[Any, ...]:
    verdict = outcome.report["verdict"]
    figures = {pair["pair"]: pair["candidate"]["fidelities"] for pair in outcome.report["pairs"]}
    before = {pair["pair"]: pair["baseline"]["fidelities"] for pair in outcome.report["pairs"]}
    return outcome.words, whys(outcome), verdict["kind"], verdict["sentence"], verdict["instruments"], figures, before


@pytest.mark.parametrize("new", [0.021, 0.1, 0.026], ids=["no regression", "regression", "cannot tell"])
def test_without_the_reference_the_verdict_is_that_of_a_live_run(plain: Recorded, new: float) -> None:
    plain.tests("story", "tale")
    plain.set(new=new, old=0.02)
    live = plain.run()
    plain.events()
    recorded = plain.record()
    checked_by = plain.events()
    (plain.path / "world.json").write_text(json.dumps({"kl": {"old": 0.02, "new": new}}), encoding="utf-8")
    checked = plain.check()

    assert (recorded.result.ret, recorded.kind) == (0, "recorded")
    assert sorted(plain.kept()) == ["story", "tale"]
    recorded.result.stdout.fnmatch_lines(
        ["quantcheck: quant_snapshots/distributions keeps log-probabilities of f16.gguf for 2 texts: * of binary files"]
    )
    assert ("old", "load") in checked_by
    assert judged(checked) == judged(live)
    assert checked.result.ret == live.result.ret
    assert {source for source, _ in plain.events()} == {"new"}
    checked.result.stdout.fnmatch_lines(["*reference  distributions  kept log-probabilities of f16.gguf*"])
    [reference] = checked.report["references"]
    assert (reference["kind"], reference["models"]) == ("folder", ["f16.gguf"])


def test_workers_record_and_check_the_same(gate: Gate) -> None:
    world = Recorded(gate)
    world.tests("story", "tale", "song")
    world.set(new=0.1)
    world.record()
    first = world.kept()
    again = world.record()
    checked = world.check()

    assert sorted(first) == ["song", "story", "tale"]
    assert world.kept() == first
    again.result.stdout.no_fnmatch_line("*unused*")
    assert (checked.result.ret, checked.kind, set(checked.words.values())) == (1, "regression", {"regressed"})
    assert not list(world.path.rglob("*.part"))


def test_a_reference_that_is_given_goes_before_and_is_named(plain: Recorded) -> None:
    plain.tests("story")
    plain.set(kl={"other": 0.03})
    plain.record()
    plain.events()

    same = plain.check(reference="f16")
    other = plain.check(reference="other")

    assert same.kind == "no-loss"
    assert [one["row"] for one in same.report["verdict"]["differences"]] == []
    rows = {one["row"]: one["text"] for one in other.report["verdict"]["differences"]}
    assert rows == {
        "reference": "f16.gguf for the baseline, other.gguf for the candidate: each KL divergence is from its own "
        "unquantized weights"
    }
    assert "against the baseline's 0.02 to f16.gguf" in other.report["verdict"]["instruments"][0]["why"]
    assert plain.events().count(("other", "load")) == 1
    assert "recovers" not in other.result.stdout.str()


def test_recording_again_needs_no_reference(plain: Recorded) -> None:
    plain.tests("story")
    plain.record()
    kept = plain.kept()
    plain.events()
    again = plain.record(reference="")

    assert again.result.ret == 0
    assert plain.loads("f16") == 0
    assert plain.kept() == kept
    assert plain.check().kind == "no-loss"

    plain.tests("story", "tale")
    more = plain.record(reference="")
    assert (more.result.ret, more.kind) == (1, "failed")
    more.result.stdout.fnmatch_lines(
        [
            "not recorded: no log-probabilities of a reference are recorded for the text 'tale' "
            f"(quant_snapshots/distributions/tale-*.logp); {CURE}"
        ]
    )
    assert plain.check("-k", "story").kind == "no-loss"


def cut(data: bytes) -> bytes:
    return data[:-1]


def garbled(data: bytes) -> bytes:
    return data[:40] + b"\xff" + data[41:]


def newer(data: bytes) -> bytes:
    start = len(MAGIC) + 8
    [size] = struct.unpack("<I", data[len(MAGIC) : len(MAGIC) + 4])
    header = data[start : start + size].replace(b'"version":1', b'"version":2')
    return MAGIC + struct.pack("<II", size, zlib.crc32(header)) + header + data[start + size :]


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut": (cut, "is truncated: * bytes instead of *"),
    "garbled": (garbled, "is damaged: its header is not what was written"),
    "foreign": (lambda data: b"GGUF" + data, "is no file of a reference's log-probabilities"),
    "empty": (lambda data: b"", "is no file of a reference's log-probabilities"),
    "newer": (newer, "has format version 2, this version of the plugin reads 1; make it anew"),
}


def test_every_fault_of_a_store_is_told_and_the_others_are_judged(plain: Recorded) -> None:
    names = [*DAMAGE, "gone", "swapped", "reworded", "sound"]
    plain.tests(*names)
    plain.record()
    for name, (damage, _) in DAMAGE.items():
        plain.store(name).write_bytes(damage(plain.store(name).read_bytes()))
    plain.store("gone").unlink()
    plain.store("swapped").write_bytes(plain.store("sound").read_bytes())
    plain.gate.pytester.makepyfile(test_it=suite(*names).replace("Once upon a reworded", "Twice upon a reworded"))

    outcome = plain.check()

    assert (outcome.result.ret, outcome.kind) == (1, "stale")
    assert outcome.words == {**{f"test_{name}": "unpaired" for name in names}, "test_sound": "held"}
    kinds = {name: pair["verdict"]["snapshot"] for name, pair in zip(names, outcome.report["pairs"], strict=True)}
    assert kinds == {
        **dict.fromkeys(DAMAGE, "unreadable"),
        "gone": "missing",
        "swapped": "stale",
        "reworded": "stale",
        "sound": "",
    }
    cure = f"; {CURE}"
    gone = "no log-probabilities of a reference are recorded for the text"
    lines = [
        *(
            f"BAD SNAPSHOT: quant_snapshots/distributions/{name}-*.logp: {said}{cure}"
            for name, (_, said) in DAMAGE.items()
        ),
        f"NO SNAPSHOT: {gone} 'gone' (quant_snapshots/distributions/gone-*.logp){cure}",
        f"STALE SNAPSHOT: quant_snapshots/distributions/swapped-*.logp is of another text or window{cure}",
        f"STALE SNAPSHOT: the test asks for another text than the recorded one: {gone} 'reworded'*{cure}",
    ]
    for line in lines:
        outcome.result.stdout.fnmatch_lines([line, "  the test could not measure the candidate; nothing was compared"])
    every = "STALE: 8 tests without a recorded baseline to compare with (1 missing, 2 stale, 5 unreadable)"
    assert outcome.report["verdict"]["sentence"].startswith(every)


@pytest.mark.parametrize(
    ("recorded", "now", "said"),
    [
        ({"store": {"build": "b1"}}, {"facts": {"build": "b2"}}, "was made with another build (b1, here b2)"),
        (
            {"store": {"vocabulary_digest": "a"}},
            {"cards": {"new": {"vocabulary_digest": "b"}}},
            "was made with another vocabulary than new.gguf has",
        ),
    ],
    ids=["build", "vocabulary"],
)
def test_a_store_of_something_else_is_stale(
    plain: Recorded, recorded: dict[str, Any], now: dict[str, Any], said: str
) -> None:
    plain.tests("story")
    plain.set(**recorded)
    plain.record()
    plain.set(**now)

    outcome = plain.check()

    assert (outcome.result.ret, outcome.kind) == (1, "stale")
    assert said in whys(outcome)["test_story"]


def test_conversations_of_another_template_are_stale(plain: Recorded) -> None:
    talk = "[[{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': 'b'}]]"
    body = suite("story").replace("'Once upon a story'", talk)
    plain.gate.pytester.makepyfile(test_it=body)
    cards = {"old": {"chat_template": "{{ messages }}"}, "new": {"chat_template": "{{ messages }}"}}
    plain.set(cards=cards, store={"template": "another"})
    pinned = "--quant-pin-template=baseline"
    plain.record(pinned)

    outcome = plain.check(pinned)
    assert (outcome.result.ret, outcome.kind) == (1, "stale")
    assert "was made with another chat template" in whys(outcome)["test_story"]


def test_a_folder_that_is_gone_is_no_silence(plain: Recorded) -> None:
    plain.tests("story", keywords="kl=0.5")
    plain.record()
    shutil.rmtree(plain.folder)

    outcome = plain.check()

    assert (outcome.result.ret, outcome.kind) == (1, "stale")
    assert "no log-probabilities of a reference are recorded" in whys(outcome)["test_story"]


def test_stores_in_a_folder_of_the_users_own_are_not_recorded_too(plain: Recorded) -> None:
    plain.tests("story")
    plain.record("--quant-reference-store=mine")

    assert plain.kept() == {}
    assert plain.check().kind == "stale"
    assert plain.check(reference="mine").kind == "no-loss"


def test_figures_from_another_reference_are_not_compared(plain: Recorded) -> None:
    plain.tests("story")
    plain.gate.pytester.makepyfile(test_other=suite("story"))
    plain.record()
    plain.record("test_other.py", reference="other")

    outcome = plain.check()

    assert (outcome.result.ret, outcome.kind) == (1, "stale")
    assert sorted(pair["verdict"]["word"] for pair in outcome.report["pairs"]) == ["held", "unpaired"]
    [why] = [pair["verdict"]["why"] for pair in outcome.report["pairs"] if pair["verdict"]["snapshot"]]
    assert why.startswith("the text 'story' was measured against another f16.gguf than those that are recorded now")


def test_what_no_snapshot_asks_for_is_removed_with_it(plain: Recorded) -> None:
    plain.tests("story", "tale")
    plain.record()
    plain.record("-k", "story")
    assert sorted(plain.kept()) == ["story", "tale"]
    plain.tests("story")

    checked = plain.check("--snapshot-warn-unused")
    checked.result.stdout.fnmatch_lines(["1 snapshot passed. 1 snapshot unused."])
    plain.record("--snapshot-no-cleanup")
    assert sorted(plain.kept()) == ["story", "tale"]
    tale = plain.path / "quant_snapshots" / "test_it" / "test_tale.json"
    tale.write_text("{", encoding="ascii")  # nobody knows what it asks for
    plain.record("--snapshot-no-cleanup")
    assert sorted(plain.kept()) == ["story", "tale"]
    last = plain.record()

    assert sorted(plain.kept()) == ["story"]
    last.result.stdout.fnmatch_lines(["quantcheck: *; removed 1 file of log-probabilities that no snapshot asks for"])


def test_a_full_disk_leaves_what_was_recorded(plain: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    plain.tests("story", "tale")
    plain.record()
    before = plain.kept()
    snapshot = plain.path / "quant_snapshots" / "test_it" / "test_story.json"
    recorded = snapshot.read_bytes()
    copyfile = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        if "story" in target.name:
            target.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    plain.set(old=0.03)
    outcome = plain.record()

    assert (outcome.result.ret, outcome.kind) == (1, "failed")
    outcome.result.assert_outcomes(passed=1, failed=1)
    outcome.result.stdout.fnmatch_lines(
        ["not recorded: quant_snapshots/distributions/story-*.logp could not be written: No space left on device"]
    )
    assert plain.kept() == before
    assert snapshot.read_bytes() == recorded
    assert not list(plain.path.rglob("*.part"))


def test_the_model_of_a_recording_has_one_reference(plain: Recorded) -> None:
    plain.tests("story")

    outcome = plain.record("--quant-baseline-reference=other")

    assert outcome.result.ret == pytest.ExitCode.USAGE_ERROR
    outcome.result.stderr.fnmatch_lines(
        [
            "ERROR: --quant-baseline-reference needs --quant-baseline: a recording's model is the baseline; "
            "its own reference is --quant-reference"
        ]
    )
