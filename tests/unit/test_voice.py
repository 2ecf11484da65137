"""The voice of a served model: the same model says the same, another one is noticed by a word or by a likelihood."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_quantcheck import ScriptedEngine
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.server.dialect import served_card
from pytest_quantcheck.voice import Voice
from pytest_quantcheck.voice import is_other
from pytest_quantcheck.voice import listen
from pytest_quantcheck.voice import needs_voice

HEARD = Voice(("72", "a", "b", "c"), (-12.5, -14.25, -20.0, -9.125))


def engine(answer: str = "72", likelihoods: tuple[float, ...] | None = HEARD.likelihoods) -> ScriptedEngine:
    def choose(prompt: str, choices: tuple[str, ...]) -> tuple[float, ...]:
        if likelihoods is None:
            raise EngineCannot("no likelihoods here")
        return likelihoods

    return ScriptedEngine(lambda prompt: answer, choose=choose)


def test_the_same_model_says_the_same() -> None:
    voice = listen(engine())

    assert voice == Voice(("72",) * 4, HEARD.likelihoods)
    assert not is_other(voice, listen(engine()))
    assert Voice.from_payload(voice.to_payload()) == voice


@pytest.mark.parametrize(
    ("new", "other"),
    [
        (HEARD, False),
        (replace(HEARD, answers=("72", "a", "b", "d")), True),
        (replace(HEARD, likelihoods=(-12.5, -14.25, -20.0, -9.13)), False),  # a build prints fewer digits
        (replace(HEARD, likelihoods=(-12.5, -14.25, -20.02, -9.125)), True),
        (replace(HEARD, likelihoods=()), False),  # by its words alone
        (replace(HEARD, answers=("72", "a", "b", ""), likelihoods=()), True),
    ],
)
def test_another_one_is_noticed(new: Voice, other: bool) -> None:
    assert is_other(HEARD, new) is is_other(new, HEARD) is other


def test_words_are_enough_where_no_likelihoods_are_told() -> None:
    assert listen(engine(likelihoods=None)) == Voice(("72",) * 4)


def test_a_model_that_does_not_answer_has_no_voice() -> None:
    def refuse(prompt: str) -> str:
        raise EngineRefused("busy")

    with pytest.raises(EngineRefused, match="busy"):
        listen(ScriptedEngine(refuse))


def test_only_a_served_model_without_a_mark_is_asked() -> None:
    card = served_card("http://h#m", "m (h)")

    assert needs_voice(card)
    assert not needs_voice(replace(card, fingerprint="ab"))
    assert not needs_voice(replace(card, served=False))
