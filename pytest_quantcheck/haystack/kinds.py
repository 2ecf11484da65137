"""What is hidden and asked for: needles, the confusable needles around them, and the question. Pure."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from itertools import islice
from typing import Final

from pytest_quantcheck.draws import ANIMALS
from pytest_quantcheck.draws import COLOURS
from pytest_quantcheck.draws import Draws

_ASKED: Final = 4  # keys of 'queries', values of 'values'
_HOPS: Final = 4
_CHAINS: Final = 4  # chains that run side by side
_CONSONANTS: Final = "BCDFGHJKLMNPQRSTVWXZ"  # with a vowel they would make words
_NEAR: Final = range(8)  # attempts at a near-duplicate that nobody has yet; then anything will do
_TOPIC: Final = "access codes"
_ONE: Final = "What is the access code of {}? Answer with the code only."

Make = Callable[[object, int], str]
"""Draws a text for a number; the second number tells attempts apart."""


@dataclass(frozen=True, slots=True)
class Needle:
    """One sentence that carries a value; ``value`` is what a question about it would have as its answer."""

    sentence: str
    value: str


class Kind:
    """One way to hide and to ask.

    :param needles: the sentences that the answer needs, in the order in which they have to stand.
    :param others: confusable ones, without end; none of their values is expected.
    :param few: how many of them stand in a haystack that is made of something else.
    """

    def __init__(
        self, topic: str, question: str, needles: tuple[Needle, ...], others: Iterator[Needle], few: int = 4
    ) -> None:
        self.topic = topic
        self.question = question
        self.needles = needles
        self.few = few
        self._others = others
        self._drawn: list[Needle] = []

    @property
    def expect(self) -> tuple[str, ...]:
        """The values that answer the question."""
        return tuple(needle.value for needle in self.needles)

    def others(self, number: int) -> list[Needle]:
        """The first ``number`` confusable needles."""
        self._drawn += islice(self._others, max(0, number - len(self._drawn)))
        return self._drawn[:number]


def _code(key: str, value: str) -> Needle:
    return Needle(f"The access code of {key} is {value}.", value)


def _name(draws: Draws, *what: object) -> str:
    colour, animal = draws.choice(COLOURS, *what, "colour"), draws.choice(ANIMALS, *what, "animal")
    return f"{colour}-{animal}-{100 + draws.number(900, *what, 'number')}"


def _number(draws: Draws, *what: object) -> str:
    return str(1_000_000 + draws.number(9_000_000, *what))


def _uuid(draws: Draws, *what: object) -> str:
    """A random UUID of version 4 (RFC 9562, section 5.4)."""
    digits = f"{draws.number(1 << 128, *what):032x}"
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _near_name(name: str, draws: Draws, *what: object) -> str:
    """Another name that shares two of three parts with ``name``, or one of them."""
    parts, fresh = name.split("-"), _name(draws, *what).split("-")
    kept = draws.choice((0b011, 0b101, 0b110, 0b001, 0b010, 0b100), *what, "kept")
    return "-".join(old if kept >> at & 1 else new for at, (old, new) in enumerate(zip(parts, fresh, strict=True)))


def _near_number(number: str, draws: Draws, *what: object) -> str:
    """Another number: with two digits changed places, with one digit changed, or with the same beginning."""
    how, at = draws.number(3, *what, "how"), 1 + draws.number(5, *what, "at")
    if how == 0:
        return number[:at] + number[at + 1] + number[at] + number[at + 2 :]
    if how == 1:
        return number[:at] + str(draws.number(10, *what, "digit")) + number[at + 1 :]
    return number[:3] + _number(draws, *what, "end")[3:]


def _fresh(make: Make, number: object, taken: set[str]) -> str:
    """What ``make`` draws first that is not taken. It is told how often it failed: near-duplicates run out."""
    made = next(made for attempt in count() if (made := make(number, attempt)) not in taken)
    taken.add(made)
    return made


def _several(make: Make, number: int) -> tuple[str, ...]:
    taken: set[str] = set()
    return tuple(_fresh(make, f"asked {one}", taken) for one in range(number))


def _others(key: Make, value: Make, keys: tuple[str, ...], values: tuple[str, ...]) -> Iterator[Needle]:
    taken_keys, taken_values = set(keys), set(values)
    for number in count():
        yield _code(_fresh(key, number, taken_keys), _fresh(value, number, taken_values))


def _plain(draws: Draws, keys: int, values: int, question: str) -> Kind:
    """``keys`` names with ``values`` numbers each, among other names with other numbers."""

    def name(*what: object) -> str:
        return _name(draws, *what)

    def number(*what: object) -> str:
        return _number(draws, *what, "value")

    names, numbers = _several(name, keys), _several(number, keys * values)
    needles = tuple(_code(names[at // values], one) for at, one in enumerate(numbers))
    listed = names[0] if keys == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return Kind(_TOPIC, question.format(listed), needles, _others(name, number, names, numbers))


def _single(draws: Draws) -> Kind:
    return _plain(draws, 1, 1, _ONE)


def _values(draws: Draws) -> Kind:
    return _plain(draws, 1, _ASKED, f"What are all {_ASKED} access codes of {{}}? Answer with the codes only.")


def _queries(draws: Draws) -> Kind:
    return _plain(draws, _ASKED, 1, "What are the access codes of {}? Answer with the codes only.")


def _near(draws: Draws) -> Kind:
    """Names and numbers that look like the one in question."""
    name, number = _name(draws, "asked"), _number(draws, "asked")

    def other_name(*what: object) -> str:
        return _near_name(name, draws, *what) if what[1] in _NEAR else _name(draws, *what)

    def other_number(*what: object) -> str:
        return _near_number(number, draws, *what) if what[1] in _NEAR else _number(draws, *what)

    others = _others(other_name, other_number, (name,), (number,))
    return Kind(_TOPIC, _ONE.format(name), (_code(name, number),), others)


def _uuids(draws: Draws) -> Kind:
    """UUIDs of UUIDs, as in RULER's hardest needle task (niah_multikey_3)."""

    def key(*what: object) -> str:
        return _uuid(draws, *what, "key")

    def value(*what: object) -> str:
        return _uuid(draws, *what, "value")

    asked, code = key("asked"), value("asked")
    return Kind(_TOPIC, _ONE.format(asked), (_code(asked, code),), _others(key, value, (asked,), (code,)))


def _variables(draws: Draws) -> Kind:
    """Chains of variables: the first one gets a number, every other one the value of the one before."""
    names: set[str] = set()
    numbers: set[str] = set()

    def name(*what: object) -> str:
        letters = "".join(draws.choice(_CONSONANTS, *what, at) for at in range(3))
        return f"{letters}{draws.number(100, *what, 'digits'):02}"

    def number(*what: object) -> str:
        return str(10_000 + draws.number(90_000, *what, "value"))

    def chain(of: object) -> list[Needle]:
        made = [_fresh(name, (of, hop), names) for hop in range(_HOPS + 1)]
        sources = [_fresh(number, of, numbers), *(f"the value of {one}" for one in made[:-1])]
        return [Needle(f"Variable {one} gets {source}.", one) for one, source in zip(made, sources, strict=True)]

    def others() -> Iterator[Needle]:
        for group in count():
            for step in zip(*(chain((group, one)) for one in range(_CHAINS)), strict=True):
                yield from step

    needles = tuple(chain("asked"))
    (asked,) = numbers
    question = (
        f"Which variables have the value {asked}, directly or through other variables? "
        f"Answer with the names of all {len(needles)} only."
    )
    return Kind("variables", question, needles, others(), few=_CHAINS * (_HOPS + 1))


KINDS: Final[dict[str, Callable[[Draws], Kind]]] = {
    "single": _single,
    "near": _near,
    "uuid": _uuids,
    "values": _values,
    "queries": _queries,
    "variables": _variables,
}
"""What can be hidden, by name."""
