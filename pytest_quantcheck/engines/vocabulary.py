"""Text to token ids and back, through llama.cpp. Runs inside the engine's own process only."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as C

from pytest_quantcheck.engines.base import EngineRefused


class Vocabulary:
    """The tokenizer of a loaded model."""

    def __init__(self, model: Any) -> None:
        self.handle = C.llama_model_get_vocab(model)
        self.size: int = C.llama_vocab_n_tokens(self.handle)
        self._piece_buffer = ctypes.create_string_buffer(4096)

    def tokenize(self, text: str, *, add_special: bool = False) -> list[int]:
        """Token ids, special tokens parsed; ``add_special`` adds those that the file wants around every text."""
        data = text.encode("utf-8", "replace")
        ids = (C.llama_token * (len(data) + 8))()
        count = C.llama_tokenize(self.handle, data, len(data), ids, len(ids), add_special, True)
        if count < 0:
            raise EngineRefused(f"llama.cpp cannot tokenise a text of {len(data)} bytes")
        return list(ids[:count])

    def prompt(self, text: str) -> list[int]:
        """Token ids of a whole prompt, with BOS in front where the file wants one."""
        return self.with_bos(self.tokenize(text))

    def with_bos(self, ids: list[int]) -> list[int]:
        """The tokens of a prompt with BOS in front where the file wants one."""
        # templates usually write BOS themselves; a second one changes the answers
        return [*self._bos_in_front, *ids] if ids[:1] != self._bos_in_front else ids

    def begun(self, ids: Sequence[int]) -> list[int]:
        """A piece of a text as a prompt: BOS in place of its first token where the file wants one."""
        return [*self._bos_in_front, *ids[len(self._bos_in_front) :]]

    @property
    def _bos_in_front(self) -> list[int]:
        bos = C.llama_vocab_bos(self.handle)
        return [bos] if bos >= 0 and C.llama_vocab_get_add_bos(self.handle) else []

    def ends(self, token: int) -> bool:
        """Whether the token ends the answer."""
        return bool(C.llama_vocab_is_eog(self.handle, token))

    def piece(self, token: int) -> bytes:
        """The bytes of one token; markers are spelled out."""
        # markers must stay visible for the splitter, hence special=True; the package's 32-byte buffer loses tokens
        size = C.llama_token_to_piece(self.handle, token, self._piece_buffer, len(self._piece_buffer), 0, True)
        if size < 0:
            self._piece_buffer = ctypes.create_string_buffer(-size)
            size = C.llama_token_to_piece(self.handle, token, self._piece_buffer, -size, 0, True)
        return self._piece_buffer.raw[: max(size, 0)]

    @property
    def end_tokens(self) -> list[int]:
        """The tokens that the file names as the end of a turn and of a text, as far as it does."""
        found = (C.llama_vocab_eot(self.handle), C.llama_vocab_eos(self.handle))
        return [token for token in found if token >= 0]

    @property
    def bos(self) -> str:
        """The token that begins a text, spelled out; empty when there is none."""
        return self._special(C.llama_vocab_bos(self.handle))

    @property
    def eos(self) -> str:
        """The token that ends a text, spelled out; empty when there is none."""
        return self._special(C.llama_vocab_eos(self.handle))

    def _special(self, token: int) -> str:
        return self.piece(token).decode("utf-8", "replace") if token >= 0 else ""
