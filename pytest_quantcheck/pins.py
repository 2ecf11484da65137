"""What both sides are held to: values that a file would otherwise decide by itself, decided once for both. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.engines.base import DEFAULT_CONTEXT
from pytest_quantcheck.engines.base import default_budget
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.records import Record
from pytest_quantcheck.records import Role
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.thinking import recognise

ATTEMPTS: Final = 3
"""How often a question is asked whose answer the budget cuts, each time with twice the budget."""
_GIVEN: Final = "--quant-ctx gives"


@dataclass(frozen=True, slots=True)
class Pins(Record):
    """The same values for both sides.

    ``context``: tokens; None when no file says what it was trained for, then the engine decides. ``max_tokens``: of an
    answer that says nothing else. ``thinking``: the switch that is passed to both templates; None leaves it to them,
    which is the same where they are equal. ``template``: the chat template that renders both sides, None where each
    keeps its own. ``why`` explains a value that is not plain: (what, why). ``context_limit``: the most that a test may
    declare to need, None without a limit; ``context_limit_by`` says whose it is.
    """

    context: int | None = None
    max_tokens: int = default_budget(thinks=False)
    thinking: bool | None = None
    template: str | None = None
    why: tuple[tuple[str, str], ...] = ()
    context_limit: int | None = None
    context_limit_by: str = ""

    @classmethod
    def _nested(cls) -> dict[str, object]:
        return {"why": lambda pairs: tuple((what, why) for what, why in pairs)}

    @property
    def reasons(self) -> dict[str, str]:
        """What -> why."""
        return dict(self.why)


def templates_differ(settings: Settings, cards: Mapping[Role, ModelCard]) -> bool:
    """Whether the two sides render with different templates."""
    return settings.pin_template is None and len({card.chat_template for card in cards.values()}) > 1


def pin(settings: Settings, cards: Mapping[Role, ModelCard], *, thinking_default: bool | None = None) -> Pins:
    """The values for this run.

    :param cards: of the roles that run, those that could be read.
    :param thinking_default: what the baseline's template does when nobody says; None when it has no switch or nobody
        looked. It only counts where the two templates differ.
    """
    why = {}
    context = limit = settings.ctx
    limit_by = _GIVEN
    trained = {role: card.context_length for role, card in cards.items() if card.context_length}
    if context is None and trained:
        context = min(DEFAULT_CONTEXT, *trained.values())
        smaller = min(trained, key=lambda role: trained[role])
        has = f"the {smaller}'s server has" if cards[smaller].served else f"the {smaller} was trained for"
        limit, limit_by = trained[smaller], has
        if len({min(DEFAULT_CONTEXT, length) for length in trained.values()}) > 1:
            why["context"] = f"all that {has}"
    template = None
    if settings.pin_template == "baseline" and Role.BASELINE in cards:
        template = cards[Role.BASELINE].chat_template
    max_tokens = settings.max_tokens
    if max_tokens is None:
        thinks = [
            role for role, card in cards.items() if card.thinks or recognise(template or card.chat_template).thinks
        ]
        max_tokens = default_budget(thinks=bool(thinks))
        if 0 < len(thinks) < len(cards):
            why["max tokens"] = f"the {thinks[0]}'s template thinks"
    thinking = settings.thinking.switch
    if thinking is None and thinking_default is not None and templates_differ(settings, cards):
        thinking = thinking_default
        why["thinking"] = "what the baseline's template does by itself"
    return Pins(context, max_tokens, thinking, template, tuple(why.items()), limit, limit_by)


def with_declared(pins: Pins, needs: Mapping[str, int | None]) -> Pins:
    """The same with a context that fits all tests.

    What is declared must fit into the context, an answer comes on top, and so does room for asking again as far as the
    context goes that a run has by itself. A test that declares nothing declares that context.

    :param needs: tokens of context by test; None for a test that declares nothing.
    :raises MarkerError: when a test needs more than there can be.
    """
    declared = {test: need for test, need in needs.items() if need is not None}
    if not declared:
        return pins
    most = min(declared, key=lambda test: (-declared[test], test))  # tests may come in any order
    need, limit = declared[most], pins.context_limit
    if limit is not None and need > limit:
        others = sum(other > limit for other in declared.values()) - 1
        raise MarkerError(
            f"{most}: quant_context(tokens={need}): needs a context of {need} tokens, {pins.context_limit_by} {limit}"
            + (f" ({others} more {'test needs' if others == 1 else 'tests need'} too much)" if others else "")
            + ("" if pins.context_limit_by == _GIVEN else f"; leave it out, or go beyond with --quant-ctx={need}")
        )
    if pins.context_limit_by == _GIVEN and limit is not None:
        return pins
    usual = pins.context or DEFAULT_CONTEXT
    context = min(need + 2 ** (ATTEMPTS - 1) * pins.max_tokens, max(usual, need + pins.max_tokens))
    if len(declared) < len(needs):
        context = max(context, usual)
    if limit is not None:
        context = min(context, limit)
    if context == pins.context:
        return pins
    why = pins.reasons | {"context": f"{most} needs {need}"}
    return replace(pins, context=context, why=tuple(why.items()))
