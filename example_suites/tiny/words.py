"""The closed vocabulary of the tiny model's world: few words, so that a small tokenizer has one token for each."""

from __future__ import annotations

from typing import Final

Words = tuple[str, ...]


def _words(text: str) -> Words:
    return tuple(text.split())


NAMES: Final[Words] = _words(
    "Anna Boris Clara David Elena Felix Greta Hugo Irene Jonas Karin Leo Maria Nils Otto Paula Rosa Sven Tessa Zoe"
)
COUNTRIES: Final[dict[str, str]] = {
    "Athens": "Greece", "Berlin": "Germany", "Cairo": "Egypt", "Dakar": "Senegal", "Delhi": "India",
    "Dublin": "Ireland", "Geneva": "Switzerland", "Hanoi": "Vietnam", "Kyoto": "Japan", "Lagos": "Nigeria",
    "Lima": "Peru", "Lisbon": "Portugal", "London": "England", "Madrid": "Spain", "Milan": "Italy",
    "Munich": "Germany", "Oslo": "Norway", "Paris": "France", "Quito": "Ecuador", "Rome": "Italy",
    "Seoul": "Korea", "Tokyo": "Japan", "Tunis": "Tunisia", "Vienna": "Austria", "Warsaw": "Poland",
}  # fmt: skip
CITIES: Final[Words] = tuple(COUNTRIES)
JOBS: Final[Words] = _words("baker cook doctor driver farmer lawyer nurse painter pilot singer teacher writer")
DAYS: Final[Words] = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
EVENTS: Final[Words] = _words("concert dance dinner lecture market meeting party race")
ROOMS: Final[Words] = _words("bathroom bedroom garage garden hall kitchen office")
MUSIC: Final[Words] = _words("blues folk jazz metal pop rock soul")
MONEY: Final[Words] = _words("dollars euros francs kronor pounds yen")
WEATHER: Final[Words] = _words("fog hail rain snow storm sun wind")
LANGUAGES: Final[Words] = _words("Danish French German Greek Italian Polish Spanish")

# Lists are asked for by category and answered in this (alphabetical) order: there is one right answer,
# which greedy decoding can find; of a random order it would only find the mode, and repeat itself.
CATEGORIES: Final[dict[str, Words]] = {
    "animals": _words("ant bear cat dog eagle fox goat horse lion mouse owl wolf"),
    "fruits": _words("apple banana cherry fig grape kiwi lemon mango orange peach pear plum"),
    "colors": _words("black blue brown gold gray green orange pink purple red white yellow"),
    "tools": _words("axe brush chisel drill hammer knife ladder nail pliers rake saw shovel"),
    "clothes": _words("belt boot cap coat dress glove hat jacket scarf shirt shoe sock"),
    "drinks": _words("beer cider cocoa coffee cola juice milk soda tea water wine"),
}
COLORS: Final[Words] = CATEGORIES["colors"]
THINGS: Final[Words] = _words(
    "bag ball bed bell bike boat book bottle bowl box bridge bus car chair clock coin cup desk door drum fan flag "
    "flute fork key lamp leaf map mirror moon pen phone pipe plate ring road rope ship spoon star table tent "
    "tower train tree truck wall watch wheel window"
)
KEYS: Final[Words] = tuple(
    dict.fromkeys(
        THINGS
        + CATEGORIES["animals"]
        + CATEGORIES["fruits"]
        + CATEGORIES["tools"]
        + CATEGORIES["clothes"]
        + CATEGORIES["drinks"]
    )
)
VALUES: Final[Words] = CITIES + NAMES
ANY: Final[Words] = tuple(dict.fromkeys(KEYS + VALUES + COLORS + JOBS + EVENTS + ROOMS + MUSIC + MONEY + LANGUAGES))
OPPOSITES: Final[tuple[tuple[str, str], ...]] = (
    ("hot", "cold"), ("big", "small"), ("fast", "slow"), ("old", "young"), ("light", "dark"), ("high", "low"),
    ("hard", "soft"), ("rich", "poor"), ("open", "closed"), ("wet", "dry"), ("long", "short"), ("full", "empty"),
)  # fmt: skip
NUMBER_WORDS: Final[Words] = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
