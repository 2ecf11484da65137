"""How fast this machine's memory copies. Run as a program: ``python -m pytest_quantcheck.engines.bandwidth THREADS``.

A process of its own, so that its blocks do not count as memory of an engine or of pytest.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_BLOCK: Final = 64 << 20
"""Bytes that one thread copies at a time: beyond any cache."""
_ROUNDS: Final = 4
_PATIENCE: Final = 60.0


def copy_bandwidth(threads: int) -> float | None:
    """Bytes read and written a second by so many threads, the best of a few rounds; None when it cannot be measured."""
    command = [sys.executable, "-P", "-m", "pytest_quantcheck.engines.bandwidth", str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
        return float(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _measure(threads: int) -> float:
    import numpy as np

    # NumPy lets other threads run while it copies
    pairs = [(np.ones(_BLOCK, np.uint8), np.zeros(_BLOCK, np.uint8)) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            best = max(best, 2 * _BLOCK * threads / (time.perf_counter() - start))
    return best


if __name__ == "__main__":
    print(_measure(int(sys.argv[1])))
