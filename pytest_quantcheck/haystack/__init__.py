"""Long texts of exact length with something hidden in them, made by program: for tests of what a model still finds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from functools import partial
from typing import Any
from typing import Final
from typing import Protocol

import pytest

from pytest_quantcheck import markers
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import checked_count
from pytest_quantcheck.checks.base import checked_flag
from pytest_quantcheck.draws import Draws
from pytest_quantcheck.draws import noise
from pytest_quantcheck.draws import prose
from pytest_quantcheck.haystack.fit import Length
from pytest_quantcheck.haystack.fit import fit
from pytest_quantcheck.haystack.kinds import KINDS
from pytest_quantcheck.text import short

FILLERS: Final = ("needles", "prose", "noise")
"""What a haystack is made of: confusable needles, sentences of a story, or the same five sentences over and over."""
ANSWER_TOKENS: Final = 256
_DEPTHS = (0, 0.25, 0.5, 0.75, 1)
_MOST = 10_000_000


class Tokenizes(Protocol):
    """What knows a tokenizer: the ``quant`` fixture, an engine."""

    def tokenize(self, text: str) -> Sequence[int]:
        """The token ids of a text."""


class Hay:
    """One haystack with its question and its answer. Equal arguments make equal texts, on every machine.

    Usage::

        hay = Hay("uuid", 8000, 0.5)
        reply = quant.chat(hay.prompt(quant))  # exactly 8000 tokens
        assert hay.expect[0] in reply.text

    :param kind: what is hidden: a name of `KINDS`.
    :param tokens: length of the whole prompt.
    :param depth: the share of the text that stands before the needle, 0 to 1. Several needles stand at equal distances,
        one of them at the depth asked for.
    :param seed: another seed makes another text. So do another depth and another length: no two cells of a grid share
        anything, and a test of each is a sample of its own.
    :param filler: what the text is made of, one of `FILLERS`; 'prose' for the kind 'single', else 'needles'.
    :raises MarkerError: when an argument cannot be meant like this.
    """

    def __init__(self, kind: str, tokens: int, depth: float, *, seed: int = 0, filler: str | None = None) -> None:
        if not isinstance(kind, str) or kind not in KINDS:
            raise MarkerError(f"kind={short(kind)}; allowed: {', '.join(map(repr, KINDS))}")
        if isinstance(depth, bool) or not isinstance(depth, int | float) or not 0 <= depth <= 1:
            raise MarkerError(f"depths={short(depth)}; allowed: numbers from 0 (the beginning) to 1 (the end)")
        if filler is not None and filler not in FILLERS:
            raise MarkerError(f"filler={short(filler)}; allowed: {', '.join(map(repr, FILLERS))}")
        self.kind = kind
        self.tokens = checked_count("tokens", tokens, most=_MOST)
        self.depth = float(depth)
        self.seed = checked_count("seed", seed, least=0)
        self.filler = filler or ("prose" if kind == "single" else "needles")
        self._draws = Draws(seed, kind, self.filler, tokens, self.depth)
        self._kind = KINDS[kind](self._draws)
        self._length: Length | None = None

    def __repr__(self) -> str:
        return f"{self.kind}-{self.tokens}-{self.depth:g}"

    @property
    def expect(self) -> tuple[str, ...]:
        """The answer: one value, or several in the order in which they stand in the text."""
        return self._kind.expect

    def distractors(self) -> list[str]:
        """Every other value that stands in the text; nothing before `prompt` was asked for."""
        return [] if self._length is None else [needle.value for needle in self._others(self._length.sentences)]

    def choices(self, number: int = 8) -> tuple[str, ...]:
        """For ``quant.choose``: the answer and the ``number - 1`` most similar other values that stand in the text.

        :raises MarkerError: before `prompt` was asked for, and where the answer has several values.
        """
        if self._length is None or len(self.expect) > 1:
            why = "ask for its prompt first" if self._length is None else f"{len(self.expect)} values answer it"
            raise MarkerError(f"haystack {self} has no choices: {why}")
        (right,) = self.expect

        def alike(other: str) -> int:
            return sum(a == b for a, b in zip(other, right, strict=True))

        nearest = sorted(self.distractors(), key=alike, reverse=True)
        return tuple(sorted([right, *nearest[: number - 1]]))

    def prompt(self, tokenizer: Tokenizes) -> str:
        """The text with its question.

        It has ``tokens`` tokens by the tokenizer that asks first, and stays as it is for every other one: both sides of
        a comparison are asked the same, and the baseline's test runs first. A tokenizer that allows no such length gets
        the longest text below and a warning that says how long it is.

        :raises MarkerError: when not even the needles and the question fit.
        """
        __tracebackhide__ = True
        if self._length is None:
            self._length = fit(self._text, self.tokens, lambda text: len(tokenizer.tokenize(text)))
            if self._length is None:
                least = len(tokenizer.tokenize(self._text(0, ())))
                raise MarkerError(f"haystack {self}: {self.tokens} tokens are too few; the least is {least}")
            if self._length.tokens != self.tokens:
                got = f"{self._length.tokens} tokens, the most below that this tokenizer allows"
                warnings.warn(f"haystack {self} has {got}", stacklevel=2)
        return self._text(self._length.sentences, self._length.words)

    def _others(self, sentences: int) -> list[Any]:
        return self._kind.others(self._kind.few + (sentences if self.filler == "needles" else 0))

    def _text(self, sentences: int, words: Sequence[str]) -> str:
        others = [needle.sentence for needle in self._others(sentences)]
        if self.filler == "needles":
            body = others
        else:
            fill = (lambda at: prose(self._draws, at)) if self.filler == "prose" else noise
            places = [(at + 0.5) / len(others) for at in range(len(others))]
            body = _insert(others, places, [fill(at) for at in range(sentences)])
        # in the body, at its end: the needle is the first sentence at depth 0 and the last one at depth 1
        body.append(" ".join(("And so", *words)) + ".")
        needles = [needle.sentence for needle in self._kind.needles]
        places = [self.depth, *((self.depth + at / len(needles)) % 1 for at in range(1, len(needles)))]
        body = _insert(needles, sorted(places), body)
        topic = self._kind.topic
        head = f"Some {topic} are hidden in the text below. Remember them: a question about them stands at its end."
        return "\n\n".join((head, ("\n" if self.filler == "needles" else " ").join(body), self._kind.question))


def _insert(sentences: Sequence[str], places: Sequence[float], body: Sequence[str]) -> list[str]:
    """``body`` with the sentences at these places, 0 to 1, in order."""
    whole = list(body)
    for sentence, place in reversed(list(zip(sentences, places, strict=True))):
        whole.insert(round(place * len(body)), sentence)
    return whole


def grid(
    kind: str,
    tokens: int | Iterable[int],
    depths: float | Iterable[float] = _DEPTHS,
    *,
    seed: int = 0,
    each: int = 1,
    filler: str | None = None,
    answer_tokens: int = ANSWER_TOKENS,
    sample: bool = True,
    **recall: Any,
) -> Callable[[Any], Any]:
    """Run a test on a haystack of every length and depth: the test takes it as its argument ``hay``.

    Usage::

        @haystack.grid("uuid", tokens=[2000, 8000])
        def test_recall(quant, hay):
            quant.chat(hay.prompt(quant))

    Every test carries ``quant_recall`` with the answer and all other values of its haystack as distractors,
    ``quant_context`` with room for the answer, and ``quant_sample``.

    :param each: how many haystacks of each length and depth.
    :param answer_tokens: tokens that the chat template and the answer need besides the prompt.
    :param sample: whether a test is one sample of a skill, judged with the others, or a requirement of its own.
    :param recall: further keywords of ``quant_recall``. With ``margin=True`` the body is
        ``quant.choose(hay.prompt(quant), hay.choices())``.
    """
    try:
        checked_flag("sample", sample)
        room = checked_count("answer_tokens", answer_tokens)
        lengths = [tokens] if isinstance(tokens, int) else list(tokens)
        shares = [depths] if isinstance(depths, int | float) else list(depths)
        if not lengths or not shares:
            raise MarkerError(f"{'depths' if lengths else 'tokens'}=[]; allowed: a number or a list of numbers")
        seeds = range(seed := checked_count("seed", seed, least=0), seed + checked_count("each", each))
        cells = [Hay(kind, n, depth, seed=s, filler=filler) for n in lengths for depth in shares for s in seeds]
    except (MarkerError, TypeError) as error:
        return partial(_refused, f"haystack.grid: {error}")
    return pytest.mark.parametrize("hay", [_cell(hay, room, sample, recall, each) for hay in cells])


def _refused(why: str, test: Any) -> Any:
    """The test, refused when collection is over: there it is a usage error of one line."""
    setattr(test, markers.WRONG, why)
    return pytest.mark.parametrize("hay", [None])(test)


def _cell(hay: Hay, room: int, sample: bool, recall: dict[str, Any], each: int) -> Any:
    # RULER's score knows no distractors, and quant.choose names its own
    plain = recall.get("match", "token") == "token" and not recall.get("margin")
    known = {"distractors": hay.distractors} if plain else {}
    marks = [
        pytest.mark.quant_recall(**{"expect": hay.expect, **known, **recall}),
        pytest.mark.quant_context(tokens=hay.tokens + room),
    ]
    if sample:
        marks.append(pytest.mark.quant_sample())
    return pytest.param(hay, marks=marks, id=f"{hay!r}-{hay.seed}" if each > 1 else repr(hay))
