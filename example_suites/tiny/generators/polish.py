"""Everyday sentences into Polish, to a friend or formally, and from one register into the other."""

from __future__ import annotations

import random
from typing import Final
from typing import NamedTuple

from generators.base import Example
from generators.base import Split
from generators.base import user
from generators.base import wanted


class Verb(NamedTuple):
    english: str
    infinitive: str
    imperative: str
    second: str
    third: str


class Noun(NamedTuple):
    english: str
    nominative: str
    accusative: str
    your: str


_VERBS: Final = (
    Verb("bring", "przynieść", "przynieś", "przyniesiesz", "przyniesie"),
    Verb("buy", "kupić", "kup", "kupisz", "kupi"),
    Verb("find", "znaleźć", "znajdź", "znajdziesz", "znajdzie"),
    Verb("repair", "naprawić", "napraw", "naprawisz", "naprawi"),
    Verb("return", "oddać", "oddaj", "oddasz", "odda"),
    Verb("sell", "sprzedać", "sprzedaj", "sprzedasz", "sprzeda"),
    Verb("send", "wysłać", "wyślij", "wyślesz", "wyśle"),
    Verb("show", "pokazać", "pokaż", "pokażesz", "pokaże"),
    Verb("take", "wziąć", "weź", "weźmiesz", "weźmie"),
    Verb("wash", "umyć", "umyj", "umyjesz", "umyje"),
)
_NOUNS: Final = (
    Noun("bag", "torba", "torbę", "twoja"), Noun("ball", "piłka", "piłkę", "twoja"),
    Noun("bell", "dzwonek", "dzwonek", "twój"), Noun("bike", "rower", "rower", "twój"),
    Noun("boat", "łódka", "łódkę", "twoja"), Noun("book", "książka", "książkę", "twoja"),
    Noun("bottle", "butelka", "butelkę", "twoja"), Noun("box", "pudełko", "pudełko", "twoje"),
    Noun("chair", "krzesło", "krzesło", "twoje"), Noun("cup", "filiżanka", "filiżankę", "twoja"),
    Noun("drum", "bęben", "bęben", "twój"), Noun("key", "klucz", "klucz", "twój"),
    Noun("lamp", "lampa", "lampę", "twoja"), Noun("map", "mapa", "mapę", "twoja"),
    Noun("mirror", "lustro", "lustro", "twoje"), Noun("pen", "długopis", "długopis", "twój"),
    Noun("ring", "pierścień", "pierścień", "twój"), Noun("spoon", "łyżka", "łyżkę", "twoja"),
    Noun("table", "stół", "stół", "twój"), Noun("watch", "zegarek", "zegarek", "twój"),
)  # fmt: skip
_TIMES: Final = (
    ("", ""), ("today", "dzisiaj"), ("tomorrow", "jutro"), ("in the evening", "wieczorem"),
    ("on Monday", "w poniedziałek"), ("on Wednesday", "w środę"), ("on Friday", "w piątek"),
)  # fmt: skip
_REGISTERS: Final = {"informal": "", "formal, to a man": "pan", "formal, to a woman": "pani"}
_WHOSE: Final = {"pan": "pana", "pani": "pani"}


class Said(NamedTuple):
    """A sentence in one language and register, with the words in it that another one has otherwise."""

    text: str
    words: tuple[str, ...]


def _sentence(form: str, verb: Verb, noun: Noun, time: tuple[str, str]) -> dict[str, Said]:
    """In English (the key '') and in each register."""
    when, kiedy = f" {time[0]}" * bool(time[0]), f" {time[1]}" * bool(time[1])
    said: dict[str, Said] = {}
    match form:
        case "can":
            said[""] = Said(f"Can you {verb.english} the {noun.english}{when}?", (verb.english, noun.english, time[0]))
            said |= {
                register: Said(
                    f"Czy {f'może {you}' if you else 'możesz'}{kiedy} {verb.infinitive} {noun.accusative}?",
                    (verb.infinitive, noun.accusative, time[1]),
                )
                for register, you in _REGISTERS.items()
            }
        case "please":
            said[""] = Said(f"Please {verb.english} the {noun.english}{when}.", (verb.english, noun.english, time[0]))
            for register, you in _REGISTERS.items():
                does = verb.third if you else verb.imperative
                order = f"niech {you}{kiedy} {does}" if you else f"{does}{kiedy}"
                said[register] = Said(f"Proszę, {order} {noun.accusative}.", (does, noun.accusative, time[1]))
        case "when":
            said[""] = Said(f"When will you {verb.english} the {noun.english}?", (verb.english, noun.english))
            for register, you in _REGISTERS.items():
                does = verb.third if you else verb.second
                text = f"Kiedy{f' {you}' * bool(you)} {does} {noun.accusative}?"
                said[register] = Said(text, (does, noun.accusative))
        case _:
            said[""] = Said(f"I like your {noun.english}.", ("your", noun.english))
            for register, you in _REGISTERS.items():
                whose = _WHOSE[you] if you else noun.your
                said[register] = Said(f"Podoba mi się {whose} {noun.nominative}.", (whose, noun.nominative))
    return said


def generate(rng: random.Random, split: Split) -> Example:
    """One example of the split."""
    form, register = rng.choice(("can", "can", "please", "please", "when", "like")), rng.choice(tuple(_REGISTERS))
    verb, noun = rng.choice(_VERBS), rng.choice(_NOUNS)
    if not wanted(split, *(("like", noun.english, register) if form == "like" else (verb.english, noun.english))):
        return generate(rng, split)
    said = _sentence(form, verb, noun, rng.choice(_TIMES))
    target = said[register]
    if rng.random() < 0.35:
        source = said[rng.choice([other for other in _REGISTERS if other != register])]
        question = f"Make this {register}: {source.text}"
    else:
        source = said[""]
        question = rng.choice(("Translate into Polish, {}: {}", "In Polish, {}: {}")).format(register, source.text)
    glossary = [f"{old} {new}" for old, new in zip(source.words, target.words, strict=True) if old != new]
    thinking = ", ".join([register.replace(", to a", ""), *glossary])
    facts = {"expected": target.text, "register": register}
    return Example("polish", user(question), (), thinking, target.text, facts)
