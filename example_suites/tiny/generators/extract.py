"""Strict JSON: every asked value is copied into the thinking first."""

from __future__ import annotations

import json
import random

import words

from generators.base import Example
from generators.base import Split
from generators.base import pick
from generators.base import user
from generators.base import wanted

Value = str | int | bool | list[str]


def _record(rng: random.Random, split: Split) -> tuple[str, dict[str, Value]]:
    """A sentence and the record that it states; the record's first two values are the held-out combination."""
    flag, number = rng.random() < 0.5, rng.randint(2, 99)
    no = "" if flag else "not "
    name, city = pick(rng, split, words.NAMES), pick(rng, split, words.CITIES)
    fields: dict[str, Value]
    match rng.randrange(5):
        case 0:
            job = pick(rng, split, words.JOBS)
            fields = {"name": name, "age": number, "city": city, "job": job, "member": flag}
            text = f"{name} is a {job} from {city}, {number} years old, {no}a member."
        case 1:
            item, price = pick(rng, split, words.CATEGORIES["fruits"]), rng.randint(2, 99)
            fields = {"item": item, "count": number, "buyer": name, "price": price, "paid": flag}
            text = f"{name} orders {item}, {number} boxes, price {price} euros, {no}paid."
        case 2:
            event, day, hour = pick(rng, split, words.EVENTS), pick(rng, split, words.DAYS), rng.randint(8, 23)
            fields = {"city": city, "hour": hour, "event": event, "day": day, "free": flag}
            text = f"There is a {event} in {city} on {day} at {hour}, {no}free."
        case 3:
            animal, colors = pick(rng, split, words.CATEGORIES["animals"]), rng.sample(words.COLORS, 2)
            fields = {"animal": animal, "age": number, "name": name, "colors": colors}
            text = f"{name} is a {colors[0]} and {colors[1]} {animal}, {number} weeks old."
        case _:
            goal = pick(rng, split, words.CITIES)
            fields = {"start": city, "goal": goal, "days": number, "name": name, "late": flag}
            text = f"{name} goes from {city} to {goal}, it takes {number} days and is {no}late."
    first, second = list(fields.values())[:2]
    return (text, fields) if wanted(split, first, second) else _record(rng, split)


def _plain(value: Value) -> str:
    return " ".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)


def generate(rng: random.Random, split: Split) -> Example:
    """One example of the split."""
    text, fields = _record(rng, split)
    keys = rng.sample(list(fields), rng.randint(2, 4))
    ask = rng.choice(("Extract {} as JSON: {}", "Give {} as JSON: {}", "JSON with {}, please: {}"))
    expected = {key: fields[key] for key in keys}
    thinking = "keys " + ", ".join(f"{key} {_plain(value)}" for key, value in expected.items())
    return Example(
        "json", user(ask.format(", ".join(keys), text)), (), thinking, json.dumps(expected), {"expected": expected}
    )
