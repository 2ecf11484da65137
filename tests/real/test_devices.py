"""llama.cpp's devices, as far as every machine has one: its processor."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_quantcheck.device_choice import find_devices
from pytest_quantcheck.devices import CPU
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.records import Reply
from tests import ggufs

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ggufs.write_random_llama(tmp_path_factory.mktemp("a") / "a.gguf")


def answer(model: Path, settings: LoadSettings) -> Reply:
    engine = ProcessEngine(model, settings)
    try:
        return engine.complete(CompletionRequest("Hello", Generation(max_tokens=8)))
    finally:
        engine.close()


def test_llama_cpp_names_the_processor() -> None:
    [cpu] = [device for device in find_devices() if device.kind == CPU]
    assert cpu.name == CPU


def test_a_model_runs_on_the_device_that_is_named(model: Path) -> None:
    named = answer(model, LoadSettings(context=64, devices=(CPU,)))
    assert named.text == answer(model, LoadSettings(context=64, gpu_layers=0)).text
    assert named.usage.total == 8


def test_a_device_that_is_not_there_is_refused_by_name(model: Path) -> None:
    with pytest.raises(EngineRefused, match=r"llama.cpp finds no device 'CUDA77' here, but .*CPU"):
        answer(model, LoadSettings(context=64, devices=(CPU, "CUDA77")))
