"""A GGUF file through llama.cpp's low-level API: tokenize, score, answer.

Not the chat interface: this is many times faster here and hides nothing. Greedy, a fresh context memory for every
prompt, one thread, the prompt rendered by the chat template that is in the file.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

import jinja2
import llama_cpp
import numpy as np
import numpy.typing as npt
import tasks

_CONTEXT: Final = 2560
_LONGEST_ANSWER: Final = 128

# llama.cpp's loading messages say nothing here; the callback has to live as long as the library.
_SILENT: Final = llama_cpp.llama_log_callback(lambda level, text, data: None)


class Runner:
    """One loaded model."""

    def __init__(self, path: Path) -> None:
        llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        options = llama_cpp.llama_model_default_params()
        options.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
        if not self._model:
            raise RuntimeError(f"llama.cpp could not load {path}")
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = _CONTEXT, _CONTEXT, 512
        settings.n_threads = settings.n_threads_batch = 1
        self._context = llama_cpp.llama_init_from_model(self._model, settings)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        template = llama_cpp.llama_model_chat_template(self._model, None)
        self._template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(
            (template or b"").decode()
        )

    def close(self) -> None:
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def render(self, example: tasks.Example, thinking: bool = True) -> str:
        return str(
            self._template.render(
                messages=example.messages, tools=example.tools, add_generation_prompt=True, enable_thinking=thinking
            )
        )

    def tokenize(self, text: str) -> list[int]:
        data = text.encode()
        room = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self._vocabulary, data, len(data), room, len(room), False, True)
        return list(room[:count])

    def logits(self, tokens: list[int]) -> npt.NDArray[np.float32]:
        """Scores after each of the tokens."""
        self._clear()
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place], batch.pos[place], batch.logits[place] = token, place, 1
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
        result = llama_cpp.llama_decode(self._context, batch)
        llama_cpp.llama_batch_free(batch)
        if result != 0:
            raise RuntimeError("llama.cpp could not decode")
        return np.stack([self._row(place) for place in range(len(tokens))])

    def answer(self, prompt: str) -> str:
        """The greedy continuation up to the end of the turn, special tokens included as text."""
        self._clear()
        data, tokens = b"", self.tokenize(prompt)
        room = ctypes.create_string_buffer(64)
        for _ in range(_LONGEST_ANSWER):
            self._decode(tokens)
            tokens = [int(self._row(-1).argmax())]
            if llama_cpp.llama_vocab_is_eog(self._vocabulary, tokens[0]):
                break
            length = llama_cpp.llama_token_to_piece(self._vocabulary, tokens[0], room, len(room), 0, True)
            data += room.raw[:length]
        return data.decode(errors="replace")

    def _clear(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)

    def _decode(self, tokens: list[int]) -> None:
        array = (llama_cpp.llama_token * len(tokens))(*tokens)  # the batch only points to it
        batch = llama_cpp.llama_batch_get_one(array, len(tokens))
        if llama_cpp.llama_decode(self._context, batch) != 0:
            raise RuntimeError("llama.cpp could not decode")

    def _row(self, place: int) -> npt.NDArray[np.float32]:
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, place), (self._size,))
