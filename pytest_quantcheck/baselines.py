"""Where a candidate's test finds the baseline's observation: this process, the run's shared directory, a snapshot."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_quantcheck.files import write_atomically
from pytest_quantcheck.record import encode
from pytest_quantcheck.records import Observation

if TYPE_CHECKING:
    from pytest_quantcheck.snapshots import Snapshots


class Baselines:
    """Baseline observations by pair: what this run observed, or what an earlier one recorded.

    :param shared: a directory that all workers of one run see, or None. A worker that replaces a crashed one finds
        there what the dead one had observed.
    :param snapshots: where this run's baseline is recorded; None when there is a live one, or none.
    """

    def __init__(self, shared: Path | None = None, snapshots: Snapshots | None = None) -> None:
        self._live: dict[str, Observation] = {}
        self._shared = shared
        self.snapshots = snapshots

    def put(self, observation: Observation) -> None:
        """Keep an observation for its candidate half, which this process runs itself unless it dies."""
        self._live[observation.pair] = observation
        if self._shared is None:
            return
        with contextlib.suppress(OSError):  # on a full disk only a replaced worker has nothing to compare with
            write_atomically(self._path(self._shared, observation.pair), encode(observation))

    def get(self, pair: str) -> Observation | None:
        """The baseline's observation of ``pair``, None when there is none."""
        if pair not in self._live and self._shared is not None:
            path = self._path(self._shared, pair)
            if path.exists():
                self._live[pair] = Observation.from_payload(json.loads(path.read_text(encoding="ascii")))
        return self._live.get(pair)

    def find(self, item: pytest.Item, pair: str) -> Observation | None:
        """The baseline's half of a candidate's test; None when this run has no baseline for it.

        :raises SnapshotError: when baselines are recorded, and this test's is missing or cannot be used.
        """
        if self.snapshots is not None:
            return self.snapshots.recall(item)
        return self.get(pair)

    @staticmethod
    def _path(directory: Path, pair: str) -> Path:
        return directory / f"{hashlib.sha256(pair.encode('utf-8', 'surrogatepass')).hexdigest()}.json"
