"""Memory through real llama.cpp: estimates against its own account, release without a leak, whole runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.memory import Memory
from tests.memory_ggufs import CASES
from tests.memory_ggufs import Case
from tests.real.loads import accounts
from tests.real.loads import loads

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

TINY = Path(__file__).parents[2] / "example_suites" / "tiny" / "models"
MIB = 1 << 20
ROUNDING = 0.005 * MIB
"""llama.cpp prints two decimals of MiB."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Memory]:
    return accounts(tmp_path_factory.mktemp("memory"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_the_estimate_is_within_three_percent_of_what_llama_cpp_reports(case: Case, found: dict[Case, Memory]) -> None:
    memory = found[case]
    assert memory.measured is not None
    assert memory.context == memory.measured_context
    if memory.estimate.repacked is None and memory.measured.repacked:
        pytest.skip(memory.notes[0])
    assert memory.estimate.repacked is None or memory.notes == ()

    for part, lines in (("weights", 2), ("kv", 2), ("compute", 1), ("output", 1)):
        expected, reported = getattr(memory.estimate, part), getattr(memory.measured, part)
        assert expected == pytest.approx(reported, rel=0.03, abs=lines * ROUNDING), part
    assert memory.estimate.total == pytest.approx(memory.measured.total, rel=0.03)
    assert memory.measured.total > MIB, "two decimals of MiB would hide 3 %"


def test_what_is_not_full_attention_is_cheaper(found: dict[Case, Memory]) -> None:
    """That these models would show it if windows and shared caches were ignored."""
    full = 8192 * 2 * 2 * 128
    sliding, shared = found["sliding", 8192, "f16"].measured, found["per-layer", 8192, "f16"].measured
    assert sliding is not None
    assert shared is not None
    assert sliding.kv is not None
    assert shared.kv is not None

    assert sliding.kv < 6 * full / 2
    assert shared.kv < 6 * full / 2


def test_a_model_of_experts_is_held_whole(found: dict[Case, Memory]) -> None:
    measured, used = found["moe", 1000, "f16"].measured, 2 / 8
    assert measured is not None

    experts = 2 * 3 * 8 * 256 * 256 * 2
    assert measured.weights > experts > measured.weights * used


# --- the engine ---------------------------------------------------------------------------------------------------


def test_the_engine_says_what_loading_took_and_which_context_fits_and_is_gone_when_closed() -> None:
    engine = ProcessEngine(TINY / "tiny-q4_0.gguf", LoadSettings(context=1000))
    try:
        memory = engine.memory(MemoryRequest(budget=12_000_000))
        other = engine.memory(MemoryRequest(context=2048, budget=10**12))
        fitting = engine.memory(MemoryRequest(context=memory.largest_context))
        more = engine.memory(MemoryRequest(context=(memory.largest_context or 0) + 1))
        poor = engine.memory(MemoryRequest(budget=1_000_000))
        pid: Any = engine.pid
    finally:
        engine.close()

    assert memory.measured is not None
    assert (memory.context, memory.measured_context, memory.mapped) == (1024, 1024, True)
    assert memory.devices is not None
    assert sum(one.total for one in memory.devices.values()) == memory.measured.total
    assert memory.peak is not None
    assert memory.peak > memory.measured.weights
    # another context is an estimate; what was loaded stays what it was
    assert (other.context, other.measured, other.figures) == (2048, memory.measured, other.estimate)
    assert other.largest_context == other.trained_context == 8192
    # the largest that fits does, and the next one does not
    assert memory.largest_context in range(256, 8192, 256)
    assert fitting.estimate.total <= 12_000_000 < more.estimate.total
    assert poor.largest_context == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux tells what a process holds")
def test_the_process_tells_what_it_holds(found: dict[Case, Memory]) -> None:
    memory = found["tiny-f16", None, "f16"]
    assert memory.resident is not None
    assert memory.resident_file is not None
    assert memory.peak is not None

    assert 0 < memory.resident_file < memory.resident <= memory.peak


class Devices:
    """Plays ggml's list of devices: a processor, a graphics card and an accelerator."""

    def __init__(self, free: int) -> None:
        self.free = free

    def ggml_backend_dev_count(self) -> int:
        return 3

    def ggml_backend_dev_get(self, number: int) -> int:
        return number

    def ggml_backend_dev_name(self, device: int) -> bytes:
        return (b"CPU", b"CUDA0", b"BLAS")[device]

    def ggml_backend_dev_type(self, device: int) -> int:
        return (0, 1, 3)[device]

    def ggml_backend_dev_memory(self, device: int, free: Any, total: Any) -> None:
        free._obj.value, total._obj.value = self.free + device, 24 << 30

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        # ctypes functions take attributes, methods do not
        return (lambda *given: value(*given)) if name.startswith("ggml") else value


def test_what_is_gone_from_a_graphics_card_is_told_and_a_processor_is_not_asked() -> None:
    from pytest_quantcheck.engines.buffers import BufferLog
    from pytest_quantcheck.engines.memory import Footprint
    from pytest_quantcheck.engines.memory import free_memory

    devices = Devices(10**9)
    assert free_memory(devices) == {"CUDA0": 10**9 + 1}
    footprint = Footprint(devices)
    devices.free = 4 * 10**8
    footprint.loaded(BufferLog(), 256)
    assert footprint.measured()["device_taken"] == {"CUDA0": 6 * 10**8}
    assert free_memory(object()) == {}
    assert all(free > 0 for free in free_memory().values())


def test_nvml_counts_what_is_ours_and_its_absence_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_quantcheck.engines.memory import video_memory

    running = [SimpleNamespace(pid=os.getpid(), usedGpuMemory=700), SimpleNamespace(pid=1, usedGpuMemory=5)]
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetComputeRunningProcesses=lambda _handle: running,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert video_memory() == 1400
    del running[0]
    assert video_memory() is None
    nvml.nvmlInit = lambda: 1 / 0
    assert video_memory() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert video_memory() is None


# --- release ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux tells what a process holds")
def test_a_model_that_was_given_back_leaves_nothing_behind() -> None:
    """Ten leaks of a context would show as 130 MiB, ten of a model as 30."""
    model = TINY / "tiny-q8_0.gguf"
    held = [one["resident"] for one in loads([(model, LoadSettings(context=4096))] * 14, sizes=False)]

    # the first loads warm the allocator up
    assert held[-1] - held[3] < 12 * MIB, [size / MIB for size in held]


def test_a_graphics_device_has_its_memory_back() -> None:
    from pytest_quantcheck.engines.memory import free_memory

    before = free_memory()
    if not before:
        pytest.skip("no graphics device tells what is free")
    engine = ProcessEngine(TINY / "tiny-q8_0.gguf", LoadSettings())
    engine.memory(MemoryRequest())

    engine.close()

    after = free_memory()
    assert all(after[name] > free - 64 * MIB for name, free in before.items()), (before, after)
