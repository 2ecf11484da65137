"""What the watch says of a machine, on a made-up /proc and /sys."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pytest_quantcheck.machine import Watch
from pytest_quantcheck.machine import available_memory


class Box:
    """A machine's files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = 1000.0

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")

    def threads(self, process: int, *times: tuple[float, float]) -> None:
        """Seconds that each thread ran and waited."""
        for number, (ran, waited) in enumerate(times):
            self.write(f"proc/{process}/task/{number}/schedstat", f"{int(ran * 1e9)} {int(waited * 1e9)} 7\n")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    made = Box(tmp_path)
    monkeypatch.setattr(time, "monotonic", lambda: made.clock)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0.1, 0.1))
    return made


def watched(box: Box) -> Watch:
    """A watch that saw a process of this machine measure something."""
    watch = Watch(box.root)
    with watch.measuring(lambda: 5):
        pass
    return watch


def test_what_another_machine_measures_is_not_suspected(box: Box) -> None:
    box.write("sys/fs/cgroup/cpu.stat", "throttled_usec 0\n")
    watch = Watch(box.root)
    with watch.measuring(lambda: None):
        box.write("sys/fs/cgroup/cpu.stat", "throttled_usec 99000000\n")
    box.clock += 100
    assert watch.warnings() == ()


def test_a_machine_that_tells_nothing_is_not_suspected(box: Box) -> None:
    watch = Watch(box.root)
    with watch.measuring(lambda: 5):
        pass
    assert watch.warnings() == ()


@pytest.mark.parametrize(("waited", "warned"), [(1.0, False), (1.3, True)])
def test_waiting_for_a_core(box: Box, waited: float, warned: bool) -> None:
    box.threads(5, (100.0, 90.0), (50.0, 40.0))  # before the duel: nobody's business
    watch = Watch(box.root)
    with watch.measuring(lambda: 5):
        box.threads(5, (106.0, 90.0 + waited), (54.0, 40.0))

    said = ("other load: the engines waited for a free core for 12 % of their time",) if warned else ()
    assert watch.warnings() == said


def test_a_process_that_starts_meanwhile_counts_from_its_start(box: Box) -> None:
    processes = [None, 6]
    watch = Watch(box.root)
    with watch.measuring(lambda: processes.pop(0)):
        box.threads(6, (5.0, 5.0))
    assert watch.warnings() == ("other load: the engines waited for a free core for 50 % of their time",)


def test_heat(box: Box) -> None:
    path = "sys/devices/system/cpu/cpu{}/thermal_throttle/{}_throttle_count"
    box.write(path.format(0, "core"), "3\n")
    box.write(path.format(1, "package"), "9\n")
    watch = watched(box)
    assert watch.warnings() == ()
    box.write(path.format(1, "package"), "11\n")
    assert watch.warnings() == ("the processor throttled itself for heat (2 times)",)


def test_a_quota(box: Box) -> None:
    box.write("sys/fs/cgroup/cpu.stat", "usage_usec 5\nthrottled_usec 1000000\n")
    watch = watched(box)
    box.clock += 100
    box.write("sys/fs/cgroup/cpu.stat", "usage_usec 5\nthrottled_usec 2900000\n")
    assert watch.warnings() == ()
    box.write("sys/fs/cgroup/cpu.stat", "usage_usec 5\nthrottled_usec 6000000\n")
    assert watch.warnings() == ("the CPU quota of this container stopped the processes for 5 % of the time",)


def test_the_clock(box: Box) -> None:
    path = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"
    watch = Watch(box.root)
    for fastest in (3_000_000, 2_500_000, 2_300_000):
        assert watch.warnings() == ()
        with watch.measuring(lambda: 5):
            box.write(path.format(0), "800000\n")
            box.write(path.format(1), f"{fastest}\n")
    assert watch.warnings() == ("the processor's clock fell from 3.0 to 2.3 GHz",)


def test_the_load_average_where_nothing_better_is_known(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (5.5, 1.0, 1.0))
    assert Watch(box.root).warnings() == ()
    watch = watched(box)
    assert watch.warnings() == ("other load: a load average of 5.5 on 4 cores before the start",)
    # waiting times say more: what the load was waiting for need not be a core
    box.threads(5, (0.0, 0.0))
    with watch.measuring(lambda: 5):
        box.threads(5, (1.0, 0.0))
    assert watch.warnings() == ()


def test_available_memory(box: Box) -> None:
    assert available_memory(box.root) is None
    box.write("proc/meminfo", "MemTotal:  100 kB\nMemAvailable:   77 kB\n")
    assert available_memory(box.root) == 77 * 1024
