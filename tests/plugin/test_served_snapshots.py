"""A baseline that was recorded behind a server: a model that took its place at the same address is noticed."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest

from tests.fakes.base import Says
from tests.fakes.ollama import Ollama
from tests.fakes.openai import OpenAi

SUITE = """
def test_sum(quant):
    assert quant.chat("sum", max_tokens=50).text == "seventy two"
"""


def old(prompt: str) -> Says:
    return Says((), ("seventy", " two") if prompt == "sum" else ("old", f" {len(prompt)}"))


def new(prompt: str) -> Says:
    return Says((), ("seventy", " two") if prompt == "sum" else ("new", f" {len(prompt)}"))


class Team:
    """A suite and one server, whose model may change."""

    def __init__(self, pytester: pytest.Pytester, fake: OpenAi, url: str) -> None:
        self.fake = fake
        self.url = url
        self._pytester = pytester
        pytester.makepyfile(SUITE)

    def run(self, *args: str) -> tuple[pytest.RunResult, dict[str, Any]]:
        # a server of which nothing is known: what it hides is allowed to differ
        options = [f"--quant-model={self.url}", "--quant-report=r.json", "--quant-allow=not told", *args]
        result = self._pytester.runpytest("-p", "no:randomly", *options)
        return result, json.loads((self._pytester.path / "r.json").read_text(encoding="utf-8"))

    def recorded(self) -> dict[str, Any]:
        path = self._pytester.path / "quant_snapshots" / "baseline.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


@pytest.fixture
def team(pytester: pytest.Pytester) -> Generator[Team]:
    fake = OpenAi(old)
    with fake.running() as url:
        yield Team(pytester, fake, url)


def rows(report: dict[str, Any]) -> dict[str, str]:
    return {one["row"]: one["text"] for one in report["verdict"]["differences"]}


def test_the_same_model_may_be_recorded_again_and_is_known_again(team: Team) -> None:
    for _ in range(2):
        result, _ = team.run("--snapshot-update")
        assert result.ret == 0
    assert team.recorded()["voice"]["answers"][0] == "old 16"

    result, report = team.run()

    assert result.ret == 0
    assert "answers as it did when the baseline was recorded: most likely the same" in rows(report)["same address"]


def test_another_model_at_that_address_is_not_recorded_unnoticed(team: Team) -> None:
    team.run("--snapshot-update")
    team.fake.script = new

    result, report = team.run("--snapshot-update")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --quant-model: the recorded baseline is tiny (127.0.0.1:*), and another model, machine or build "
            "answers there now; --quant-record makes it the baseline"
        ]
    )
    assert report["kind"] == "refused"
    assert team.recorded()["voice"]["answers"][0] == "old 16"
    result, _ = team.run("--snapshot-update", "--quant-record")
    assert result.ret == 0
    assert team.recorded()["voice"]["answers"][0] == "new 16"


def test_another_model_at_that_address_is_told_when_it_is_checked(team: Team) -> None:
    team.run("--snapshot-update")
    team.fake.script = new

    result, report = team.run()

    assert result.ret == 0  # it is the candidate, and may well be another model
    assert rows(report)["same address"].startswith("another model, machine or build answers at tiny (127.0.0.1:")
    result.stdout.fnmatch_lines(["*informs*same address*another model, machine or build answers at*"])


def test_a_model_that_does_not_answer_is_one_line(team: Team) -> None:
    def broken(prompt: str) -> Says:
        raise ConnectionError(prompt)

    team.fake.script = broken
    result, _ = team.run("--snapshot-update")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --quant-model: *"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_server_that_tells_contents_apart_is_not_asked(pytester: pytest.Pytester) -> None:
    fake = Ollama(old)
    with fake.running() as url:
        pytester.makepyfile(SUITE)
        result = pytester.runpytest(f"--quant-model={url}#tiny:q4", "--snapshot-update", "-p", "no:randomly")

    assert result.ret == 0
    assert len(fake.bodies("/api/chat")) == 1
