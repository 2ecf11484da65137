"""Whole pytest runs on scripted engines: a suite, the answers of both sides, and what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import httpcore
import httpx
import hypothesis
import numpy
import pytest
import xdist.dsession

import pytest_quantcheck
from pytest_quantcheck import reports

# a run inside this process forgets what it imported: numpy cannot be imported twice, what was raised or made by the
# first import of the next two is none of the second's classes, and importing the others again takes longer than a run
_NEVER_FORGOTTEN = (numpy, httpx, httpcore, hypothesis, xdist.dsession)
for _package in (pytest_quantcheck, reports):
    for _module in iter_modules(_package.__path__, f"{_package.__name__}."):
        if not _module.name.endswith("__main__"):
            import_module(_module.name)

DIED, HUNG, REFUSED = "!died", "!hung", "!refused"

_CONFTEST = """
import json, os, pathlib
from pytest_quantcheck import EngineDied, EngineHung, EngineRefused, Memory, ScriptedEngine

HERE = pathlib.Path(__file__).parent
FAULTS = {"!died": EngineDied, "!hung": EngineHung, "!refused": EngineRefused}

class Logged(ScriptedEngine):
    seed = 0
    def chat(self, request):
        how = request.generation
        self.seed = how.seed
        with open(HERE / "drawn.txt", "a") as log:
            log.write(f"{os.getpid()} {self._name} {how.seed} {how.temperature:g} {how.top_k}\\n")
        return super().chat(request)
    def _load(self):
        before = self.loads
        super()._load()
        if self.loads > before:
            with open(HERE / "loads.txt", "a") as log:
                log.write(f"{os.getpid()} {self._name}\\n")

def pytest_quantcheck_devices():
    names = HERE / "devices.txt"
    return names.read_text().split() if names.exists() else [""]

def pytest_quantcheck_engine(role, source):
    answers = json.loads((HERE / "answers.json").read_text())[source]
    def script(prompt):
        with open(HERE / "asked.txt", "a") as log:
            log.write(f"{os.getpid()} {source} {prompt}\\n")
        answer = answers[prompt]
        if isinstance(answer, list):
            answer = answer[engine.seed % len(answer)]
        if isinstance(answer, dict):
            answer = answer.get(str(engine.seed), answer["else"])
        if answer in FAULTS:
            raise FAULTS[answer]("last words of llama.cpp")
        return answer
    def choose(prompt, choices):
        likelihoods = answers[prompt]
        if isinstance(likelihoods, str):
            raise FAULTS[likelihoods]("last words of llama.cpp")
        return likelihoods
    speeds = (500.0, answers.get("tok/s", 50.0))
    memory = Memory.from_payload(answers["memory"]) if "memory" in answers else None
    more = dict(bench_tok_s=speeds, choose=choose, embed=lambda texts: answers["vectors"], memory=memory)
    engine = Logged(script, name=source, **more)
    return engine
"""


@dataclass(frozen=True)
class Outcome:
    """One finished run."""

    result: pytest.RunResult
    report: dict[str, Any]

    @property
    def words(self) -> dict[str, str]:
        """Test name (no role, no file) -> verdict word."""
        return {pair["pair"].split("::")[-1]: pair["verdict"]["word"] for pair in self.report["pairs"]}

    @property
    def kind(self) -> str:
        """The session verdict's kind."""
        return str(self.report["verdict"]["kind"])


class Gate:
    """Runs a suite with ``--quant-model=new --quant-baseline=old`` against scripted answers."""

    def __init__(self, pytester: pytest.Pytester, dist_args: tuple[str, ...]) -> None:
        self.pytester = pytester
        self._dist_args = dist_args
        pytester.makeconftest(_CONFTEST)

    def answers(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Prompt -> raw answer (or a fault) of both sides; 'tok/s' is the decode speed.

        A list of answers is one a seed, from 0 and over again; a dict names those of some seeds and of all 'else'.
        What is asked with ``quant.choose`` is answered with a list of log-likelihoods, ``quant.embed`` with 'vectors',
        ``quant.memory`` with 'memory', the payload of a Memory.
        """
        path = self.pytester.path / "answers.json"
        path.write_text(json.dumps({"old": old, "new": new}), encoding="utf-8")

    def run(self, *args: str, baseline: bool = True, subprocess: bool = False) -> Outcome:
        """Run pytest in the suite's folder."""
        report = self.pytester.path / "report.json"
        report.unlink(missing_ok=True)
        options = ["--quant-model=new", *(["--quant-baseline=old"] if baseline else [])]
        run = self.pytester.runpytest_subprocess if subprocess else self.pytester.runpytest
        result = run("-p", "no:randomly", *self._dist_args, *options, f"--quant-report={report}", *args)
        return Outcome(result, json.loads(report.read_text(encoding="utf-8")) if report.exists() else {})

    def log(self, name: str) -> list[list[str]]:
        """Lines of a log, oldest first; the log starts anew.

        'loads' (pid, source), 'asked' (pid, source, prompt), 'drawn' (pid, source, 'seed temperature top_k').
        """
        path = self.pytester.path / f"{name}.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.split(" ", 2) for line in lines]


@pytest.fixture(params=[(), ("-n0",), ("-n2",)], ids=["plain", "n0", "n2"])
def dist_args(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Without xdist's options, with them but no workers, with two workers."""
    args: tuple[str, ...] = request.param
    return args


@pytest.fixture
def gate(pytester: pytest.Pytester, dist_args: tuple[str, ...]) -> Gate:
    """A gate, three times: see dist_args."""
    return Gate(pytester, dist_args)


@pytest.fixture
def plain_gate(pytester: pytest.Pytester) -> Gate:
    """A gate in this process only."""
    return Gate(pytester, ())


@pytest.fixture
def suite(gate: Gate, request: pytest.FixtureRequest) -> Gate:
    """A gate with the module's SUITE and the answers OLD and NEW."""
    return _filled(gate, request)


@pytest.fixture
def plain_suite(plain_gate: Gate, request: pytest.FixtureRequest) -> Gate:
    """The same in this process only."""
    return _filled(plain_gate, request)


def _filled(gate: Gate, request: pytest.FixtureRequest) -> Gate:
    gate.pytester.makepyfile(test_it=request.module.SUITE)
    gate.answers(request.module.OLD, request.module.NEW)
    return gate
