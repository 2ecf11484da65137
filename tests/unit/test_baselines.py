"""Where a candidate's test finds the baseline's observation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.baselines import Baselines
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from tests.builders import reply

HOSTILE = [
    "../../etc/passwd",
    "/absolute",
    "a.py::test_x[" + "x" * 5000 + "]",
    "a.py::test_x[\x00\n\x1b]",
    "lone \ud800 surrogate",
    "",
    ".",
    "CON",
]


def observation(pair: str, text: str = "yes") -> Observation:
    return Observation(pair, Role.BASELINE, Status.OK, (Score("json", 1.0, "fine"),), (reply(text),))


@pytest.mark.parametrize("pair", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("shared", [False, True], ids=["live", "shared"])
def test_what_was_put_is_got(tmp_path: Path, pair: str, shared: bool) -> None:
    directory = tmp_path / "shared"
    directory.mkdir()
    baselines = Baselines(directory if shared else None)

    baselines.put(observation(pair))

    assert baselines.get(pair) == observation(pair)
    assert baselines.get(pair + "x") is None
    # one file in the directory itself, nothing outside of it
    assert len(list(directory.iterdir())) == int(shared)
    assert list(tmp_path.iterdir()) == [directory]


@pytest.mark.parametrize("pair", HOSTILE, ids=range(len(HOSTILE)))
def test_another_worker_finds_it(tmp_path: Path, pair: str) -> None:
    Baselines(tmp_path).put(observation(pair))

    assert Baselines(tmp_path).get(pair) == observation(pair)


def test_without_a_directory_processes_know_nothing_of_each_other() -> None:
    Baselines().put(observation("a"))

    assert Baselines().get("a") is None


def test_what_comes_later_is_found_although_it_was_missed_before(tmp_path: Path) -> None:
    here, there = Baselines(tmp_path), Baselines(tmp_path)
    assert here.get("a") is None

    there.put(observation("a"))

    assert here.get("a") == observation("a")


def test_the_last_one_counts(tmp_path: Path) -> None:
    baselines = Baselines(tmp_path)

    baselines.put(observation("a", "first"))
    baselines.put(observation("a", "second"))

    assert baselines.get("a") == Baselines(tmp_path).get("a") == observation("a", "second")


@given(st.sets(st.text(st.characters()), min_size=2, max_size=5))
def test_pairs_are_kept_apart(tmp_path_factory: pytest.TempPathFactory, pairs: set[str]) -> None:
    directory = tmp_path_factory.mktemp("shared")
    for pair in pairs:
        Baselines(directory).put(observation(pair))

    other = Baselines(directory)

    assert {pair: other.get(pair) for pair in pairs} == {pair: observation(pair) for pair in pairs}
    assert len(os.listdir(directory)) == len(pairs)


def test_lone_surrogates_are_kept_apart(tmp_path: Path) -> None:
    Baselines(tmp_path).put(observation("\ud800"))

    assert Baselines(tmp_path).get("\ud801") is None
    assert Baselines(tmp_path).get("?") is None


@pytest.mark.parametrize("stage", ["write_text", "replace"])
def test_no_half_file_is_ever_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    Baselines(tmp_path).put(observation("a", "old"))

    def half(self: Path, data: str, **_: object) -> int:
        self.write_bytes(data.encode()[: len(data) // 2])
        raise OSError(28, "No space left on device")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        if stage == "replace":
            patched.setattr(os, "replace", fail)
        else:
            patched.setattr(Path, "write_text", half)
        full = Baselines(tmp_path)
        full.put(observation("a", "new"))

    assert full.get("a") == observation("a", "new")

    assert Baselines(tmp_path).get("a") == observation("a", "old")
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]
