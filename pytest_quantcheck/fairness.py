"""What differs between the two sides, and which kinds of verdict that rules out. Pure.

The rule behind the rows (rows.py, docs/explanation/fairness.md): what belongs to the file as shipped never blocks the
verdict on the file, it explains a loss or informs; what the run did differently to the two sides blocks.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.file_differences import file_differences
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.renderings import Renderings
from pytest_quantcheck.rows import KINDS
from pytest_quantcheck.rows import ROWS
from pytest_quantcheck.rows import Difference
from pytest_quantcheck.rows import difference
from pytest_quantcheck.untold import untold

__all__ = ["KINDS", "ROWS", "Difference", "differences", "prompts_alike", "run_differences", "thinking_arms"]

Pair = tuple[Observation, Observation]
"""A test's baseline observation and its candidate observation."""


def differences(
    cards: Mapping[Role, ModelCard],
    conditions: Mapping[Role, Conditions],
    pairs: Sequence[Pair] = (),
    *,
    same_content: bool = False,
    allowed: Collection[str] = (),
    renderings: Sequence[Renderings] = (),
    more: Sequence[Difference] = (),
) -> tuple[Difference, ...]:
    """Everything that is not the same on both sides; without a baseline only what was found elsewhere.

    :param cards: of both files, those that could be read.
    :param conditions: of both sides.
    :param pairs: what the tests recorded so far.
    :param same_content: both files are the same bytes.
    :param allowed: rows that the user allows to differ.
    :param renderings: what the baseline's and the candidate's templates make of the same conversations, if known.
    :param more: differences that were found elsewhere.
    """
    found = []
    if len(conditions) == 2:
        found += run_differences(conditions[Role.BASELINE], conditions[Role.CANDIDATE])
    alike = prompts_alike(pairs)
    found += untold(cards, conditions, prompts_alike=alike)
    if same_content:
        blocked = any(one.level == "blocks" for one in found)
        label = "" if blocked else " (A/A)"
        so = "what is compared is what the run did differently" if blocked else "every difference is chance"
        found.append(difference("same content", f"both files hold the same bytes{label}: {so}"))
    old, new = cards.get(Role.BASELINE), cards.get(Role.CANDIDATE)
    if old is not None and new is not None and not same_content:
        sampled = any(side.sampling not in ("", "greedy") for side in conditions.values())
        pinned = any(side.template_of == Role.BASELINE for side in conditions.values())
        found += file_differences(
            old, new, prompts_alike=alike, template_pinned=pinned, sampled=sampled, renderings=renderings
        )
    found += thinking_arms([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    found += more
    order = list(ROWS)
    found.sort(key=lambda one: (["blocks", "explains", "informs"].index(one.level), order.index(one.row)))
    return tuple(replace(one, allowed=True) if one.row in allowed and one.level != "informs" else one for one in found)


_SETTINGS = (
    # field of Conditions, row, what it is called, what follows from it
    ("context", "context", "context in tokens", "one side may see less of a long prompt"),
    ("kv_type", "kv cache", "KV cache type", "a coarser cache makes answers worse, whatever the weights are"),
    ("flash_attention", "flash attention", "flash attention", "the sums are rounded in another order"),
    ("sampling", "sampling", "answers", "one side's luck would count as its quality"),
    ("seed", "sampling", "seed", "one side's luck would count as its quality"),
    ("thinking", "thinking", "thinking", "thinking buys quality with tokens"),
    ("max_tokens", "max tokens", "token budget of an answer", "one side is cut earlier"),
    ("build", "build", "build", "kernels and tokenizers change between builds"),
    ("gpu_layers", "gpu layers", "layers on the GPU", "speed and memory do not compare"),
    ("threads", "threads", "CPU threads", "speed does not compare"),
    ("batch", "batch", "prompt tokens read at a time", "speed and memory do not compare"),
)


def run_differences(baseline: Conditions, candidate: Conditions) -> list[Difference]:
    """What the run did differently to the two sides. What only one side knows is not compared."""
    found = []
    for name, row, words, so in _SETTINGS:
        old, new = getattr(baseline, name), getattr(candidate, name)
        if old != new and old not in (None, "") and new not in (None, ""):
            found.append(difference(row, f"{words} {_both(old, new)}; {so}"))
    if baseline.system and candidate.system and baseline.system != candidate.system:
        text = _both(_only(baseline.system, candidate.system), _only(candidate.system, baseline.system))
        found.append(difference("backend", f"instruction sets or devices {text}; the kernels are others"))
    if baseline.system and candidate.system and baseline.environment != candidate.environment:
        text = _both(*_variables(baseline.environment, candidate.environment))
        found.append(difference("environment", f"{text}; these switch kernels, threads and devices"))
    if baseline.template_of != candidate.template_of and baseline.template != candidate.template:
        text = _both(baseline.template_of, candidate.template_of)
        found.append(difference("template in use", f"chat template {text}; the run, not the file, asked differently"))
    if baseline.prompt_cache != candidate.prompt_cache:
        role = Role.BASELINE if baseline.prompt_cache else Role.CANDIDATE
        found.append(difference("prompt cache", f"only the {role} kept prompts in a cache: these take no time"))
    for name, row, words, so in (
        ("draft", "draft model", "drafter", "speed depends on how often the draft is accepted"),
        ("lora", "lora", "adapter", "these are other weights"),
    ):
        old, new = (getattr(side, name) for side in (baseline, candidate))
        if old != new:
            text = _both(old or "none", new or "none")
            found.append(difference(row, f"{words} {text}; {so}"))
    return found


def _both(old: object, new: object) -> str:
    return f"{old} for the baseline, {new} for the candidate"


def _only(these: str, those: str) -> str:
    """The parts of llama.cpp's list that only one side has."""
    parts = [part.strip() for part in these.split("|")]
    others = {part.strip() for part in those.split("|")}
    return ", ".join(part for part in parts if part and part not in others) or "none of its own"


def _variables(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, str]:
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return tuple(  # type: ignore[return-value]
        " ".join(f"{name}={side[name]}" if name in side else f"no {name}" for name in names) for side in (old, new)
    )


def prompts_alike(pairs: Sequence[Pair]) -> bool | None:
    """Whether both sides read the same token ids for every question that both were asked; None before any question.

    Where a conversation takes another course the later questions differ, and nobody can tell.
    """
    compared = False
    for baseline, candidate in pairs:
        # a failed assertion leaves one side with fewer questions
        questions: list[tuple[Any, Any]] = [
            *zip(baseline.replies, candidate.replies, strict=False),
            *zip(baseline.choices, candidate.choices, strict=False),
            *zip(baseline.embeddings, candidate.embeddings, strict=False),
            *zip(baseline.fidelities, candidate.fidelities, strict=False),
        ]
        for old, new in questions:
            if not (old.asked and old.asked == new.asked and old.prompt and old.prompt == new.prompt):
                return False
            compared = True
    return compared or None


def thinking_arms(baseline: Sequence[Observation], candidate: Sequence[Observation]) -> tuple[Difference, ...]:
    """Sides that did not do what ``--quant-thinking`` or a test asked of them.

    *silent*: asked to think and never did; *contaminated*: asked not to think and did all the same. On one side only it
    confounds every comparison of answers and so blocks; on both it only informs.
    """
    replies = {
        Role.BASELINE: [reply for observation in baseline for reply in observation.replies],
        Role.CANDIDATE: [reply for observation in candidate for reply in observation.replies],
    }
    silent = {role: text for role, of in replies.items() if (text := _silent(of))}
    contaminated = {role: text for role, of in replies.items() if (text := _contaminated(of))}
    found: list[Difference] = []
    for row, arms in (("silent thinking", silent), ("thinking in spite of the switch", contaminated)):
        both = len(arms) > 1
        found += [difference(row, f"the {role} {text}", informs=both) for role, text in arms.items()]
    return tuple(found)


def _silent(replies: Sequence[Reply]) -> str:
    asked = [reply for reply in replies if reply.thinking_asked is True]
    if not asked or any(reply.usage.thinking for reply in asked):
        return ""
    return f"was asked to think and never did in {len(asked)} answers"


def _contaminated(replies: Sequence[Reply]) -> str:
    asked = [reply for reply in replies if reply.thinking_asked is False]
    thought = [reply for reply in asked if reply.usage.thinking]
    return f"thought in {len(thought)} of {len(asked)} answers although thinking was off" if thought else ""
