from __future__ import annotations

from pathlib import Path

import pytest

from pytest_quantcheck.forecast import Left
from pytest_quantcheck.progress import Doing
from pytest_quantcheck.progress import Watch
from pytest_quantcheck.progress import publish_to
from pytest_quantcheck.progress import published
from pytest_quantcheck.reports.progress_words import about
from pytest_quantcheck.reports.progress_words import progress_line


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_watch_follows_one_answer() -> None:
    clock = Clock()
    watch = Watch(clock=clock)
    watch.test("candidate")
    assert watch.now == Doing("candidate")

    watch.tell("candidate", "load", 43, 100)
    assert watch.now == Doing("candidate", "load", 43, 100)
    watch.tell("candidate", "chat", 512, 1024)
    watch.tell("candidate", "chat", 1)
    assert watch.now == Doing("candidate", "chat", 1)
    clock.now = 2.0
    watch.tell("candidate", "chat", 101)
    assert watch.now == Doing("candidate", "chat", 101, tok_s=50.0)
    watch.tell("candidate", "")
    assert watch.now == Doing("candidate")

    # the next answer has a speed of its own
    watch.tell("candidate", "chat", 10)
    assert watch.now.tok_s == 0


def test_after_a_reference_the_test_goes_on() -> None:
    watch = Watch()
    watch.test("candidate")
    watch.tell("reference", "fidelity", 1, 8)
    assert watch.now.role == "reference"
    watch.tell("reference", "")
    assert watch.now == Doing("candidate")


def test_changes_are_published_four_times_a_second_at_most(tmp_path: Path) -> None:
    clock, seen = Clock(), list[Doing]()
    watch = Watch(seen.append, clock)
    for step in range(1000):
        clock.now = step / 100
        watch.tell("baseline", "chat", step)
    assert 35 <= len(seen) <= 41

    clock.now = -500.0  # a clock that was set back
    watch.tell("baseline", "chat", 7)
    assert seen[-1].done == 7

    # an engine that gives no signs of life may be at the next thing for long
    watch.tell("baseline", "")
    watch.test("candidate")
    assert seen[-2:] == [Doing(), Doing("candidate")]


def test_what_cannot_be_published_disturbs_nobody(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    Watch(publish_to(blocked / "below")).test("baseline")


def test_another_process_reads_it(tmp_path: Path) -> None:
    path, doing = tmp_path / "gw0.doing", Doing("candidate", "chat", 312, 0, 45.25)
    publish_to(path)(doing)
    assert published(path) == doing
    for torn in ("", "{", "[]", "null", '{"role": "baseline", "what": 1}'):
        path.write_text(torn, encoding="utf-8")
        assert published(path) == Doing()
    path.unlink()
    assert published(path) == Doing()


LEFT = Left(12, 60, 4123.0, 77.0)
GENERATING = Doing("candidate", "chat", 1312, 0, 45.4)


@pytest.mark.parametrize(
    ("doing", "said"),
    [
        (GENERATING, "candidate: generating, 1,312 tokens, 45 tok/s"),
        (Doing("candidate", "chat", 1), "candidate: generating, 1 token"),
        (Doing("candidate", "complete", 20, 0, 1.25), "candidate: generating, 20 tokens, 1.2 tok/s"),
        (Doing("baseline", "chat", 512, 2048), "baseline: reading the prompt, 25 %"),
        (Doing("baseline", "chat"), "baseline: generating"),
        (Doing("reference", "load", 43, 100), "reference: loading, 43 %"),
        (Doing("baseline", "fidelity", 3, 8), "baseline: scoring a text, 37 %"),
        (Doing("baseline", "bench", 3, 8), "baseline: measuring speed"),
        (Doing("baseline", "choose", 512, 512), "baseline: weighing given answers"),
        (Doing("baseline"), "baseline: testing"),
    ],
)
def test_the_words(doing: Doing, said: str) -> None:
    assert progress_line({"": doing}, LEFT, 200) == f"{said} | 12 of 60 tests left, ~4,100 tokens | about 80 s"


def test_what_is_not_known_is_not_said() -> None:
    assert progress_line({"": Doing("baseline")}, Left(60, 60), 200) == "baseline: testing | 60 of 60 tests left"
    assert (
        progress_line({"": Doing("baseline")}, Left(2, 60, 0.0, 0.0), 200) == "baseline: testing | 2 of 60 tests left"
    )
    assert progress_line({"": Doing()}, Left(60, 60), 200) == "60 of 60 tests left"
    assert progress_line({"": Doing()}, Left(0, 0), 200) == ""


def test_the_least_important_goes_first_on_a_narrow_terminal() -> None:
    lines = [progress_line({"": GENERATING}, LEFT, columns) for columns in range(120, 0, -1)]
    assert all(len(line) <= columns for line, columns in zip(lines, range(120, 0, -1), strict=True))
    assert list(dict.fromkeys(lines)) == [
        "candidate: generating, 1,312 tokens, 45 tok/s | 12 of 60 tests left, ~4,100 tokens | about 80 s",
        "candidate: generating | 12 of 60 tests left, ~4,100 tokens | about 80 s",
        "candidate: generating | 12 of 60 tests left | about 80 s",
        "candidate: generating | 12 of 60 tests left",
        "12 of 60 tests left",
        "",
    ]


def test_workers_side_by_side() -> None:
    doing = {"gw0": GENERATING, "gw1": Doing("baseline", "load", 5, 100), "gw2": Doing()}
    lines = list(dict.fromkeys(progress_line(doing, LEFT, columns) for columns in range(160, 0, -1)))
    assert lines == [
        "gw0 candidate: generating, 1,312 tokens, 45 tok/s, gw1 baseline: loading, 5 % | "
        "12 of 60 tests left, ~4,100 tokens | about 80 s",
        "gw0 candidate: generating, gw1 baseline: loading | 12 of 60 tests left, ~4,100 tokens | about 80 s",
        "1 generating, 1 loading | 12 of 60 tests left, ~4,100 tokens | about 80 s",
        "1 generating, 1 loading | 12 of 60 tests left | about 80 s",
        "1 generating, 1 loading | 12 of 60 tests left",
        "12 of 60 tests left",
        "",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.0, ""),
        (0.2, "about 10 s"),
        (41.0, "about 50 s"),
        (90.0, "about 90 s"),
        (90.1, "about 2 min"),
        (3600.0, "about 60 min"),
        (5340.0, "about 89 min"),
        (5341.0, "about 1 h 30 min"),
        (7200.0, "about 2 h"),
        (7801.0, "about 2 h 20 min"),
        (360000.0, "about 100 h"),
    ],
)
def test_a_duration_is_told_as_roughly_as_it_is_known(seconds: float | None, said: str) -> None:
    assert about(seconds) == said


@pytest.mark.parametrize(("tokens", "said"), [(7.4, "~7 "), (94, "~94 "), (1049, "~1,000 "), (123456, "~120,000 ")])
def test_tokens_to_two_digits(tokens: float, said: str) -> None:
    assert said in progress_line({"": Doing()}, Left(1, 2, tokens), 100)
