"""pytest-xdist: whole pairs to one worker, each worker all its baselines first. Imported only with xdist."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.device_choice import entries_of
from pytest_quantcheck.devices import Place
from pytest_quantcheck.devices import places
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.variants import pair_key

# what crosses between controller and workers, by key of workerinput and workeroutput
SHARED_KEY = "quantcheck_shared"
PINS_KEY = "quantcheck_pins"
USE_KEY = "quantcheck_use"
PLACE_KEY = "quantcheck_place"
FILES_KEY = "quantcheck_files"
CACHE_KEY = "quantcheck_cache_failure"


class PairScheduling:
    """Deals units of tests to workers once, before the first test runs.

    A unit is a pair; with ``--dist loadfile`` a file, with ``loadscope`` a module or class. Dealing out one by one, as
    xdist's own schedulers do, would make a worker alternate between the two models. What a crashed worker left undone
    goes to its replacement. Implements ``xdist.scheduler.Scheduling``.
    """

    def __init__(self, config: pytest.Config, workers: int) -> None:
        self._unit = _unit(config.getoption("dist", "load"))
        self._workers = workers
        self._collections: dict[Any, list[str]] = {}
        self._pending: dict[Any, list[int]] = {}
        self._started: set[Any] = set()
        self._orphans: list[list[int]] = []
        self._ids: list[str] = []
        self._dealt = False
        self.collection_is_completed = False

    @property
    def nodes(self) -> list[Any]:
        """The workers that live."""
        return list(self._pending)

    @property
    def tests_finished(self) -> bool:
        """Whether nothing is left to hand out."""
        return self.collection_is_completed and not self._orphans and all(len(p) < 2 for p in self._pending.values())

    @property
    def has_pending(self) -> bool:
        """Whether some worker still has tests to run."""
        return any(self._pending.values())

    def add_node(self, node: Any) -> None:
        """A worker is ready to collect."""
        self._pending[node] = []

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """A worker has collected; a replacement takes over what a dead one left."""
        if not self.collection_is_completed:
            self._collections[node] = list(collection)
            self.collection_is_completed = len(self._collections) >= self._workers
            return
        if list(collection) != self._ids:
            raise pytest.UsageError("a replacement worker collected other tests than the first workers did")
        if self._orphans:
            self._pending[node] = self._orphans.pop(0)

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """A worker finished a test."""
        self._pending[node].remove(item_index)

    def mark_test_pending(self, item: str) -> None:
        """Re-running a single test would part it from its pair."""
        raise NotImplementedError

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        """Nothing is ever stolen from a worker."""
        raise NotImplementedError

    def remove_node(self, node: Any) -> str | None:
        """A worker is gone; returns the test that it died in, if any."""
        pending = self._pending.pop(node)
        self._collections.pop(node, None)  # who dies before the deal gets no hand
        self._started.discard(node)
        if not pending:
            return None
        crashed, *rest = pending
        if rest:
            self._orphans.append(rest)
        return self._ids[crashed]

    def schedule(self) -> None:
        """Deal everything out, or start a replacement."""
        if not self._dealt:
            self._dealt = True
            first, *others = self._collections.values()
            if any(other != first for other in others):
                raise pytest.UsageError("the workers collected different tests; collection must not depend on chance")
            self._ids = first
            # not in the order in which they happened to be ready: the same command deals the same hands
            nodes = sorted(self._collections, key=lambda node: node.workerinput.get("workerid", ""))
            for node, indices in zip(nodes, self._deal(), strict=True):
                self._pending[node] = indices
        for node, pending in self._pending.items():
            if node not in self._started:
                self._started.add(node)
                if pending:
                    node.send_runtest_some(pending)
                node.shutdown()  # after the last of these: without this a worker holds its last test back

    def _deal(self) -> list[list[int]]:
        units: dict[str, list[int]] = {}
        for index, nodeid in enumerate(self._ids):
            units.setdefault(self._unit(nodeid), []).append(index)
        hands: list[list[int]] = [[] for _ in self._collections]
        for number, unit in enumerate(units.values()):
            hands[number % len(hands)] += unit
        # collection order is baseline first
        return [sorted(hand) for hand in hands]


def _unit(mode: str) -> Callable[[str], str]:
    if mode == "loadfile":
        return lambda nodeid: nodeid.split("::", 1)[0]
    if mode == "loadscope":
        return _scope
    return pair_key


def _scope(nodeid: str) -> str:
    path, _, rest = nodeid.partition("::")
    return "::".join([path, *rest.partition("[")[0].split("::")[:-1]])


def worker_places(config: pytest.Config) -> tuple[Place, ...]:
    """Where each worker of the run is to run; nothing without workers."""
    workers = _workers(config)
    return places(entries_of(config), workers) if workers else ()


def _workers(config: pytest.Config) -> int:
    """How many there are at a time."""
    from xdist.workermanage import parse_tx_spec_config

    return len(parse_tx_spec_config(config)) if config.option.tx else 0


class Distribution:
    """The controller's side: scheduling, the shared directory, devices, and what the workers report at their end.

    :param deal: gives each worker's place.
    """

    def __init__(self, ledger: Ledger, deal: Callable[[], Sequence[Place]]) -> None:
        self._ledger = ledger
        self._deal = deal
        self._shared: Path | None = None
        self._taken: dict[Any, int] = {}
        self._left: list[int] = []  # places whose workers are gone, the last one last
        self._ids: Sequence[str] = ()

    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> PairScheduling | None:
        """Ours, whatever ``--dist`` says, except 'each', which runs everything everywhere."""
        if config.getoption("dist", "no") == "each":
            return None
        return PairScheduling(config, _workers(config))

    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where baseline observations are shared, and what both sides are held to."""
        if self._shared is None:
            self._shared = Path(tempfile.mkdtemp(prefix="quantcheck-"))
        node.workerinput[SHARED_KEY] = str(self._shared)
        node.workerinput[PINS_KEY] = self._ledger.pins.to_payload()
        node.workerinput[FILES_KEY] = self._ledger.file_states
        node.workerinput[PLACE_KEY] = self._place(node).to_payload()

    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """A worker has collected; all of them collect the same."""
        self._ids = ids

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """The reports are about to be made."""
        self._ledger.arrange(self._ids)

    def pytest_testnodedown(self, node: Any) -> None:
        """A worker ended; one that crashed has nothing to say. Its place is free for the one that replaces it."""
        if node in self._taken:
            self._left.append(self._taken.pop(node))
        output = getattr(node, "workeroutput", None) or {}
        if USE_KEY in output:
            self._ledger.add_use(output[USE_KEY])
        self._ledger.cache_failure = self._ledger.cache_failure or output.get(CACHE_KEY, "")
        if PINS_KEY in output:  # with the context that the collected tests declare
            self._ledger.pins = Pins.from_payload(output[PINS_KEY])

    def pytest_report_header(self) -> list[str]:
        """How many workers there are, and where each of them runs."""
        if not self._ledger.cards or not self._places:
            return []
        where = ", ".join(dict.fromkeys(place.words for place in self._places))
        shared = " (shared: no speed is judged)" if any(place.no_speed for place in self._places) else ""
        workers = len(self._places)
        return [f"quantcheck: {workers} worker{'s' * (workers > 1)} on {where}{shared}"]

    @cached_property
    def _places(self) -> Sequence[Place]:
        return self._deal()

    def _place(self, node: Any) -> Place:
        """That of the worker which was the last to go, for a dead one is replaced at once; else a new one."""
        self._taken[node] = number = self._left.pop() if self._left else len(self._taken)
        return self._places[number % len(self._places)]

    def pytest_unconfigure(self) -> None:
        """Remove the shared directory."""
        if self._shared is not None:
            shutil.rmtree(self._shared, ignore_errors=True)
