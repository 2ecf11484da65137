"""What is scored: a text in windows, or the last turns of conversations, as token ids. In the engine's process only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from typing import Final

from pytest_quantcheck.engines.answer import Run
from pytest_quantcheck.engines.answer import kinds_of_tokens
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.engines.template import ChatTemplate
from pytest_quantcheck.engines.vocabulary import Vocabulary
from pytest_quantcheck.fidelity import Part
from pytest_quantcheck.fidelity_store import Passage
from pytest_quantcheck.thinking import Family
from pytest_quantcheck.thinking import Kind
from pytest_quantcheck.thinking import opens_thought
from pytest_quantcheck.thinking import split

_LEAST_WINDOW: Final = 4
_MARK: Final = "Lighthouse"


def windows(vocabulary: Vocabulary, text: str, window: int) -> tuple[Passage, ...]:
    """The text as llama-perplexity reads it: windows side by side, scored from the middle on.

    The first token of each window is replaced by BOS where the model wants one, what is left at the end is dropped
    (tools/perplexity/perplexity.cpp, ``perplexity``). Unlike there, a control token's text is that token.
    """
    if window < _LEAST_WINDOW:
        raise EngineRefused(f"the window must have at least {_LEAST_WINDOW} tokens, got {window}")
    ids = vocabulary.prompt(text)
    if len(ids) < 2 * window:
        raise EngineRefused(
            f"the text has {len(ids)} tokens, two windows of {window} need {2 * window}; "
            "give a longer text or a smaller window"
        )
    chunks = (ids[at : at + window] for at in range(0, len(ids) - window + 1, window))
    return tuple(text_passage(vocabulary, chunk) for chunk in chunks)


def text_passage(vocabulary: Vocabulary, ids: Sequence[int]) -> Passage:
    """One window of a text."""
    return Passage(tuple(vocabulary.begun(ids)), ((len(ids) // 2 + 1, len(ids), "text"),))


def end_of_turn(vocabulary: Vocabulary, template: ChatTemplate) -> list[int]:
    """The token with which the model ends its turn: the one that the template puts behind earlier turns.

    Where it puts none, the one that the file names; what llama.cpp takes for it when the file is silent (the first of
    several tokens that its hash table happens to have) may be another. Empty where there is none at all.
    """
    asked: Message = {"role": "user", "content": "Hello"}
    try:
        text = template.render((asked, {"role": "assistant", "content": _MARK}, asked))
    except EngineRefused:
        text = ""
    behind = vocabulary.tokenize(text.rpartition(_MARK)[2])
    return [*(token for token in behind if vocabulary.ends(token)), *vocabulary.end_tokens][:1]


def last_turn(
    vocabulary: Vocabulary, template: ChatTemplate, family: Family, end: Sequence[int], messages: Sequence[Message]
) -> Passage:
    """The conversation up to its last message as the template renders it, then that message as the model writes it.

    The thinking switch is on when the message holds a thought and off when it does not: so the model would have been
    asked. The message's tokens and the ``end`` of a turn are scored, thought and answer apart. EngineRefused, with
    what is wrong, for a conversation that cannot be read so.
    """
    before, text = messages[:-1], _written(messages[-1], family) if messages else ""
    if not before or not text:
        raise EngineRefused("it takes a message to answer and, as the last one, the assistant's answer, a text")
    thought = any(span.part is Kind.THINKING for span in split(text, family=family).spans)
    switch = template.thinking_default
    prompt = template.render(before, thinking=None if switch is None else thought)
    opened = opens_thought(prompt, family)
    if opened and not thought:
        raise EngineRefused(
            "the chat template opens a thought that cannot be switched off, and the last message has none; "
            "give it as reasoning_content, or in the content with the model's own markers"
        )
    if opened:
        seam = prompt[len(prompt.rstrip()) :]
        if text.startswith(family.thought.rstrip()):
            text = text.removeprefix(family.thought.rstrip()).removeprefix(seam)
    begun = vocabulary.prompt(prompt)
    if not begun:
        raise EngineRefused("the chat template renders nothing in front of the last message")
    ids = vocabulary.tokenize(text)
    run = Run()
    for token in ids:
        run.add(vocabulary.piece(token), 0.0)
    if ids[-1:] != list(end):
        for token in end:
            run.add(b"", 0.0)
            ids.append(token)
    raw = run.raw
    kinds = kinds_of_tokens(run, raw, split(raw, family=family, opened=opened))
    spans: list[tuple[int, int, Part]] = []
    at = len(begun)
    for part, tokens in groupby(kinds, key=_part):
        stop = at + len(list(tokens))
        spans.append((at, stop, part))
        at = stop
    return Passage((*begun, *ids), tuple(spans))


def _part(kind: Kind) -> Part:
    return "thought" if kind is Kind.THINKING else "answer"


def _written(message: Message, family: Family) -> str:
    """What the model would write for this message; '' when it is no assistant's text."""
    content: Any = message.get("content")
    thought: Any = message.get("reasoning_content")
    if message.get("role") != "assistant" or not isinstance(content, str) or message.get("tool_calls"):
        return ""
    if not thought:
        return content
    if not isinstance(thought, str) or not family.thinks or family.messages is not None:
        raise EngineRefused(
            "the last message's reasoning_content has no place in what this model writes; "
            "put the thought into the content, with the model's own markers"
        )
    return f"{family.thought}{thought}{family.close}{content}"
