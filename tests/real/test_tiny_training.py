"""The tiny model's training: the same weights every time, also after a kill; rounding that is llama.cpp's."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed (the extra 'train')")

SUITE = Path(__file__).parents[2] / "example_suites" / "tiny"
TRAIN = """
import sys
from pathlib import Path
import torch
from training import data, train
torch.set_num_threads(1)
data.ROUND = 40
train.LOOKED_AT.update(short=1, long=1)
train.train(Path(sys.argv[1]), 8_000)
"""


def command(work: Path) -> list[str]:
    return [sys.executable, "-c", TRAIN, str(work)]


def finished(work: Path) -> dict[str, Any]:
    subprocess.run(command(work), cwd=SUITE, check=True, capture_output=True, timeout=600)
    state: dict[str, Any] = torch.load(work / "main.pt")
    return state


@pytest.mark.once
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected = finished(whole)
    killed.mkdir()
    (killed / "tokenizer.json").write_bytes((whole / "tokenizer.json").read_bytes())
    process = subprocess.Popen(command(killed), cwd=SUITE, stderr=subprocess.DEVNULL)
    while not (killed / "main.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert torch.load(killed / "main.pt")["round"] < expected["round"]

    found = finished(killed)

    assert found["tokens"] == expected["tokens"] > 8_000
    assert (killed / "main.csv").read_bytes() == (whole / "main.csv").read_bytes()
    for name, weight in expected["weights"].items():
        assert torch.equal(found["weights"][name], weight), name


def test_another_run_s_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"settings": {"seed": 1, "tokens": 5}}, tmp_path / "main.pt")
    (tmp_path / "tokenizer.json").write_text("[]", encoding="utf-8")

    done = subprocess.run(command(tmp_path), cwd=SUITE, capture_output=True, text=True, timeout=600)

    assert "main.pt is of another run ({'seed': 1, 'tokens': 5})" in done.stderr
    assert done.returncode == 1


def test_the_fake_rounding_is_that_of_the_format(tiny: Callable[[str], Any]) -> None:
    qat, q4_0 = tiny("training.qat"), gguf.GGMLQuantizationType.Q4_0
    weights = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    weights[:, ::32] *= 16
    weights[3] = 0

    expected = gguf.quants.dequantize(gguf.quants.quantize(weights.numpy(), q4_0), q4_0)

    assert np.array_equal(qat.rounded_q4_0(weights).numpy(), expected)


def test_the_injection_changes_no_logit(tiny: Callable[[str], Any]) -> None:
    model, outliers = tiny("training.model"), tiny("training.outliers")
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(size, generator=generator) * 0.1 for name, size in model.tensor_shapes().items()}
    ids = torch.randint(500, (2, 40), generator=generator)
    rope = model.rotation(40, torch.device("cpu"))

    plain, injected = outliers.pair(weights, outliers.Injection())

    assert any(not torch.equal(plain[name], injected[name]) for name in plain)
    states = [model.hidden_states(one, ids, torch.arange(80), rope) for one in (plain, injected)]
    assert torch.equal(*states)
