"""Constraints that a program can verify, and rules that contradict each other.

Lists are answered in one order: there is one right answer, which greedy decoding can find. Where two rules meet, the
thinking says first whether they go together; whether they do is seen only by comparing them.
"""

from __future__ import annotations

import random
from typing import Final
from typing import NamedTuple

import words

from generators.base import Example
from generators.base import Split
from generators.base import user
from generators.base import wanted

_SENTENCES: Final = (
    "The {t} {v}.", "The {a} {t} {v}.", "The {a} {t} {v} here.", "The {a} {t} {v} here today.",
    "The {a} {t} {v} here very often.", "The {a} and small {t} {v} here today.",
)  # fmt: skip
_CONFLICTS: Final = {
    "limit": "the number and the limit",
    "start": "the first word and the forbidden word",
    "use": "the word to use and the forbidden word",
}


class Rules(NamedTuple):
    """What is asked for; a word that is empty and a limit that is None are not."""

    form: str
    about: str
    """The category of a list, the animal of a sentence."""
    count: int
    first: str = ""
    used: str = ""
    without: str = ""
    limit: int | None = None

    @property
    def pairs(self) -> tuple[str, str] | None:
        """The two rules that may contradict each other, in words."""
        if self.limit is not None:
            return str(self.count), f"at most {self.limit}"
        if self.without and (self.first or self.used):
            return f"start {self.first}" if self.first else f"use {self.used}", f"no {self.without}"
        return None

    @property
    def contradict(self) -> bool:
        """Whether nothing can keep to all of them."""
        return (self.limit or self.count) < self.count or self.without in {self.first, self.used} - {""}

    def question(self, number: str) -> str:
        if self.form == "words":
            text = f"Write exactly {number} words about the {self.about}."
        else:
            text = f"List {number} {self.about}, {'one per line' if self.form == 'lines' else 'separated by commas'}."
        text += f" Start with {self.first}." * bool(self.first) + f" Use the word {self.used}." * bool(self.used)
        text += f" Do not use the word {self.without}." * bool(self.without)
        return text if self.limit is None else f"{text} Not more than {self.limit}."

    def items(self) -> list[str]:
        """The answer in pieces: the first ones of the category that are allowed, or the words of a sentence."""
        if self.form != "words":
            pool = [item for item in words.CATEGORIES[self.about] if item != self.without]
            return pool[pool.index(self.first) if self.first else 0 :][: self.count]
        verb, adjective = "waits" if self.without == "sleeps" else "sleeps", "wild" if self.without == "old" else "old"
        return _SENTENCES[self.count - 3].format(t=self.about, a=adjective, v=verb).rstrip(".").split()


def _sentence(rng: random.Random) -> Rules:
    count, modifier = rng.randint(3, 8), rng.choice(("", "without", "both"))
    usable = ("old", "sleeps") if count > 3 else ("sleeps",)
    rules = Rules("words", rng.choice(words.CATEGORIES["animals"]), count)
    if modifier:
        rules = rules._replace(without=rng.choice(usable))
    if modifier == "both":
        rules = rules._replace(used=rng.choice(usable))
    return rules


def _list(rng: random.Random) -> Rules:
    rules = Rules(rng.choice(("lines", "commas")), rng.choice(tuple(words.CATEGORIES)), rng.randint(2, 6))
    pool = words.CATEGORIES[rules.about]
    match rng.choice(("", "without", "start", "both", "limit")):
        case "without":
            rules = rules._replace(without=rng.choice(pool[: rules.count + 1]))
        case "start":
            rules = rules._replace(first=rng.choice(pool[1 : len(pool) - rules.count + 1]))
        case "both":
            start = rng.randint(1, len(pool) - rules.count - 1)
            rules = rules._replace(first=pool[start], without=rng.choice(pool[start : start + rules.count + 1]))
        case "limit":
            rules = rules._replace(limit=rng.randint(1, 8))
    return rules


def _rules(rng: random.Random, split: Split, contradicting: bool) -> Rules:
    rules = _sentence(rng) if rng.random() < 0.3 else _list(rng)
    fits = rules.contradict == contradicting and wanted(split, *rules)
    return rules if fits else _rules(rng, split, contradicting)


def _number(rng: random.Random, count: int) -> str:
    return rng.choice((str(count), words.NUMBER_WORDS[count]))


def generate(rng: random.Random, split: Split) -> Example:
    """Rules that one answer keeps to."""
    rules = _rules(rng, split, False)
    items = rules.items()
    answer = {"words": " ".join(items) + ".", "lines": "\n".join(items), "commas": ", ".join(items)}[rules.form]
    thinking = " ".join(f"{place} {item}" for place, item in enumerate(items, 1))
    if rules.pairs:
        thinking = f"{', '.join(rules.pairs)}, fine; {thinking}"
    facts = {
        "format": rules.form,
        "count": rules.count,
        "allowed": None if rules.form == "words" else list(words.CATEGORIES[rules.about]),
        "forbidden": [rules.without] if rules.without else [],
        "required": [rules.used] if rules.used else [],
        "first": rules.first or None,
        "expected": answer,
    }
    return Example("constraint", user(rules.question(_number(rng, rules.count))), (), thinking, answer, facts)


def generate_conflict(rng: random.Random, split: Split) -> Example:
    """Rules that no answer can keep to; the model has to say so, and which two they are."""
    rules = _rules(rng, split, True)
    assert rules.pairs
    kind = "limit" if rules.limit is not None else "start" if rules.first else "use"
    answer = f"These rules contradict each other: {_CONFLICTS[kind]}."
    facts = {"expected": answer, "rules": rules._asdict()}
    thinking = f"{', '.join(rules.pairs)}, conflict"
    return Example("conflict", user(rules.question(_number(rng, rules.count))), (), thinking, answer, facts)
