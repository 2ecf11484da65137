"""What the machine did while speeds were measured: heat, clocks, quotas, other load. As far as Linux tells."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WAITING: Final = 0.10
"""An engine that waits for a core longer than this share of its time was held up by other load."""
STOPPED: Final = 0.02
"""A quota that stops the processes for more than this share of the time was felt."""
SLOWEST_CLOCK: Final = 0.8
"""A clock that falls below this share of the highest one seen was throttled."""

_NANO: Final = 1e-9
_MICRO: Final = 1e-6


class Watch:
    """Looks at the machine around every measurement; what it cannot read it says nothing of.

    :param root: the directory that holds /proc and /sys.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc, self._sys = root / "proc", root / "sys"
        self._begun = time.monotonic()
        self._throttles = self._throttle_count()
        self._stopped = self._quota_seconds()
        self._ran = self._waited = 0.0
        self._measured_here = False
        self._clocks: list[float] = []
        self._load = _load_average()

    @contextmanager
    def measuring(self, process: Callable[[], int | None]) -> Iterator[None]:
        """Around one measurement; ``process`` says which one does it, None while that is not running."""
        before = process()
        ran, waited = self._scheduled(before)
        yield
        after = process()
        self._measured_here |= after is not None
        ran_now, waited_now = self._scheduled(after)
        is_same = after == before
        self._ran += ran_now - ran * is_same
        self._waited += waited_now - waited * is_same
        clock = self._clock()
        if clock:
            self._clocks.append(clock)

    def warnings(self) -> tuple[str, ...]:
        """What forbids to trust the measurements so far, in words; () where no process of this machine measured."""
        if not self._measured_here:
            return ()
        found = []
        throttles = self._throttle_count() - self._throttles
        if throttles > 0:
            found.append(f"the processor throttled itself for heat ({throttles} times)")
        elapsed = time.monotonic() - self._begun
        stopped = (self._quota_seconds() - self._stopped) / elapsed if elapsed > 0 else 0.0
        if stopped > STOPPED:
            found.append(f"the CPU quota of this container stopped the processes for {100 * stopped:.0f} % of the time")
        if self._clocks and min(self._clocks) < SLOWEST_CLOCK * max(self._clocks):
            slowest, fastest = min(self._clocks) / 1e6, max(self._clocks) / 1e6
            found.append(f"the processor's clock fell from {fastest:.1f} to {slowest:.1f} GHz")
        total = self._ran + self._waited
        if total > 0:
            if self._waited > WAITING * total:
                share = 100 * self._waited / total
                found.append(f"other load: the engines waited for a free core for {share:.0f} % of their time")
        elif self._load > (os.cpu_count() or 1):
            found.append(f"other load: a load average of {self._load:.1f} on {os.cpu_count()} cores before the start")
        return tuple(found)

    def _scheduled(self, process: int | None) -> tuple[float, float]:
        """Seconds that all threads of a process ran, and that they were ready and waited for a core."""
        ran = waited = 0.0
        if process is not None:
            for path in (self._proc / str(process) / "task").glob("*/schedstat"):
                numbers = _text(path).split()
                if len(numbers) >= 2:
                    ran += int(numbers[0]) * _NANO
                    waited += int(numbers[1]) * _NANO
        return ran, waited

    def _throttle_count(self) -> int:
        paths = (self._sys / "devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/*_throttle_count")
        return sum(int(text) for path in paths if (text := _text(path).strip()).isdigit())

    def _quota_seconds(self) -> float:
        for line in _text(self._sys / "fs/cgroup/cpu.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == "throttled_usec" and value.strip().isdigit():
                return int(value) * _MICRO
        return 0.0

    def _clock(self) -> float:
        """The fastest core's clock in kHz; 0 where nobody tells."""
        paths = (self._sys / "devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
        return max((float(text) for path in paths if (text := _text(path).strip()).isdigit()), default=0.0)


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that processes can still take without swapping; None where nobody tells."""
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _load_average() -> float:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # not on Windows
        return 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
