"""Images for a text model, through llama.cpp's mtmd library. Runs inside the engine's own process only."""

from __future__ import annotations

import ctypes
import os
import secrets
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as C

from pytest_quantcheck.devices import CPU
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.engines.base import describe
from pytest_quantcheck.engines.bounds import Progress
from pytest_quantcheck.engines.bounds import bounded
from pytest_quantcheck.engines.bounds import signs_of_life
from pytest_quantcheck.engines.decoder import Decoder
from pytest_quantcheck.engines.llama_log import LlamaLog
from pytest_quantcheck.engines.vocabulary import Vocabulary
from pytest_quantcheck.images import image_bytes
from pytest_quantcheck.images import part_text


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a prompt: the token ids of a text, or an image that takes so many places of the context."""

    places: int
    ids: list[int] | None = None
    image: Any = None
    digest: str = ""


class SeenPrompt:
    """A prompt of text and images, taken apart."""

    def __init__(self, mtmd: Any, context: Any, chunks: Sequence[Chunk], log: LlamaLog, progress: Progress) -> None:
        self._mtmd = mtmd
        self._context = context
        self._chunks = chunks
        self._log = log
        self._progress = progress
        self.ids: list[int] = [token for chunk in chunks for token in chunk.ids or ()]
        """The tokens of the text."""
        self.tokens: list[int | str] = [
            token
            for chunk in chunks
            for token in (chunk.ids if chunk.ids is not None else [f"image {chunk.digest}"] * chunk.places)
        ]
        """All that is read: ids, and for every place of an image a word that holds the digest of its bytes."""
        self.seeds = [*self.ids, *(int(chunk.digest[:8] or "0", 16) for chunk in chunks if chunk.ids is None)]
        """The same in numbers, each image once."""

    def read(self, decoder: Decoder) -> None:
        """Read it into an empty cache."""
        decoder.begin()
        for chunk in self._chunks:
            if chunk.ids is not None:
                decoder.read_on(chunk.ids)
            else:
                self._look(chunk, decoder)

    def _look(self, chunk: Chunk, decoder: Decoder) -> None:
        at = C.llama_pos(0)
        self._log.clear()
        with signs_of_life(self._progress):
            code = self._mtmd.mtmd_helper_eval_chunk_single(
                self._context, decoder.context, chunk.image, decoder.position, 0, decoder.batch, False, ctypes.byref(at)
            )
        if code != 0:
            raise EngineRefused(f"llama.cpp cannot read the image (code {code}): {self._log.cause()}")
        decoder.go_on_from(at.value)


class Sight:
    """The projector of one loaded model; nothing happens before the first image."""

    def __init__(
        self, model: Any, vocabulary: Vocabulary, settings: LoadSettings, log: LlamaLog, progress: Progress
    ) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._settings = settings
        self._log = log
        self._progress = progress
        self._marker = f"<__media_{secrets.token_hex(8)}__>"  # no message can hold it by chance
        self._mtmd: Any = None
        self._context: Any = None
        self._refusal = ""

    def render(
        self, messages: Sequence[Message], render: Callable[[Sequence[Message]], str]
    ) -> tuple[str, list[bytes]]:
        """The prompt's text with a marker in place of each image, and the images.

        As llama.cpp's server does it (common/chat.cpp): the parts of a message become one text, or a list of one text
        part where the template understands nothing else.
        """
        images = [data for message in messages for data in _images(message)]
        plain = [_joined(message, self._marker) for message in messages]
        if not images:
            try:
                return render(messages), []
            except EngineRefused:
                if plain == list(messages):
                    raise
                return render(plain), []
        if not self._settings.mmproj:
            raise EngineRefused(
                "an image needs --quant-mmproj=FILE: the projector (mmproj) that was published with the model"
            )
        why = ""
        for shape in (plain, [_typed(message) for message in plain]):
            try:
                prompt = render(shape)
            except EngineRefused as error:
                why = why or str(error)
                continue
            if prompt.count(self._marker) == len(images):
                return prompt, images
            why = why or "the file's chat template leaves images out"
        raise EngineRefused(why)

    @contextmanager
    def prompt(self, text: str, images: Sequence[bytes], decoder: Decoder) -> Iterator[SeenPrompt]:
        """Take apart a prompt that ``render`` made; it can be read while the context is open."""
        mtmd, context = self._loaded()
        with ExitStack() as stack:
            with bounded(self._progress, "reading an image"):
                bitmaps = [self._bitmap(stack, data) for data in images]
                found = self._chunks(stack, text, bitmaps)
            chunks = [self._chunk(mtmd, one) for one in found]
            if chunks[-1].ids is None:
                raise EngineRefused("the prompt ends with an image: there is nothing to go on from")
            bos = [] if chunks[0].ids is None else chunks[0].ids
            begun = self._vocabulary.with_bos(bos)
            if begun != bos:
                chunks[: 1 if bos else 0] = [Chunk(len(begun), begun)]
            for chunk in chunks:
                whole = chunk.ids is None and mtmd.mtmd_decode_use_non_causal(context, chunk.image)
                if whole and chunk.places > decoder.batch:
                    raise EngineRefused(
                        f"an image takes {chunk.places} tokens that this model must read at once; "
                        f"{decoder.batch} are read at a time here"
                    )
            yield SeenPrompt(mtmd, context, chunks, self._log, self._progress)

    def _loaded(self) -> tuple[Any, Any]:
        """The library and the projector; the same refusal again when it did not load."""
        if self._mtmd is None:
            self._mtmd = _library()
        if self._refusal:
            raise EngineRefused(self._refusal)
        if self._context is None:
            self._log.clear()
            self._mtmd.mtmd_helper_log_set(self._log.callback, ctypes.c_void_p(0))
            params = self._mtmd.mtmd_context_params_default()
            params.use_gpu = self._settings.gpu_layers != 0 and self._settings.devices != (CPU,)
            params.n_threads = self._settings.threads
            params.media_marker = self._marker.encode()
            params.flash_attn_type = -1
            params.warmup = False
            path = self._settings.mmproj
            with signs_of_life(self._progress):
                self._context = self._mtmd.mtmd_init_from_file(os.fsencode(path), self._model, params)
            if not self._context:
                self._refusal = f"{Path(path).name}: llama.cpp cannot load this projector: {self._log.cause()}"
            elif not self._mtmd.mtmd_support_vision(self._context):
                self._refusal = f"{Path(path).name}: this projector takes no images"
            if self._refusal:
                raise EngineRefused(self._refusal)
        return self._mtmd, self._context

    def _bitmap(self, stack: ExitStack, data: bytes) -> Any:
        mtmd = self._mtmd
        self._log.clear()
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        made = mtmd.mtmd_helper_bitmap_init_from_buf_wrapper(
            self._context, buffer, len(data), False, mtmd.mtmd_helper_init_opt_default()
        )
        if made.video_ctx:
            mtmd.mtmd_helper_video_free(made.video_ctx)
        if made.bitmap:
            stack.callback(mtmd.mtmd_bitmap_free, made.bitmap)
        if not made.bitmap or made.video_ctx or mtmd.mtmd_bitmap_is_audio(made.bitmap):
            raise EngineRefused(
                f"an image of {len(data)} bytes that begins with {data[:8]!r} cannot be decoded: "
                "it is damaged, or has too many pixels"
            )
        return made.bitmap

    def _chunks(self, stack: ExitStack, text: str, bitmaps: Sequence[Any]) -> list[Any]:
        mtmd = self._mtmd
        found = mtmd.mtmd_input_chunks_init()
        stack.callback(mtmd.mtmd_input_chunks_free, found)
        data = text.encode("utf-8", "replace")
        given = mtmd.mtmd_input_text(data, len(data), False, True)
        array = (mtmd.mtmd_bitmap_p_ctypes * len(bitmaps))(*bitmaps)
        self._log.clear()
        code = mtmd.mtmd_tokenize(self._context, found, ctypes.byref(given), array, len(bitmaps))
        if code != 0:
            raise EngineRefused(f"llama.cpp cannot prepare the images (code {code}): {self._log.cause()}")
        return [mtmd.mtmd_input_chunks_get(found, at) for at in range(mtmd.mtmd_input_chunks_size(found))]

    @staticmethod
    def _chunk(mtmd: Any, found: Any) -> Chunk:
        if mtmd.mtmd_input_chunk_get_type(found) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
            count = ctypes.c_size_t(0)
            ids = mtmd.mtmd_input_chunk_get_tokens_text(found, ctypes.byref(count))
            return Chunk(count.value, ids[: count.value])
        # the digest is of the file's bytes (mtmd_helper_bitmap_init_from_buf)
        digest = mtmd.mtmd_input_chunk_get_id(found) or b""
        return Chunk(mtmd.mtmd_input_chunk_get_n_tokens(found), None, found, digest.decode("ascii", "replace"))


def _library() -> Any:
    try:
        import llama_cpp.mtmd_cpp as mtmd
    except Exception as error:  # the package raises what its loader raises
        raise EngineCannot(
            "this build of llama-cpp-python takes no images: its mtmd library is missing (-DLLAVA_BUILD=OFF leaves it "
            f"out): {describe(error)}"
        ) from None
    return mtmd


def _images(message: Message) -> list[bytes]:
    content = message.get("content")
    found = [image_bytes(part) for part in content] if isinstance(content, list) else []
    return [data for data in found if data is not None]


def _joined(message: Message, marker: str) -> Message:
    """The message's parts as one text: a new line between two texts, none beside an image."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    text, after_image = "", True
    for part in content:
        image = image_bytes(part) is not None
        text += "" if image or after_image else "\n"
        text += marker if image else part_text(part)
        after_image = image
    return {**message, "content": text}


def _typed(message: Message) -> Message:
    content = message.get("content")
    if not isinstance(content, str):
        return message
    return {**message, "content": [{"type": "text", "text": content}]}
