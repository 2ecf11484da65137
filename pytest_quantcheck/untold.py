"""What servers keep to themselves: it may differ unseen, so it rules out what a difference in it would. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Final

from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.records import Role
from pytest_quantcheck.rows import KINDS
from pytest_quantcheck.rows import ROWS
from pytest_quantcheck.rows import UNTOLD
from pytest_quantcheck.rows import Difference
from pytest_quantcheck.rows import Level

_ASKED: Final = (
    # field of a card or of conditions, what it is called, the row that a difference in it would be
    ("context", "its context", "context"),
    ("vocabulary_digest", "its vocabulary", "vocabulary"),
    ("kv_type", "the type of its KV cache", "kv cache"),
    ("flash_attention", "flash attention", "flash attention"),
    ("system", "its instruction sets, devices and threads", "backend"),
    ("chat_template", "its chat template", "chat template"),
    ("tensor_table_digest", "the types of its tensors", "tensor types"),
)
_OF_PROMPTS: Final = ("vocabulary", "chat template")
"""Rows that change what the model reads, and nothing else: no doubt where both sides read the same token ids."""
_DOES: Final[dict[Level, str]] = {
    "blocks": "whether it is the other side's, nobody can see",
    "explains": "a loss may be its own",
    "informs": "both sides read the same token ids all the same",
}


def untold(
    cards: Mapping[Role, ModelCard], conditions: Mapping[Role, Conditions], *, prompts_alike: bool | None = None
) -> Iterator[Difference]:
    """What the servers of both sides do not tell, by side and by what follows from that.

    What one server decides for all of its models (`Conditions.decided_by`) cannot differ between two of them.

    :param prompts_alike: whether both sides read the same token ids for every question of the run.
    """
    for role, card in cards.items():
        if not card.served or len(cards) < 2:
            continue
        silent = [one for one in _ASKED if not _is_known(one[0], role, cards, conditions)]
        levels: dict[Level, list[tuple[str, str]]] = {}
        for _, words, row in silent:
            harmless = row in _OF_PROMPTS and prompts_alike is True
            levels.setdefault("informs" if harmless else ROWS[row].level, []).append((words, row))
        for level, found in levels.items():
            kinds = {kind for _, row in found for kind in ROWS[row].kinds} if level != "informs" else set()
            *others, last = (words for words, _ in found)
            told = f"{', '.join(others)} or {last}" if others else last
            text = f"the {role}'s server does not tell {told}: {_DOES[level]}"
            yield Difference(UNTOLD, level, text, tuple(kind for kind in KINDS if kind in kinds))


def hidden(card: ModelCard, conditions: Conditions) -> list[str]:
    """What one server does not tell, in words."""
    return [words for name, words, _ in _ASKED if not _tells(name, card, conditions)]


def _tells(name: str, *sides: ModelCard | Conditions | None) -> bool:
    return any(getattr(side, name, None) not in (None, "") for side in sides)


def _is_known(name: str, role: Role, cards: Mapping[Role, ModelCard], conditions: Mapping[Role, Conditions]) -> bool:
    if _tells(name, cards[role], conditions.get(role)):
        return True
    deciders = {side.decided_by.get(name, "") for side in conditions.values()}
    return len(conditions) == len(cards) > 1 and len(deciders) == 1 and deciders != {""}
