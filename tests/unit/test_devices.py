"""Which devices a run uses, and who shares them."""

from __future__ import annotations

import subprocess
from typing import Any
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck import device_choice
from pytest_quantcheck.device_choice import auto_workers
from pytest_quantcheck.device_choice import entries_of
from pytest_quantcheck.device_choice import find_devices
from pytest_quantcheck.device_choice import named_or_found
from pytest_quantcheck.device_choice import own_place
from pytest_quantcheck.devices import Device
from pytest_quantcheck.devices import Place
from pytest_quantcheck.devices import places
from pytest_quantcheck.options import WrongValue

ENTRIES = st.lists(st.sampled_from(["", "CUDA0", "CUDA1", "CUDA0+CUDA1", "CPU"]), min_size=1, max_size=5)


@given(ENTRIES, st.integers(1, 8))
def test_workers_are_dealt_the_entries_in_turn(entries: list[str], workers: int) -> None:
    dealt = places(entries, workers)

    assert ["+".join(place.devices) for place in dealt] == [entries[n % len(entries)] for n in range(workers)]
    if workers == 1:
        assert not dealt[0].no_speed
    for place in dealt:
        mine = {*place.devices}
        sharers = [other for other in dealt if not mine or not other.devices or mine & {*other.devices}]
        assert place.sharers == len(sharers)
        assert bool(place.no_speed) == (len(sharers) > 1)


@pytest.mark.parametrize(
    ("entries", "workers", "why"),
    [
        (["CUDA0", "CUDA1"], 2, ""),
        (["CUDA0", "CUDA1"], 3, "2 pytest-xdist workers share CUDA0; run speed tests with -n0"),
        (["CUDA0+CUDA1", "CUDA1"], 2, "2 pytest-xdist workers share CUDA0+CUDA1; run speed tests with -n0"),
        ([""], 4, "4 pytest-xdist workers share this machine; run speed tests with -n0"),
        ([""], 1, ""),
    ],
)
def test_shared_devices_judge_no_speed(entries: list[str], workers: int, why: str) -> None:
    assert places(entries, workers)[0].no_speed == why


class Config:
    """As much of pytest's config as is asked for."""

    def __init__(self, said: dict[str, str], hooked: Any = None) -> None:
        self.stash = pytest.Stash()
        self.inipath = None
        self.hook = self
        self._said = said
        self._hooked = hooked

    def getoption(self, name: str, default: object) -> object:
        return self._said.get(name, default)

    def getini(self, name: str) -> None:
        return None

    def pytest_quantcheck_devices(self, config: Any) -> Any:
        return self._hooked if self._hooked is not None else named_or_found(config)


def config(hooked: Any = None, **said: str) -> pytest.Config:
    return cast("pytest.Config", Config({f"quant_{name}": text for name, text in said.items()}, hooked))


GPU, SECOND, IGPU, CPU, BLAS = (
    Device("CUDA0", "GPU", "NVIDIA X"),
    Device("CUDA1", "GPU", "NVIDIA Y"),
    Device("Vulkan0", "IGPU"),
    Device("CPU", "CPU", "a processor"),
    Device("BLAS", "other"),
)


@pytest.mark.parametrize(
    ("found", "entries"),
    [
        ((GPU, SECOND, CPU), ("CUDA0", "CUDA1")),
        ((IGPU, GPU, CPU), ("CUDA0",)),
        ((BLAS, IGPU, CPU), ("Vulkan0",)),
        ((BLAS, CPU), ("",)),
        ((), ("",)),
    ],
)
def test_without_the_option_every_gpu_is_an_entry(
    monkeypatch: pytest.MonkeyPatch, found: tuple[Device, ...], entries: tuple[str, ...]
) -> None:
    monkeypatch.setattr(device_choice, "find_devices", lambda: found)
    assert entries_of(config()) == entries
    assert own_place(config()) == Place(), "llama.cpp decides where there are no workers"


def test_the_option_is_held_to_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_choice, "find_devices", lambda: (GPU, SECOND, CPU))
    assert entries_of(config(devices="CUDA1,CPU, CUDA0+CUDA1")) == ("CUDA1", "CPU", "CUDA0+CUDA1")
    assert own_place(config(devices="CUDA1,CPU")) == Place(("CUDA1",))
    with pytest.raises(WrongValue) as caught:
        entries_of(config(devices="CUDA0+CUDA7"))
    assert caught.value.option == "devices"
    assert str(caught.value) == (
        "llama.cpp finds no 'CUDA7' here, but CUDA0 (NVIDIA X), CUDA1 (NVIDIA Y), CPU (a processor)"
    )


def test_where_llama_cpp_cannot_be_asked_the_option_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise subprocess.CalledProcessError(1, "x")

    monkeypatch.setattr(subprocess, "run", fail)
    assert find_devices() == ()
    assert entries_of(config(devices="Metal")) == ("Metal",)


@pytest.mark.parametrize("hooked", [[3], ["CUDA0+"], [None]])
def test_a_hook_that_gives_no_names_is_named(hooked: list[Any]) -> None:
    with pytest.raises(WrongValue, match=r"^pytest_quantcheck_devices gave"):
        entries_of(config(hooked=hooked))


def test_the_hook_is_asked_once() -> None:
    given = config(hooked=["a", "b"])
    assert entries_of(given) == ("a", "b")
    vars(given)["_hooked"] = ["c"]
    assert entries_of(given) == ("a", "b")


def test_auto_is_one_worker_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    assert auto_workers(config(hooked=["a", "b", "c"], model="m.gguf")) == 3
    assert auto_workers(config(hooked=["a", "b", "c"])) is None, "no run of ours"
    with pytest.raises(pytest.UsageError, match=r"^--quant-devices: pytest_quantcheck_devices gave"):
        auto_workers(config(hooked=[3], model="m.gguf"))
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "4")
    assert auto_workers(config(hooked=["a", "b", "c"], model="m.gguf")) is None, "the user has said so"
