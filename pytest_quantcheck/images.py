"""Images in messages: local files, bytes and data: URLs -> OpenAI-style parts that hold all their bytes.

Every engine gets the same form, so both roles see the same bytes wherever they run, and nothing is fetched.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Final

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.text import short

MOST_IMAGE_BYTES: Final = 64 << 20
"""Of one image, as it is in its file."""
ImageSource = str | os.PathLike[str] | bytes
"""A local file or the bytes of one."""

_FORMATS: Final = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp"}
_KNOWN: Final = "text, image_url, image"


def with_images(text: str, images: Sequence[ImageSource]) -> list[Any]:
    """The content of a message: the images in their order, then the text."""
    parts = [{"type": "image", "data" if isinstance(one, bytes) else "path": one} for one in images]
    return [*parts, {"type": "text", "text": text}]


def whole(messages: Sequence[Message], folder: Path) -> tuple[Message, ...]:
    """The messages with every image as ``{"type": "image_url", "image_url": {"url": "data:image/...;base64,..."}}``.

    :param folder: where relative paths start.
    :raises EngineRefused: for a part that is neither text nor an image, and an image that cannot be had.
    """
    return tuple(
        {**message, "content": [_part(part, folder) for part in message["content"]]}
        if isinstance(message.get("content"), list)
        else message
        for message in messages
    )


def image_bytes(part: Any) -> bytes | None:
    """The bytes of a part that ``whole`` made; None when it is no image."""
    if not _is(part, "image_url"):
        return None
    return base64.b64decode(part["image_url"]["url"].partition(",")[2])


def part_text(part: Any) -> str:
    """The text of a part that is no image."""
    return str(part.get("text", "")) if isinstance(part, dict) else str(part)


def said(message: Message) -> str:
    """What a message says, in plain text: an image is '<image 0123456789abcdef>', by the digest of its bytes."""
    content = message["content"]
    if not isinstance(content, list):
        return str(content)
    return "\n".join(_said(part) for part in content)


def _said(part: Any) -> str:
    data = image_bytes(part)
    if data is not None:
        return f"<image {hashlib.sha256(data).hexdigest()[:16]}>"
    return part_text(part)


def _is(part: Any, kind: str) -> bool:
    return isinstance(part, dict) and part.get("type") == kind


def _part(part: Any, folder: Path) -> Any:
    if _is(part, "image_url"):
        url = part.get("image_url")
        return _whole(_decoded(url.get("url") if isinstance(url, dict) else url), "the image")
    if _is(part, "image"):
        data, path = part.get("data"), part.get("path")
        if isinstance(data, bytes):
            return _whole(data, "the image")
        if isinstance(path, str | os.PathLike) and os.fspath(path):
            return _whole(_read(folder / Path(path).expanduser()), short(str(path)))
        raise EngineRefused('a part {"type": "image"} needs "path", a local file, or "data", the bytes of one')
    if _is(part, "text"):
        return part
    kind = part.get("type") if isinstance(part, dict) else part
    raise EngineRefused(f"a message holds a part of type {short(kind)}; known: {_KNOWN}. Audio and video are not")


def _whole(data: bytes, name: str) -> Any:
    if len(data) > MOST_IMAGE_BYTES:
        raise EngineRefused(f"{name} has {len(data) >> 20} MiB; the most is {MOST_IMAGE_BYTES >> 20}")
    kind = next((kind for magic, kind in _FORMATS.items() if data.startswith(magic)), None)
    if kind is None:
        raise EngineRefused(f"{name} is no PNG, JPEG, GIF or BMP image: it begins with {short(data[:12])}")
    url = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return {"type": "image_url", "image_url": {"url": url}}


def _decoded(url: Any) -> bytes:
    if not isinstance(url, str) or not url.startswith("data:"):
        raise EngineRefused(
            f"the image {short(url)} is not at hand: nothing is fetched from a network. Give its bytes as a "
            'data:...;base64,... URL, or a local file with images=[...] or {"type": "image", "path": ...}'
        )
    head, _, text = url.partition(",")
    if not head.endswith(";base64"):
        raise EngineRefused(f"the image's URL begins with {short(head)}; only data:...;base64,... is understood")
    if len(text) > MOST_IMAGE_BYTES // 3 * 4 + 4:
        raise EngineRefused(f"the image has {len(text) * 3 // 4 >> 20} MiB; the most is {MOST_IMAGE_BYTES >> 20}")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EngineRefused(f"the image's data: URL is no base64: {error}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_IMAGE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise EngineRefused(f"the image {short(str(path))} cannot be read: {why}") from None
