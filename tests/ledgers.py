"""Ledgers of runs that never happened, one for each way in which a run can end."""

from __future__ import annotations

from typing import Any

from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.said import Said
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.verdict import Result
from pytest_quantcheck.verdict import judge
from pytest_quantcheck.verdict import without_snapshot
from tests.builders import reply


def card(name: str, **more: Any) -> ModelCard:
    usual: dict[str, Any] = {
        "path": f"/models/{name}.gguf",
        "name": name,
        "architecture": "llama",
        "file_bytes": 4_650_000_000,
        "tensor_bytes": 4_500_000_000,
        "parameters": 8_000_000_000,
        "tensor_types": {"Q4_0": 4_410_000_000, "F32": 90_000_000},
        "context_length": None,
        "block_count": None,
        "embedding_length": None,
        "vocabulary": None,
        "chat_template": None,
        "metadata": {},
    }
    return ModelCard(**{**usual, **more})


def observation(role: Role, pair: str, value: float, *replies: Reply) -> Observation:
    worst = max((reply.status for reply in replies), key=lambda status: status.rank, default=Status.OK)
    return Observation(pair, role, worst, (Score("json", value, "why"),), replies)


def ledger(*, compared: bool = True, **more: Any) -> Ledger:
    made = Ledger(Settings(model="new.gguf", baseline="old.gguf" if compared else None, **more))
    made.cards = {role: card(role.value) for role in made.settings.roles}
    return made


def add(
    to: Ledger,
    pair: str,
    old: float | None,
    new: float,
    *,
    marker: str = "json",
    family: str = "",
    replies: tuple[Reply, Reply] | None = None,
) -> None:
    """One judged pair; without ``old`` there is no baseline's half."""
    old_reply, new_reply = replies or (reply("yes"), reply("no"))
    baseline = None if old is None else observation(Role.BASELINE, pair, old, old_reply)
    candidate = observation(Role.CANDIDATE, pair, new, new_reply)
    keep(to, baseline, candidate, marker=marker, family=family)


def keep(
    to: Ledger, baseline: Observation | None, candidate: Observation, *, marker: str = "json", family: str = ""
) -> None:
    """Two halves, judged."""
    verdict = judge(baseline, candidate, sample=bool(family))
    if baseline is not None:
        to.add(Said(baseline=baseline))
    pair = candidate.pair
    to.add(Said(result=Result(pair, f"{pair}[candidate]", marker, family, candidate, verdict)))


def crash(to: Ledger, pair: str, error: str = "last words of llama.cpp") -> None:
    """A candidate whose engine died."""
    baseline = observation(Role.BASELINE, pair, 1.0, reply("yes"))
    keep(to, baseline, Observation(pair, Role.CANDIDATE, Status.ERROR, (), error=error))


def every_end() -> dict[str, Ledger]:
    """One ledger for each kind of session verdict, and more: by a name that says what happened."""
    ends = {name: ledger() for name in ("regression", "crashed", "unfair", "cannot-tell", "no-regression", "no-loss")}
    add(ends["regression"], "test_lost", 1.0, 0.0)
    add(ends["regression"], "test_won", 0.0, 1.0, marker="tools")
    add(ends["no-loss"], "test_held", 1.0, 1.0)
    crash(ends["crashed"], "test_crash")
    silent = reply("yes", total=4)
    add(ends["unfair"], "test_unfair", 1.0, 1.0, replies=(thinker(reply("yes", "hm")), thinker(silent)))
    for number in range(60):
        if number < 8:
            add(ends["cannot-tell"], f"test_sum[{number}]", 1.0, float(number > 0), family="sums")
        add(ends["no-regression"], f"test_sum[{number}]", 1.0, 1.0, family="sums")
    add(ends["no-regression"], "test_held", 1.0, 1.0)
    ends["nothing-compared"] = ledger()
    ends["failed"] = ledger(compared=False)
    add(ends["failed"], "test_failed", None, 0.0)
    ends["no-baseline"] = ledger(compared=False)
    add(ends["no-baseline"], "test_passed", None, 1.0)
    ends["starved"] = ledger()
    starved = reply(thinking="hm " * 40, status="starved")
    add(ends["starved"], "test_starved", 1.0, 0.0, replies=(reply("yes"), starved))
    ends["stale"] = ledger(compared=False)
    fine = observation(Role.CANDIDATE, "test_stale", 1.0, reply("yes"))
    stale = without_snapshot("stale", "recorded with seed=0, now 1", fine)
    ends["stale"].add(Said(result=Result("test_stale", "test_stale", "json", "", fine, stale)))
    ends["recorded"] = Ledger(Settings(model="old.gguf", snapshot_use="record"))
    ends["recorded"].cards = {Role.BASELINE: card("baseline")}
    ends["recorded"].add(Said(baseline=observation(Role.BASELINE, "test_weak", 0.0, reply("no"))))
    ends["refused"] = ledger()
    ends["refused"].cards.clear()
    ends["refused"].refusal = "--quant-model: x.gguf: does not exist"
    return ends


def thinker(answer: Reply) -> Reply:
    """The same answer to a request that asked for thinking."""
    return Reply.from_payload({**answer.to_payload(), "thinking_asked": True})
