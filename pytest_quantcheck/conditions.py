"""Under which conditions one side ran: what the settings say, overruled by what its engine really did. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final

from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.records import Record
from pytest_quantcheck.records import Role
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.text import digest


@dataclass(frozen=True, slots=True)
class Conditions(Record):
    """Everything that the run, not the file, decided for one side. None or empty: not known.

    The names are those of an engine's ``facts``, which overrule what was planned.
    """

    context: int | None = None
    kv_type: str = ""
    flash_attention: str = ""
    gpu_layers: str = ""
    threads: int | None = None
    batch: int | None = None
    build: str = ""
    system: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    sampling: str = ""
    seed: int | None = None
    thinking: str = ""
    max_tokens: int | None = None
    template: str = ""
    """Digest of the chat template that rendered the prompts."""
    template_of: str = "its own"
    """Whose template that was: 'its own', the role's that it was taken from, or 'another' that the engine chose."""
    prompt_cache: bool = False
    projector: str = ""
    """The file that turns images into embeddings; empty without one."""
    drafter: str = ""
    """The file that was checked as a drafter; it drafts nothing here."""
    draft: str = ""
    """The model that drafts tokens; empty when none does."""
    lora: str = ""
    """The adapter over the weights; empty without one."""
    decided_by: dict[str, str] = field(default_factory=dict)
    """Of what a server does not tell: field -> who decides it. Two models of one decider do not differ in it."""

    def with_facts(self, facts: Mapping[str, Any]) -> Conditions:
        """These conditions as the engine reports them; facts of other names or types are left aside.

        A context or threads of None are not known: what was planned is none of the engine's.
        """
        told = {name: facts[name] for name, kind in _FACTS.items() if isinstance(facts.get(name), kind)}
        told |= {name: None for name in ("context", "threads") if name in facts and facts[name] is None}
        if told.get("template", self.template) != self.template:
            told["template_of"] = "another"
        return replace(self, **told)


# what an engine may report
_FACTS: Final[dict[str, type]] = {
    "context": int,
    "kv_type": str,
    "flash_attention": str,
    "gpu_layers": str,
    "threads": int,
    "batch": int,
    "build": str,
    "system": str,
    "environment": dict,
    "template": str,
    "prompt_cache": bool,
    "projector": str,
    "draft": str,
    "lora": str,
    "decided_by": dict,
}


def planned(role: Role, settings: Settings, pins: Pins, card: ModelCard | None) -> Conditions:
    """What one side is going to run under, as far as the settings and the header say."""
    template = pins.template or (card.chat_template if card is not None else None)
    given = pins.template is not None and card is not None and pins.template != card.chat_template
    served = card is not None and card.served  # how it was loaded is the server's own business
    return Conditions(
        context=pins.context,
        kv_type="" if served else settings.kv_type_of(role),
        gpu_layers="" if served else "all" if settings.gpu_layers < 0 else str(settings.gpu_layers),
        threads=None if served else settings.threads,
        sampling="greedy" if settings.samples == 1 else f"drawn, {settings.samples} times",
        seed=settings.seed,
        thinking=thinking_words(settings, pins),
        max_tokens=pins.max_tokens,
        template=digest(template) if template else "",
        template_of=str(Role.BASELINE) if given else "its own",
        projector=Path(settings.mmproj_of(role) or "").name,
        drafter=Path(settings.draft_of(role) or "").name,
    )


def thinking_words(settings: Settings, pins: Pins) -> str:
    """What is asked of both templates: 'on', 'off', 'on, at most 100 tokens', 'as the template has it'."""
    if pins.thinking is None:
        return "as the template has it"
    budget = settings.thinking.budget
    return ("on" if pins.thinking else "off") + (f", at most {budget} tokens" if budget is not None else "")
