"""Choices that are the same on every machine and with every Python, and the words to choose from. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final
from typing import TypeVar

T = TypeVar("T")

COLOURS: Final = (
    "amber", "ashen", "brass", "bronze", "chalky", "cobalt", "copper", "coral", "cream", "crimson", "dusty", "ebony",
    "frosty", "golden", "hazel", "indigo", "ivory", "jade", "lilac", "maroon", "mossy", "ochre", "olive", "pearly",
    "plum", "rosy", "rusty", "sandy", "scarlet", "silver", "tawny", "violet",
)  # fmt: skip
ANIMALS: Final = (
    "badger", "beaver", "bison", "camel", "condor", "curlew", "dolphin", "falcon", "ferret", "gecko", "gibbon", "heron",
    "ibex", "jackal", "kestrel", "lemur", "lynx", "magpie", "marmot", "marten", "newt", "ocelot", "osprey", "otter",
    "panda", "pelican", "puffin", "raven", "salmon", "stoat", "tapir", "walrus",
)  # fmt: skip
_PEOPLE = (
    "the baker", "the carpenter", "a clerk", "the gardener", "a sailor", "the teacher", "an old neighbour",
    "the miller", "a young painter", "the postman", "two cousins", "the caretaker",
)  # fmt: skip
_DEEDS = (
    "carried a basket of pears", "counted the boats", "mended a fence", "read a long letter", "swept the stairs",
    "waited for the rain to stop", "polished a brass lamp", "lost a glove", "drew a map of the valley",
    "sold the last of the bread", "listened to the bells", "looked for a missing key",
)  # fmt: skip
_PLACES = (
    "behind the mill", "at the harbour", "near the old bridge", "under the chestnut tree", "in the reading room",
    "by the river", "at the edge of the wood", "on the market square", "in front of the station", "up on the hill",
    "along the canal", "beside the well",
)  # fmt: skip
_TIMES = (
    "before breakfast", "in the afternoon", "late at night", "on a cold morning", "during the harvest", "after supper",
    "when the wind turned", "as the lamps were lit",
)  # fmt: skip
_NOISE = ("The kettle is warm.", "The door is open.", "Somebody hums a tune.", "Here comes the tram.", "There it goes.")
SHORT_WORDS: Final = (
    "a", "so", "it", "is", "as", "we", "do", "go", "on", "in", "at", "to", "by", "of", "up", "no",
)  # fmt: skip
"""Words that most vocabularies hold as one token together with the space before them."""


class Draws:
    """An endless stream of choices by SHA-256: ``random`` promises the same choices only for few of its methods."""

    def __init__(self, *seed: object) -> None:
        self._seed = "/".join(map(str, seed))

    def number(self, below: int, *what: object) -> int:
        """A whole number from 0 up to ``below``; the same whenever the same is asked for."""
        text = "/".join(map(str, (self._seed, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()) % below

    def choice(self, among: Sequence[T], *what: object) -> T:
        """One of several."""
        return among[self.number(len(among), *what)]


def prose(draws: Draws, number: int) -> str:
    """One sentence of a story that goes nowhere."""
    who, deed = draws.choice(_PEOPLE, number, "who"), draws.choice(_DEEDS, number, "deed")
    place, time = draws.choice(_PLACES, number, "place"), draws.choice(_TIMES, number, "time")
    order = draws.number(2, number, "order")
    sentence = f"{time} {who} {deed} {place}." if order else f"{who} {deed} {place} {time}."
    return sentence[0].upper() + sentence[1:]


def noise(number: int) -> str:
    """The same five sentences over and over."""
    return _NOISE[number % len(_NOISE)]
