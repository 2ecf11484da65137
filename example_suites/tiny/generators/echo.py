"""Entries to be said again, in any order and more than once: no task of the suite, but a drill for a young model.

Looking something up is copying what followed it before. That comes suddenly or not at all, and with so many look-ups
in so short a text it comes sooner. The order must be random: what is said again in the same order is copied by place.
"""

from __future__ import annotations

import random

import words

from generators.base import Example
from generators.base import is_heldout
from generators.base import user


def generate(rng: random.Random) -> Example:
    """For training alone."""
    codes = rng.random() < 0.5
    entries: list[str] = []
    for key in rng.sample(words.KEYS, rng.randint(2, 8)):
        value = f"{rng.randrange(10_000):04}" if codes else rng.choice(words.VALUES)
        if not is_heldout(key, value):
            entries.append(f"{key}{value}" if codes else f"{key} {value}")
    if not entries:
        return generate(rng)
    # The keys as in the list, in one token with the space before them.
    said = " " + ", ".join(rng.choices(entries, k=12))
    return Example("echo", user(f"Repeat: {', '.join(entries)}."), (), "", said, {"expected": said})
