"""A small byte-level BPE tokenizer, equal to llama.cpp's `gpt2` model with the `gpt-2` pre-tokenizer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final

import regex

CONTROL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
USER_DEFINED: Final = ("<think>", "</think>", "<tool_call>", "</tool_call>")
SPECIALS: Final = CONTROL + USER_DEFINED
VOCABULARY: Final = 2048

_SPLIT_SPECIALS: Final = regex.compile("(" + "|".join(map(regex.escape, SPECIALS)) + ")")
_WORDS: Final = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


def _byte_letters() -> dict[int, str]:
    """GPT-2's printable stand-in for every byte."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + len(letters) - len(plain)))
    return letters


_LETTERS: Final = _byte_letters()


class Tokenizer:
    """Encodes with given merges; ids: 256 bytes, merges, padding up to the vocabulary size, specials last."""

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self.merges = merges
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        learnt = [_LETTERS[byte] for byte in range(256)] + [left + right for left, right in merges]
        padding = VOCABULARY - len(learnt) - len(SPECIALS)
        self.tokens: list[str] = [*learnt, *(f"[PAD{n}]" for n in range(padding)), *SPECIALS]
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        self._cache: dict[str, list[int]] = {}

    @property
    def end_of_text(self) -> int:
        return self._ids["<|endoftext|>"]

    @property
    def end_of_turn(self) -> int:
        return self._ids["<|im_end|>"]

    def token_id(self, token: str) -> int:
        return self._ids[token]

    def encode(self, text: str) -> list[int]:
        """The ids of the text; special tokens in it are recognised."""
        ids: list[int] = []
        for piece in _SPLIT_SPECIALS.split(text):
            if piece in SPECIALS:
                ids.append(self._ids[piece])
                continue
            for word in _WORDS.findall(piece):
                found = self._cache.get(word)
                if found is None:
                    found = self._cache[word] = [self._ids[part] for part in self._merge(word)]
                ids += found
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        back = {letter: byte for byte, letter in _LETTERS.items()}
        data = b""
        for number in ids:
            token = self.tokens[number]
            data += token.encode() if token in SPECIALS else bytes(back[letter] for letter in token)
        return data.decode(errors="replace")

    def _merge(self, word: str) -> list[str]:
        parts = [_LETTERS[byte] for byte in word.encode()]
        while len(parts) > 1:
            ranks = [self._ranks.get(pair, len(self._ranks)) for pair in pairwise(parts)]
            best = min(ranks)
            if best == len(self._ranks):
                break
            parts = _join(parts, self.merges[best])
        return parts

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.merges))

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        return cls([(left, right) for left, right in json.loads(path.read_text())])


def _join(parts: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def learn(texts: Iterable[str]) -> Tokenizer:
    """Byte-pair merges from the texts.

    Words with digits take no part, so every digit is one token: a small model adds digits, not two-digit symbols.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        for piece in _SPLIT_SPECIALS.split(text):
            if piece not in SPECIALS:
                counts.update(word for word in _WORDS.findall(piece) if not any(letter.isdigit() for letter in word))
    words = {word: [_LETTERS[byte] for byte in word.encode()] for word in counts}
    merges: list[tuple[str, str]] = []
    while len(merges) < VOCABULARY - 256 - len(SPECIALS):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in words.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        # Ties are broken by the pair itself: the tokenizer must not depend on dictionary order.
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = {word: _join(parts, best) for word, parts in words.items()}
    return Tokenizer(merges)
