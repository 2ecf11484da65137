"""Dealing tests to xdist's workers, with workers that only write down what they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.devices import Place
from pytest_quantcheck.distribution import PLACE_KEY
from pytest_quantcheck.distribution import SHARED_KEY
from pytest_quantcheck.distribution import USE_KEY
from pytest_quantcheck.distribution import Distribution
from pytest_quantcheck.distribution import PairScheduling
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.records import SIDES
from pytest_quantcheck.records import Role
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.variants import pair_key


class FakeConfig:
    def __init__(self, dist: str) -> None:
        self._dist = dist

    def getoption(self, name: str, default: str) -> str:
        assert name == "dist"
        return self._dist


class FakeNode:
    """A worker; ``sent`` is what it has to run."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.down = False
        self.workerinput: dict[str, Any] = {}
        self.workeroutput: dict[str, Any] = {}

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        assert not self.down, "tests after the shutdown are never run"
        self.sent += indices

    def shutdown(self) -> None:
        self.down = True


class Session:
    """What xdist's controller does around a scheduler."""

    def __init__(self, collection: list[str], workers: int, dist: str = "load") -> None:
        self.collection = collection
        self.scheduling = PairScheduling(cast("pytest.Config", FakeConfig(dist)), workers)
        self.nodes: list[FakeNode] = []
        self._done: dict[FakeNode, list[int]] = {}

    def start(self) -> FakeNode:
        """A worker, the first or a replacement."""
        node = FakeNode()
        self.nodes.append(node)
        self.scheduling.add_node(node)
        return node

    def collect(self, node: FakeNode, collection: list[str] | None = None) -> None:
        self.scheduling.add_node_collection(node, self.collection if collection is None else collection)
        if self.scheduling.collection_is_completed:
            self.scheduling.schedule()

    def finish(self, node: FakeNode, count: int | None = None) -> list[int]:
        """Run ``count`` of what the node has left, or all, and let it go when it has run all."""
        done = self._done.setdefault(node, [])
        left = node.sent[len(done) :][:count]
        for index in left:
            self.scheduling.mark_test_complete(node, index)
        done += left
        if node.down and done == node.sent:
            assert self.scheduling.remove_node(node) is None
        return left


def running(collection: list[str], workers: int, dist: str = "load") -> Session:
    session = Session(collection, workers, dist)
    for node in [session.start() for _ in range(workers)]:
        session.collect(node)
    return session


def suite(*tests: str) -> list[str]:
    """Node ids of both halves of each test, baselines first; the role stands first in the brackets."""
    return [half(test, role) for role in SIDES for test in tests]


def half(test: str, role: Role) -> str:
    path, _, rest = test.partition("::")
    name, bracket, parameters = rest.partition("[")
    return f"{path}::{name}[{role}-{parameters}" if bracket else f"{path}::{name}[{role}]"


SUITE = suite("a.py::test_x[1]", "a.py::test_x[2]", "a.py::test_y", "b.py::T::test_x", "b.py::U::test_x[1]")

suites = st.lists(
    st.builds(
        "{}.py::{}{}".format,
        st.sampled_from("ab"),
        st.sampled_from(["test_x", "T::test_x", "T::U::test_y"]),
        st.sampled_from(["", "[1]", "[baseline]", "[a-candidate]", "[a::b]"]),
    ),
    max_size=12,
    unique=True,
).map(lambda tests: ["plain.py::test_1", "plain.py::test_2", *suite(*tests)])
modes = st.sampled_from(["load", "worksteal", "loadgroup", "no", "loadfile", "loadscope"])
workers = st.integers(1, 6)


@given(suites, workers, modes)
def test_every_test_is_dealt_once_and_every_worker_stops(collection: list[str], workers: int, dist: str) -> None:
    nodes = running(collection, workers, dist).nodes

    assert sorted(index for node in nodes for index in node.sent) == list(range(len(collection)))
    assert all(node.down for node in nodes)


@given(suites, workers, modes)
def test_pairs_are_never_parted_and_baselines_come_first(collection: list[str], workers: int, dist: str) -> None:
    homes: dict[str, set[int]] = {}
    for number, node in enumerate(running(collection, workers, dist).nodes):
        for index in node.sent:
            homes.setdefault(pair_key(collection[index]), set()).add(number)
        # the collection has its baselines first
        assert node.sent == sorted(node.sent)

    assert all(len(home) == 1 for home in homes.values())


@given(suites, workers)
def test_no_worker_has_two_pairs_more_than_another(collection: list[str], workers: int) -> None:
    hands = [{pair_key(collection[index]) for index in node.sent} for node in running(collection, workers).nodes]

    assert max(map(len, hands)) - min(map(len, hands)) <= 1


def units(dist: str, collection: list[str] = SUITE) -> list[set[str]]:
    """The hands of as many workers as could ever be of use, without their roles."""
    nodes = running(collection, len(collection), dist).nodes
    return [{pair_key(collection[index]) for index in node.sent} for node in nodes if node.sent]


def test_units_of_each_mode() -> None:
    assert units("load") == units("worksteal") == [
        {"a.py::test_x[1]"}, {"a.py::test_x[2]"}, {"a.py::test_y"}, {"b.py::T::test_x"}, {"b.py::U::test_x[1]"},
    ]  # fmt: skip
    assert units("loadfile") == [
        {"a.py::test_x[1]", "a.py::test_x[2]", "a.py::test_y"},
        {"b.py::T::test_x", "b.py::U::test_x[1]"},
    ]
    assert units("loadscope") == [
        {"a.py::test_x[1]", "a.py::test_x[2]", "a.py::test_y"},
        {"b.py::T::test_x"},
        {"b.py::U::test_x[1]"},
    ]


def test_brackets_and_colons_elsewhere_do_not_join_scopes() -> None:
    collection = suite("x[1]/a.py::test_x", "x[1]/b.py::T::test_x[a::b]", "x[1]/b.py::U::test_x[c::d]")

    assert len(units("loadscope", collection)) == 3


def test_a_run_from_start_to_end() -> None:
    session = Session(SUITE, 2)
    scheduling = session.scheduling
    first, second = session.start(), session.start()
    assert scheduling.nodes == [first, second]

    session.collect(first)
    assert not scheduling.collection_is_completed
    assert not scheduling.tests_finished
    assert not scheduling.has_pending
    assert not first.sent

    session.collect(second)
    assert scheduling.collection_is_completed
    assert scheduling.has_pending
    assert not scheduling.tests_finished

    session.finish(first)
    assert not scheduling.tests_finished
    session.finish(second, len(second.sent) - 1)
    # xdist shuts down when nobody has more than its last test
    assert scheduling.tests_finished
    assert scheduling.has_pending
    session.finish(second)
    assert not scheduling.has_pending
    assert scheduling.nodes == []


@given(suites, workers, st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=6))
def test_whoever_crashes_every_other_test_runs_once(
    collection: list[str], workers: int, crashes: list[tuple[int, int]]
) -> None:
    session = running(collection, workers)
    ran: list[int] = []
    lost: list[str] = []

    for number, after in crashes:
        if not session.scheduling.nodes:
            break
        node = session.scheduling.nodes[number % len(session.scheduling.nodes)]
        ran += session.finish(node, after)
        if node not in session.scheduling.nodes:
            continue
        crashed = session.scheduling.remove_node(node)
        if crashed is not None:
            lost.append(crashed)
        session.collect(session.start())
    for node in session.scheduling.nodes:
        ran += session.finish(node)

    assert session.scheduling.nodes == []
    assert session.scheduling.tests_finished
    assert not session.scheduling.has_pending
    assert sorted([*(collection[index] for index in ran), *lost]) == sorted(collection)


def test_the_crashed_test_is_named_and_its_replacement_gets_the_rest() -> None:
    session = running(SUITE, 2)
    first, second = session.nodes
    session.finish(first, 1)

    assert session.scheduling.remove_node(first) == SUITE[first.sent[1]]
    assert not session.scheduling.tests_finished

    session.finish(second)
    assert not session.scheduling.tests_finished, "what the dead worker left is still to do"
    replacement = session.start()
    session.collect(replacement)
    assert replacement.sent == first.sent[2:]
    assert replacement.down


def test_a_worker_that_dies_in_its_last_test_leaves_nothing() -> None:
    session = running(suite("a.py::test_x"), 1)
    session.finish(session.nodes[0], 1)

    assert session.scheduling.remove_node(session.nodes[0]) == "a.py::test_x[candidate]"
    assert session.scheduling.tests_finished
    replacement = session.start()
    session.collect(replacement)
    assert (replacement.sent, replacement.down) == ([], True)


@pytest.mark.parametrize("collection", [SUITE, []], ids=["tests", "no tests"])
@pytest.mark.parametrize("collected", [True, False], ids=["after it collected", "before it collected"])
def test_a_worker_that_dies_before_the_deal_gets_no_hand(collection: list[str], collected: bool) -> None:
    session = Session(collection, 2)
    first, second = session.start(), session.start()
    if collected:
        session.collect(first)
    assert session.scheduling.remove_node(first) is None

    session.collect(second)
    assert not session.scheduling.collection_is_completed, "its replacement is still to come"
    third = session.start()
    session.collect(third)

    assert not first.sent
    assert session.scheduling.nodes == [second, third]
    assert sorted(second.sent + third.sent) == list(range(len(collection)))


def test_no_tests_at_all_and_everybody_is_replaced() -> None:
    session = running([], 1)
    assert session.scheduling.tests_finished
    assert session.scheduling.remove_node(session.nodes[0]) is None

    session.collect(session.start())

    assert session.nodes[-1].down


def test_who_is_ready_first_makes_no_difference() -> None:
    collection = [f"a.py::test_x[baseline-{number}]" for number in range(5)]
    hands = []
    for order in ([0, 1, 2], [2, 0, 1]):
        session = Session(collection, workers=3)
        nodes = [session.start() for _ in range(3)]
        for number, node in enumerate(nodes):
            node.workerinput["workerid"] = f"gw{number}"
        for number in order:
            session.collect(nodes[number])
        hands.append([node.sent for node in nodes])
    assert hands[0] == hands[1] == [[0, 3], [1, 4], [2]]


def test_different_collections_are_a_usage_error() -> None:
    session = Session(SUITE, 2)
    nodes = [session.start(), session.start()]
    session.collect(nodes[0])

    with pytest.raises(pytest.UsageError, match="the workers collected different tests"):
        session.collect(nodes[1], SUITE[::-1])


def test_a_replacement_that_collects_otherwise_is_a_usage_error() -> None:
    session = running(SUITE, 1)
    session.scheduling.remove_node(session.nodes[0])

    with pytest.raises(pytest.UsageError, match="replacement worker collected other tests"):
        session.collect(session.start(), SUITE[1:])


def test_nothing_is_stolen_or_run_again() -> None:
    scheduling = running(SUITE, 2).scheduling

    with pytest.raises(NotImplementedError):
        scheduling.mark_test_pending(SUITE[0])
    with pytest.raises(NotImplementedError):
        scheduling.remove_pending_tests_from_node(scheduling.nodes[0], [0])


def new_ledger() -> Ledger:
    return Ledger(Settings(model="new", baseline="old"))


def test_all_workers_share_one_directory_that_goes_at_the_end() -> None:
    distribution = Distribution(new_ledger(), lambda: [Place()])
    distribution.pytest_unconfigure()  # no worker ever started
    nodes = FakeNode(), FakeNode()
    for node in nodes:
        distribution.pytest_configure_node(node)
    [shared] = {node.workerinput[SHARED_KEY] for node in nodes}
    path = Path(shared)
    assert path.is_dir()
    (path / "x.json").write_text("{}", encoding="ascii")

    distribution.pytest_unconfigure()

    assert not path.exists()


def test_a_replacement_has_the_place_of_the_one_that_died_last() -> None:
    places = [Place(("CUDA0",)), Place(("CUDA1",)), Place(("CUDA2",))]
    distribution = Distribution(new_ledger(), lambda: places)
    first, second, third, replacement = nodes = [FakeNode() for _ in range(4)]
    for node in nodes[:3]:
        distribution.pytest_configure_node(node)
    distribution.pytest_testnodedown(first)  # it has done its work
    distribution.pytest_testnodedown(second)
    distribution.pytest_configure_node(replacement)
    distribution.pytest_unconfigure()

    had = [Place.from_payload(node.workerinput[PLACE_KEY]) for node in (first, second, third, replacement)]
    assert had == [*places, places[1]]


def test_what_workers_report_at_their_end() -> None:
    ledger = new_ledger()
    distribution = Distribution(ledger, lambda: [Place()])
    use: dict[str, Any] = {"loads": 1, "peak_memory": None, "facts": {}}
    outputs: list[dict[str, Any] | None] = [
        {USE_KEY: {"baseline": {**use, "peak_memory": 7}, "candidate": use}},
        {USE_KEY: {"baseline": {**use, "peak_memory": 5, "facts": {"gpu": True}}}},
        {},
        None,
    ]
    for output in outputs:
        node = FakeNode()
        node.workeroutput = cast("dict[str, Any]", output)
        distribution.pytest_testnodedown(node)
    crashed = FakeNode()
    del crashed.workeroutput
    distribution.pytest_testnodedown(crashed)

    baseline = ledger.use[Role.BASELINE]
    assert (baseline.loads, baseline.peak_memory, baseline.facts) == (2, 7, {"gpu": True})
    assert ledger.use[Role.CANDIDATE].peak_memory is None
