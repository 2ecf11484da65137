"""The whole tiny suite behind real servers: the verdicts of llama.cpp in process, or the servers say why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.real.servers import CONTEXT
from tests.real.servers import ROOT
from tests.real.servers import llama_cpp_python
from tests.real.servers import llama_server

SUITE: Final = ROOT / "example_suites" / "tiny"
F16: Final = SUITE / "models" / "tiny-f16.gguf"
PTQ: Final = SUITE / "models" / "tiny-q4_0.gguf"
_UNCERTAIN: Final = 0.05
"""Share of the damaged model's answers that hang by a hair: another build or other batches round otherwise."""

pytestmark = pytest.mark.once


def words(folder: Path, baseline: Path | str, candidate: Path | str, *args: str) -> dict[str, str]:
    """Test -> verdict of every test that was not skipped."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "pytest", str(SUITE), "-p", "no:randomly", "-q", *args]
    command += [f"--quant-baseline={baseline}", f"--quant-model={candidate}", f"--quant-report={report}"]
    command += [f"--quant-ctx={CONTEXT}", "--quant-allow=not told", "--quant-cache=off"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in run.stdout + run.stderr
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["verdict"]["kind"] == "regression", run.stdout  # rounding costs the candidate a third of its answers
    return {pair["pair"].split("::")[-1]: pair["verdict"]["word"] for pair in found["pairs"]}


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Verdicts without a server, on everything that is an answer."""
    return words(tmp_path_factory.mktemp("in_process"), F16, PTQ, "-k", "not fidelity and not cost")


def differences(mine: dict[str, str], theirs: dict[str, str]) -> set[str]:
    """The function names of tests with another verdict."""
    return {name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name]}


def test_llama_server(tmp_path: Path, in_process: dict[str, str]) -> None:
    pytest.importorskip("xllamacpp")
    with llama_server(F16) as old, llama_server(PTQ) as new:
        served = words(tmp_path, old, new)

    # all but what no server tells (fidelity, memory) was asked: speed, likelihoods and forced JSON too
    assert in_process.keys() <= served.keys()
    assert {"test_speed", "test_no_slower_than_the_baseline"} <= served.keys()
    other = differences(in_process, served)
    # it holds calls to a grammar, which mends what the candidate breaks: no call gets worse by it
    calls = {name for name in other if name.startswith(("test_tool[", "test_the_result_of_a_tool"))}
    assert {in_process[name] for name in calls} <= {"regressed"}
    assert len(other - calls) <= _UNCERTAIN * len(in_process), other - calls


def test_llama_cpp_python(tmp_path: Path, in_process: dict[str, str]) -> None:
    pytest.importorskip("uvicorn")
    with llama_cpp_python(F16) as old, llama_cpp_python(PTQ) as new:
        served = words(tmp_path, old, new)

    # it tells no likelihoods of given texts and no times, and takes no thinking switch
    missing = in_process.keys() - served.keys()
    assert missing
    assert all(name.startswith("test_likelier") or "at_once" in name for name in missing)
    other = differences(in_process, served)
    # a JSON schema becomes another grammar by its own converter
    forced = {name for name in other if name.startswith("test_extract_forced[")}
    assert len(other - forced) <= _UNCERTAIN * len(in_process), other - forced
