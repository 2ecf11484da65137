"""A recorded baseline of real models: what llama.cpp's answers, build and conditions make of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
