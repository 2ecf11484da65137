"""Recall: a key among confusable entries, whose value is a word or a code of four digits."""

from __future__ import annotations

import random
import re
from typing import Final
from typing import Literal

import words

from generators.base import Example
from generators.base import Split
from generators.base import is_heldout
from generators.base import user

Kind = Literal["words", "codes"]
Level = Literal["easy", "short", "medium", "long"]

_ENTRIES: Final = {"easy": (2, 8), "short": (6, 16), "medium": (16, 40), "long": (12, 60)}
_TRAINED: Final = (150, 2250)
"""Words and punctuation marks, about as many as tokens, of a long text in training; held-out ones are near the end."""
_HELDOUT: Final = (1900, 2100)
_FILLERS: Final = (
    "{n} lost a {t} in {c}.", "In {c} {n} bought a {t}.", "The {t} of {n} is from {c}.", "{n} likes the {t}.",
)  # fmt: skip


def _value(rng: random.Random, split: Split, kind: Kind, key: str) -> str:
    """In training none that is held out with this key; in held-out contexts any."""
    value = rng.choice(words.VALUES) if kind == "words" else f"{rng.randrange(10_000):04}"
    return _value(rng, split, kind, key) if split == "train" and is_heldout(key, value) else value


def _asked_value(rng: random.Random, kind: Kind, key: str) -> str:
    value = _value(rng, "heldout", kind, key)
    return value if is_heldout(key, value) else _asked_value(rng, kind, key)


def _scattered(rng: random.Random, split: Split, entries: list[str]) -> str:
    """Each entry a sentence of its own, among sentences of the same words that are no entries."""
    pieces, size = [f"Code {entry}." for entry in entries], rng.randint(*(_HELDOUT if split == "heldout" else _TRAINED))
    length = sum(map(_tokens, pieces))
    while length < size:
        name, city, thing = rng.choice(words.NAMES), rng.choice(words.CITIES), rng.choice(words.KEYS)
        pieces.append(rng.choice(_FILLERS).format(n=name, c=city, t=thing))
        length += _tokens(pieces[-1])
    rng.shuffle(pieces)
    return " ".join(pieces)


def _tokens(text: str) -> int:
    """About: this world's words are one token each, and so is each digit."""
    return len(re.findall(r"[A-Za-z]+|\S", text))


def generate_level(rng: random.Random, split: Split, kind: Kind, level: Level, asked: int = 1) -> Example:
    """Entries 'key value' or, with a code, 'key1234', all in the same form; so many of them are asked for.

    A code stands directly behind its key: with a sign between them this model did not learn to find it.
    """
    keys = rng.sample(words.KEYS, rng.randint(*_ENTRIES[level]))
    entries = {key: _value(rng, split, kind, key) for key in keys}
    chosen = rng.sample(keys, min(asked, len(keys)))
    if split == "heldout":
        entries[chosen[0]] = _asked_value(rng, kind, chosen[0])
    written = {key: f"{key} {value}" if kind == "words" else f"{key}{value}" for key, value in entries.items()}
    if level == "long":
        context = _scattered(rng, split, list(written.values()))
    else:
        context = f"Codes: {', '.join(written.values())}."
    return Example(
        ("recall" if kind == "words" else "codes") + "_long" * (level == "long"),
        user(f"{context}\n{question(rng, chosen)}"),
        (),
        # The key as in the text, in one token with the space before it: what is looked up has one form only.
        " " + ", ".join(written[key] for key in chosen),
        ", ".join(entries[key] for key in chosen),
        {
            "expected": ", ".join(entries[key] for key in chosen),
            "key": chosen[0],
            "distractors": [value for value in entries.values() if value != entries[chosen[0]]],
            "entries": len(entries),
            "asked": {key: entries[key] for key in chosen},
        },
    )


def question(rng: random.Random, keys: list[str]) -> str:
    """One or several keys asked for."""
    if len(keys) == 1:
        return f"What is the code of {keys[0]}?"
    return rng.choice(("What are the codes of {}?", "Codes of {}?")).format(", ".join(keys))


def generate(rng: random.Random, split: Split, kind: Kind, long: bool) -> Example:
    """One entry asked for, in a list of 6 to 48 or in a long text."""
    level: Level = "long" if long else rng.choice(("short", "medium"))
    return generate_level(rng, split, kind, level)
