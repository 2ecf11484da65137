"""Which roles run, how a test becomes one item a role, which items belong together, and in which order they run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Sequence

import pytest

from pytest_quantcheck.records import SIDES
from pytest_quantcheck.records import Role

ROLE_FIXTURE = "_quantcheck_role"
FIXTURES = ("quant", "quant_model")
_ROLE_WORD = re.compile(rf"(?<=[\[-])(?:{'|'.join(SIDES)})(?=[\]-])")


def parametrize(metafunc: pytest.Metafunc, roles: Sequence[Role]) -> None:
    """Make one item a role of a test that asks for a model; a single role stays out of the node id."""
    if not roles or not any(name in metafunc.fixturenames for name in FIXTURES):
        return
    if ROLE_FIXTURE not in metafunc.fixturenames:
        metafunc.fixturenames.append(ROLE_FIXTURE)
    ids = [pytest.HIDDEN_PARAM] if len(roles) == 1 else [role.value for role in roles]
    metafunc.parametrize(ROLE_FIXTURE, roles, indirect=True, scope="session", ids=ids)


def role_of(item: pytest.Item) -> Role | None:
    """The role that an item runs for; None when it is no test of ours."""
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get(ROLE_FIXTURE)


def pair_key(nodeid: str) -> str:
    """The node id without its role word: what both halves of a pair share.

    ``test_a.py::test_x[baseline-3]`` -> ``test_a.py::test_x[3]``.
    """
    path, colons, rest = nodeid.partition("::")  # a folder may be called x[baseline]
    test, bracket, parameters = rest.partition("[")
    marked = _ROLE_WORD.sub("\0", bracket + parameters, count=1)
    for with_word, without in (("[\0]", ""), ("[\0-", "["), ("-\0]", "]"), ("-\0-", "-")):
        marked = marked.replace(with_word, without)
    return path + colons + test + marked


def complete_pairs(everything: Iterable[pytest.Item], selected: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The baseline halves that a selection (-k, --lf, -m) left out although their candidate half runs."""
    missing = {pair_key(item.nodeid) for item in selected if role_of(item) is Role.CANDIDATE}
    missing -= {pair_key(item.nodeid) for item in selected if role_of(item) is Role.BASELINE}
    added = []
    for item in everything:
        key = pair_key(item.nodeid)
        if role_of(item) is Role.BASELINE and key in missing:
            missing.discard(key)
            added.append(item)
    return added


def baseline_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """All baseline items before all candidate items, otherwise as they were; each model is loaded once.

    Items without a role stay in front: they need no model.
    """
    order = {None: 0, Role.BASELINE: 1, Role.CANDIDATE: 2}
    return sorted(items, key=lambda item: order[role_of(item)])
