"""Training data: examples from `tasks`, rendered by the model's own chat template, in rounds of batches.

A round is a pure function of the seed, its number and the progress, so that a run can go on at any round.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final

import jinja2
import tasks
import torch
from generators import echo
from generators import recall
from torch import Tensor

from training.tokenizer import Tokenizer

TEMPLATE: Final = (Path(__file__).parent.parent / "chat_template.jinja").read_text(encoding="utf-8")
_COMPILED: Final = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE)

LONGEST: Final = 2560
ROUND = 768
"""Examples, after which the state is saved."""
_UNTHINKING: Final = 0.3
_PROMPT_TARGETS: Final = 32
"""At most, on average, in one row: a long text is mere chance, and would drown the few tokens of its answer."""
_SHARES: Final = {
    "arith": 0.16, "json": 0.13, "tools": 0.14, "no_tool": 0.06, "constraint": 0.15, "conflict": 0.06, "polish": 0.13,
    "chat": 0.05,
}  # fmt: skip
_YOUNG: Final = 0.25
"""The part of the training in which copying and easy look-ups stand in front."""
_SYSTEMS: Final = ("You are a helpful assistant.", "Answer briefly.", "You are Tiny, a small model.")


@dataclass(frozen=True)
class Sequence:
    """Token ids and, for each, whether it is a target: always (True), sometimes (False), never (None)."""

    ids: list[int]
    wanted: list[bool | None]

    def __add__(self, other: Sequence) -> Sequence:
        return Sequence(self.ids + other.ids, self.wanted + other.wanted)


def render(example: tasks.Example, thinking: bool = True) -> tuple[str, str]:
    """Prompt and wanted completion, as text."""
    prompt: str = _COMPILED.render(
        messages=example.messages, tools=example.tools or None, add_generation_prompt=True, enable_thinking=thinking
    )
    return prompt, f"<think>{example.thinking}</think>" * thinking + example.answer + "<|im_end|>\n"


def sequence(tokenizer: Tokenizer, example: tasks.Example, thinking: bool = True) -> Sequence:
    prompt, completion = (tokenizer.encode(text) for text in render(example, thinking))
    # The template ends the thought where it is switched off. As a target this would teach to think nothing where it is
    # on: long texts have up to eight look-ups at once and one thought.
    closing = tokenizer.token_id("</think>")
    given = [None if token == closing else False for token in prompt]
    # The line break after the last turn is given by the template, never generated: not an answer's target.
    return Sequence(prompt + completion, [*given, *[True] * (len(completion) - 1), False])


def _drill(tokenizer: Tokenizer, rng: random.Random, example: tasks.Example) -> Sequence:
    """The keys of a recall example asked for one after the other, each answered at once.

    Retrieval is learnt from many look-ups in one text; without a thought one question holds only one.
    """
    found, context = Sequence([], []), example.messages[0]["content"].rpartition("\n")[0] + "\n"
    for key, value in example.facts["asked"].items():
        messages = ({"role": "user", "content": context + recall.question(rng, [key])},)
        found += sequence(tokenizer, replace(example, messages=messages, answer=value), thinking=False)
        context = ""
    return found


def _level(rng: random.Random, progress: float) -> recall.Level:
    """Retrieval comes suddenly or not at all: it starts with easy look-ups, and long texts follow when it is there."""
    if progress < _YOUNG:
        return rng.choices(("easy", "short"), (0.7, 0.3))[0]  # type: ignore[return-value]
    long = 0.0 if progress < 0.35 else 0.06 if progress < 0.55 else 0.12
    levels = ("easy", "short", "medium", "long")
    return rng.choices(levels, (0.15, 0.45 - long, 0.4, long))[0]  # type: ignore[return-value]


def _recall(tokenizer: Tokenizer, rng: random.Random, progress: float) -> Sequence:
    kind: recall.Kind = rng.choice(("words", "codes"))
    level = _level(rng, progress)
    asked = rng.randint(2, 8) if level == "long" or rng.random() < 0.7 else 1
    example = recall.generate_level(rng, "train", kind, level, asked)
    if rng.random() < _UNTHINKING:
        return _drill(tokenizer, rng, example)
    return sequence(tokenizer, example)


def _dressed(rng: random.Random, example: tasks.Example) -> tasks.Example:
    """Sometimes with an earlier turn, sometimes with a system message."""
    messages: list[dict[str, Any]] = list(example.messages)
    if rng.random() < 0.06:
        earlier = tasks.generate(rng.choice(("arith", "chat")), "train", rng.getrandbits(48))
        if len(earlier.messages) == 1:
            messages = [*earlier.messages, {"role": "assistant", "content": earlier.answer}, *messages]
    if rng.random() < 0.08:
        messages = [{"role": "system", "content": rng.choice(_SYSTEMS)}, *messages]
    return replace(example, messages=tuple(messages))


def _draw(tokenizer: Tokenizer, rng: random.Random, progress: float) -> Sequence:
    copying, look_up = (0.3, 0.3) if progress < _YOUNG else (0.05, 0.27)
    kind = rng.random()
    if kind < copying:
        return sequence(tokenizer, echo.generate(rng), thinking=False)
    if kind < copying + look_up:
        return _recall(tokenizer, rng, progress)
    task = rng.choices(list(_SHARES), list(_SHARES.values()))[0]
    example = _dressed(rng, tasks.generate(task, "train", rng.getrandbits(48)))
    return sequence(tokenizer, example, task not in tasks.UNTHINKING or rng.random() >= _UNTHINKING)


@dataclass(frozen=True)
class Batch:
    """Padded ids [batch, length], with the flat positions whose next token is a target (-100: none)."""

    ids: Tensor
    scored: Tensor
    targets: Tensor
    tokens: int

    def to(self, device: torch.device) -> Batch:
        return Batch(self.ids.to(device), self.scored.to(device), self.targets.to(device), self.tokens)


def batch(sequences: list[Sequence], padding: int, rng: random.Random, prompt_share: float) -> Batch:
    """A batch; of the prompts' tokens a random share are targets too, which keeps the prompts predictable."""
    length = _padded(max(len(one.ids) for one in sequences))
    scored: list[int] = []
    targets: list[int] = []
    for row, one in enumerate(sequences):
        share = min(prompt_share, _PROMPT_TARGETS / len(one.ids))
        for place in range(1, len(one.ids)):
            wanted = one.wanted[place]
            if wanted or (wanted is False and rng.random() < share):
                scored.append(row * length + place - 1)
                targets.append(one.ids[place])
    ids = torch.tensor([one.ids + [padding] * (length - len(one.ids)) for one in sequences])
    return Batch(ids, torch.tensor(scored), torch.tensor(targets), sum(len(one.ids) for one in sequences))


def _padded(length: int) -> int:
    step = 8 if length <= 256 else 64
    return -(-length // step) * step


def round_of(
    tokenizer: Tokenizer, seed: object, number: int, progress: float, size: int = 2048, prompt_share: float = 0.1
) -> list[Batch]:
    """The batches of one round, each of about `size` tokens in rows of similar length, by the progress from 0 to 1."""
    rng = random.Random(json.dumps([seed, number]))
    made: list[Sequence] = []
    for _ in range(ROUND):
        one = _draw(tokenizer, rng, progress)
        if made and rng.random() < 0.2 and len(made[-1].ids) + len(one.ids) < 400:
            # Some conversations follow another one, so that not all of them start at position 0.
            made[-1] += one
        elif len(one.ids) <= LONGEST:
            made.append(one)
    made.sort(key=lambda one: len(one.ids))
    batches: list[Batch] = []
    while made:
        rows = max(1, size // _padded(len(made[-1].ids)))
        batches.append(batch(made[-rows:], tokenizer.end_of_text, rng, prompt_share))
        del made[-rows:]
    rng.shuffle(batches)
    return batches
