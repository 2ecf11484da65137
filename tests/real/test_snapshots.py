"""A recorded baseline of real models: what llama.cpp's answers, build and conditions make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

from pytest_quantcheck import distributions

# a run inside this process forgets what it imported, and numpy cannot be imported twice
_NEVER_FORGOTTEN = (numpy, distributions)
MODELS = Path(__file__).parents[2] / "example_suites" / "tiny" / "models"
SUITE = """
def test_sum(quant):
    assert quant.chat("What is 27 + 45?", max_tokens=64).usage.total

def test_likelihood(quant):
    assert len(quant.choose("What is the capital of Peru?", ["Lima", "Quito"]).choices) == 2
"""


def test_a_recorded_file_is_compared_with_others(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # for syrupy this run would be a worker of ours
    pytester.makepyfile(test_it=SUITE)
    common = ("-p", "no:randomly", "--quant-report=report.json")

    recorded = pytester.runpytest(*common, f"--quant-model={MODELS / 'tiny-f16.gguf'}", "--snapshot-update")
    assert recorded.ret == 0
    found = json.loads((pytester.path / "quant_snapshots" / "baseline.json").read_text(encoding="utf-8"))
    assert found["model"]["path"] == "tiny-f16.gguf"
    assert "llama.cpp" in found["conditions"]["build"]
    said = {}
    for name in ("tiny-f16", "tiny-q4_0"):
        checked = pytester.runpytest(*common, f"--quant-model={MODELS / name}.gguf")
        report = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))
        rows = {difference["row"]: difference["level"] for difference in report["verdict"]["differences"]}
        said[name] = (int(checked.ret), report["kind"], report["same_content"], "blocks" in rows.values())

    assert said == {"tiny-f16": (0, "no-loss", True, False), "tiny-q4_0": (0, "no-loss", False, False)}


FIDELITY = """
import pytest

# what a text that these models find absurd is like in perplexity says nothing
@pytest.mark.quant_fidelity(perplexity_margin=9)
def test_text(quant):
    quant.fidelity("the total of the red number is on the name and for the owl. " * 80, name="story", window=48)

@pytest.mark.quant_fidelity(parts=["answer"], kl=0.5, perplexity_margin=9)
def test_talks(quant):
    quant.fidelity(
        [
            [{"role": "user", "content": f"What is {n} + 4?"}, {"role": "assistant", "content": f"{n + 4}"}]
            for n in range(24)
        ],
        name="sums",
    )
"""
Runner = Callable[..., dict[str, Any]]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makepyfile(test_it=FIDELITY)

    def run(model: str, *args: str, **files: str) -> dict[str, Any]:
        named = [f"--quant-{option}={MODELS / file}.gguf" for option, file in ({"model": model} | files).items()]
        done = pytester.runpytest("-p", "no:randomly", "--quant-report=report.json", *named, *args)
        report: dict[str, Any] = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))
        return report | {"ret": int(done.ret), "out": done.stdout.str()}

    return run


def judged(report: dict[str, Any]) -> list[Any]:
    said = [report[name] for name in ("ret", "kind", "same_content")]
    said += [report["verdict"][name] for name in ("sentence", "next_step", "instruments", "markers")]
    return said + [(pair["pair"], pair["verdict"], pair["candidate"]["fidelities"]) for pair in report["pairs"]]


def test_without_the_reference_s_file_figures_and_verdicts_are_those_of_a_live_run(
    run: Runner, pytester: pytest.Pytester
) -> None:
    for baseline, candidate, kind in (
        ("tiny-qat-q4_0", "tiny-q4_0", "regression"),
        ("tiny-q4_0", "tiny-q8_0", "no-loss"),
    ):
        live = run(candidate, baseline=baseline, reference="tiny-f16")
        recorded = run(baseline, "--snapshot-update", "--quant-record", reference="tiny-f16")
        # nothing is left of the reference but what is committed
        checked = run(candidate, "--cache-clear")

        assert recorded["kind"] == "recorded"
        assert judged(checked) == judged(live)
        assert live["kind"] == kind, live["out"]
        assert list(checked["references"][0]["models"]) == ["tiny-f16.gguf"]
        assert checked["roles"]["candidate"]["use"]["loads"] >= 1
        assert "reference" not in checked["roles"]

    # in the middle of the records, which only their CRC watches
    [store] = (pytester.path / "quant_snapshots" / "distributions").glob("story-*.logp")
    data = bytearray(store.read_bytes())
    data[len(data) // 2] ^= 1
    store.write_bytes(data)
    damaged = run("tiny-q8_0")

    assert (damaged["ret"], damaged["kind"]) == (1, "stale")
    assert [pair["verdict"]["snapshot"] for pair in damaged["pairs"]] == ["unreadable", ""]
    assert ".logp: is damaged: its records are not what was written; record it: pytest --quant-model" in damaged["out"]
