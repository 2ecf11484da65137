"""Which items belong together and in which order they run."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.records import SIDES
from pytest_quantcheck.records import Role
from pytest_quantcheck.variants import ROLE_FIXTURE
from pytest_quantcheck.variants import baseline_first
from pytest_quantcheck.variants import complete_pairs
from pytest_quantcheck.variants import pair_key
from pytest_quantcheck.variants import role_of


class FakeCallSpec:
    def __init__(self, role: Role) -> None:
        self.params = {ROLE_FIXTURE: role}


class FakeItem:
    def __init__(self, nodeid: str, role: Role | None) -> None:
        self.nodeid = nodeid
        self.fixturenames = ["request"]
        if role is not None:
            self.callspec = FakeCallSpec(role)
            self.fixturenames.append("quant")


def item(nodeid: str) -> pytest.Item:
    """An item whose role stands in its node id, first, as pytest writes it."""
    role = next((role for role in SIDES if f"[{role}" in nodeid), None)
    return cast("pytest.Item", FakeItem(nodeid, role))


def ids(items: list[pytest.Item]) -> list[str]:
    return [item.nodeid for item in items]


@pytest.mark.parametrize(
    ("nodeid", "key"),
    [
        ("a.py::test_x[baseline]", "a.py::test_x"),
        ("a.py::test_x[candidate]", "a.py::test_x"),
        ("a.py::test_x[candidate-3]", "a.py::test_x[3]"),
        ("a.py::test_x[3-candidate]", "a.py::test_x[3]"),
        ("a.py::test_x[3-candidate-4]", "a.py::test_x[3-4]"),
        ("a.py::TestIt::test_x[candidate-3-4]", "a.py::TestIt::test_x[3-4]"),
        ("a.py::test_x[candidate-baseline]", "a.py::test_x[baseline]"),
        ("a.py::test_x[baseline-baseline-candidate]", "a.py::test_x[baseline-candidate]"),
        ("a.py::test_x[baseline-[x]]", "a.py::test_x[[x]]"),
        ("a.py::test_x[baseline-]", "a.py::test_x[]"),
        ("a.py::test_x[candidate--]", "a.py::test_x[-]"),
        ("a.py::test_x[candidate]@group", "a.py::test_x@group"),
        ("a.py::test_x", "a.py::test_x"),
        ("a.py::test_x[3]", "a.py::test_x[3]"),
        ("a.py::test_x[candidates]", "a.py::test_x[candidates]"),
        ("a.py::test_x[no candidate]", "a.py::test_x[no candidate]"),
        ("a.py::test_baseline", "a.py::test_baseline"),
        ("baseline/candidate.py::test_x", "baseline/candidate.py::test_x"),
        ("x[baseline]/a.py::test_x", "x[baseline]/a.py::test_x"),
        ("x[baseline]/a.py::test_x[candidate-3]", "x[baseline]/a.py::test_x[3]"),
        ("baseline", "baseline"),
        ("", ""),
    ],
)
def test_pair_key(nodeid: str, key: str) -> None:
    assert pair_key(nodeid) == key


# what a user may name folders, tests and parameters; the role words and all that separates things
pieces = st.sampled_from(["a", "_", ".", "-", "[", "]", "baseline", "candidate", "::", " "])
parts = st.lists(pieces, max_size=4).map("".join)
folders = parts.map(lambda part: part.replace("::", ""))
names = st.sampled_from(["test_x", "test_baseline", "Test::test_x", "TestCandidate::test_x"])
tests = st.tuples(folders, names, st.lists(parts, max_size=2).map("-".join))


def half(test: tuple[str, str, str], role: Role) -> str:
    folder, name, parameters = test
    return f"{folder}/a.py::{name}[{role}{'-' if parameters else ''}{parameters}]"


@given(tests)
def test_both_halves_have_one_key(test: tuple[str, str, str]) -> None:
    assert pair_key(half(test, Role.BASELINE)) == pair_key(half(test, Role.CANDIDATE))


@given(st.sets(tests, min_size=2, max_size=8), st.data())
def test_different_tests_never_share_a_key(some: set[tuple[str, str, str]], data: st.DataObject) -> None:
    keys = {pair_key(half(test, data.draw(st.sampled_from(SIDES)))) for test in some}

    assert len(keys) == len(some)


def test_role_of() -> None:
    ours, other = item("a.py::test_x[candidate]"), item("a.py::test_y")

    assert role_of(ours) == Role.CANDIDATE
    assert role_of(other) is None


EVERYTHING = [
    item(f"a.py::{name}")
    for name in (
        "test_x[baseline-1]",
        "test_x[candidate-1]",
        "test_x[baseline-2]",
        "test_x[candidate-2]",
        "test_plain",
        "test_y[baseline]",
        "test_y[candidate]",
    )
]


@pytest.mark.parametrize(
    ("selected", "added"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(range(7), [], id="everything"),
        pytest.param([1], ["a.py::test_x[baseline-1]"], id="a candidate"),
        pytest.param([6, 3], ["a.py::test_x[baseline-2]", "a.py::test_y[baseline]"], id="as collected"),
        pytest.param([0, 1, 3], ["a.py::test_x[baseline-2]"], id="one has its baseline"),
        pytest.param([0, 5], [], id="baselines alone need no candidate"),
        pytest.param([4], [], id="not ours"),
    ],
)
def test_complete_pairs(selected: list[int], added: list[str]) -> None:
    assert ids(complete_pairs(EVERYTHING, [EVERYTHING[index] for index in selected])) == added


def test_complete_pairs_adds_a_baseline_once() -> None:
    twice = [EVERYTHING[1], EVERYTHING[1]]

    assert len(complete_pairs([*EVERYTHING, *EVERYTHING], twice)) == 1


@given(st.sets(st.integers(0, 6)))
def test_after_completion_no_candidate_is_alone(selected: set[int]) -> None:
    chosen = [EVERYTHING[index] for index in sorted(selected)]

    items = [*chosen, *complete_pairs(EVERYTHING, chosen)]

    baselines = {pair_key(item.nodeid) for item in items if role_of(item) is Role.BASELINE}
    assert {pair_key(item.nodeid) for item in items if role_of(item) is Role.CANDIDATE} <= baselines
    assert not complete_pairs(EVERYTHING, items)
    assert len(set(ids(items))) == len(items)


@given(st.permutations(EVERYTHING))
def test_baseline_first_changes_nothing_else(items: list[pytest.Item]) -> None:
    ordered = baseline_first(items)

    groups = [[item for item in items if role_of(item) is role] for role in (None, *SIDES)]
    assert ordered == [item for group in groups for item in group]
