"""Images in messages: what becomes a part with all its bytes, and what is refused."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pytest_quantcheck import Role
from pytest_quantcheck import ScriptedEngine
from pytest_quantcheck import images
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.images import image_bytes
from pytest_quantcheck.images import said
from pytest_quantcheck.images import whole
from pytest_quantcheck.probe import Probe
from pytest_quantcheck.records import Reply
from pytest_quantcheck.settings import Settings
from tests.ggufs import png

RED, BLUE = png(255, 0, 0), png(0, 0, 255)
STARTS = {"png": RED, "jpeg": b"\xff\xd8\xff\xe0 a photo", "gif": b"GIF89a ...", "bmp": b"BM ..."}


def url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def image(data: bytes, kind: str = "png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url(data, kind)}}


@pytest.mark.parametrize("kind", STARTS)
def test_every_way_to_give_an_image_becomes_the_same_part(kind: str, tmp_path: Path) -> None:
    data = STARTS[kind]
    (tmp_path / "a.image").write_bytes(data)
    given = [
        {"type": "image", "path": "a.image"},
        {"type": "image", "path": tmp_path / "a.image"},
        {"type": "image", "data": data},
        {"type": "image_url", "image_url": {"url": url(data, "whatever")}},
        {"type": "image_url", "image_url": url(data)},
    ]
    text = {"type": "text", "text": "?"}

    [message] = whole([user(*given, text)], tmp_path)

    assert message == user(*[image(data, kind)] * len(given), text)
    assert [image_bytes(part) for part in message["content"]] == [data] * len(given) + [None]


def test_messages_without_parts_stay_as_they_are(tmp_path: Path) -> None:
    messages = ({"role": "system", "content": "Be brief."}, {"role": "assistant", "tool_calls": []})

    assert whole(messages, tmp_path) == messages


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, "nothing is fetched from a network"),
        ({"type": "image_url", "image_url": {"url": "file:///a.png"}}, "nothing is fetched from a network"),
        ({"type": "image_url"}, "None is not at hand"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,abc"}}, "only data:...;base64,... is understood"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,a b"}}, "is no base64"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,é"}}, "is no base64"),
        ({"type": "image_url", "image_url": {"url": url(RED).replace(",", ",!")}}, "is no base64"),
        ({"type": "image_url", "image_url": {"url": url(b"text")}}, "the image is no PNG, JPEG, GIF or BMP image"),
        (
            {"type": "image", "data": b"RIFF....WEBP"},
            "the image is no PNG, JPEG, GIF or BMP image: it begins with b'RIFF",
        ),
        ({"type": "image", "data": b""}, "it begins with b''"),
        ({"type": "image", "path": "nowhere.png"}, "nowhere.png' cannot be read: No such file or directory"),
        ({"type": "image", "path": "."}, "cannot be read: Is a directory"),
        ({"type": "image", "path": "a\0b"}, "cannot be read: "),
        (
            {"type": "image", "path": "notes.txt"},
            "'notes.txt' is no PNG, JPEG, GIF or BMP image: it begins with b'words",
        ),
        ({"type": "image"}, 'needs "path", a local file, or "data"'),
        ({"type": "image", "source": {"type": "base64"}}, 'needs "path", a local file, or "data"'),
        (
            {"type": "input_audio"},
            "a part of type 'input_audio'; known: text, image_url, image. Audio and video are not",
        ),
        ({}, "a part of type None"),
        ("text", "a part of type 'text'"),
    ],
)
def test_what_is_no_image_is_one_clear_line(part: Any, why: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words, nothing but words", encoding="ascii")

    with pytest.raises(EngineRefused) as caught:
        whole([user(part)], tmp_path)

    assert why in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("how", ["path", "data", "url"])
def test_large_images_are_refused(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_IMAGE_BYTES", 2 << 20)
    parts: dict[str, Any] = {"path": {"type": "image", "path": "a.bmp"}}

    def refused(size: int) -> bool:
        data = b"BM" + bytes(size - 2)
        (tmp_path / "a.bmp").write_bytes(data)
        parts.update(data={"type": "image", "data": data}, url=image(data))
        try:
            whole([user(parts[how])], tmp_path)
        except EngineRefused as error:
            return "MiB; the most is 2" in str(error)
        return False

    assert [refused(size) for size in (2 << 20, (2 << 20) + 1, 3 << 20)] == [False, True, True]


@given(st.binary(max_size=40))
def test_any_bytes_are_an_image_or_refused(data: bytes) -> None:
    for part in ({"type": "image", "data": data}, image(data)):
        try:
            [message] = whole([user(part)], Path())
        except EngineRefused:
            continue
        assert image_bytes(message["content"][0]) == data


@hypothesis_settings(max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.text() | st.binary(), lambda x: st.dictionaries(st.text(), x)))
def test_any_part_is_taken_or_refused(part: Any) -> None:
    for one in (part, {"type": "image_url", "image_url": part}, {"type": "image", "path": part, "data": part}):
        why = ""
        try:
            whole([user(one)], Path("/nowhere"))
        except EngineRefused as error:
            why = str(error)
        assert why.isprintable()


# --- the probe ----------------------------------------------------------------------------------------------------


class Keeping(ScriptedEngine):
    """Keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(lambda prompt: prompt)
        self.asked: list[ChatRequest] = []

    def chat(self, request: ChatRequest) -> Reply:
        self.asked.append(request)
        return super().chat(request)


@pytest.fixture
def engine() -> Keeping:
    return Keeping()


@pytest.fixture
def probe(engine: Keeping, tmp_path: Path) -> Probe:
    (tmp_path / "red.png").write_bytes(RED)
    return Probe(engine, Role.CANDIDATE, Settings(model="x"), folder=tmp_path)


def test_images_stand_before_the_text(engine: Keeping, probe: Probe) -> None:
    reply = probe.chat("Which?", images=["red.png", BLUE], system="Be brief.")

    [request] = engine.asked
    assert request.messages == (
        {"role": "system", "content": "Be brief."},
        user(image(RED), image(BLUE), {"type": "text", "text": "Which?"}),
    )
    assert ChatRequest.from_payload(request.to_payload()) == request
    lines = reply.text.split("\n")
    assert [line[:7] for line in lines] == ["<image ", "<image ", "Which?"]
    assert lines[0] != lines[1]


@pytest.mark.parametrize("one", ["red.png", RED])
def test_one_image_needs_no_list(engine: Keeping, probe: Probe, one: Any) -> None:
    probe.chat("Which?", images=one)

    assert engine.asked[0].messages[0]["content"][0] == image(RED)


def test_what_was_asked_tells_images_apart(probe: Probe) -> None:
    asked = [probe.chat("Which?", images=[data]).asked for data in (RED, BLUE, RED)]

    assert asked[0] == asked[2] != asked[1]


def test_a_wrong_image_is_no_wrong_answer(engine: Keeping, probe: Probe) -> None:
    with pytest.raises(EngineRefused, match="cannot be read"):
        probe.chat("Which?", images=["blue.png"])
    assert isinstance(probe.error, EngineRefused)
    with pytest.raises(EngineRefused, match="images= goes with a text"):
        probe.chat([{"role": "user", "content": "Which?"}], images=[RED])
    assert not engine.asked


def test_only_chat_takes_images(probe: Probe) -> None:
    with pytest.raises(EngineRefused, match=r"^quant\.choose takes text only; quant\.chat takes images$"):
        probe.choose([user(image(RED))], ["red", "blue"])
    with pytest.raises(EngineRefused, match=r"^quant\.fidelity takes text only"):
        FidelityRequest("x", conversations=((user(image(RED)),),))
    text = user({"type": "text", "text": "?"})
    assert ChoiceRequest(("a", "b"), (text,)).messages == (text,)


def test_a_message_in_words() -> None:
    text = {"type": "text", "text": "?"}

    assert said({"content": "plain"}) == "plain"
    assert said(user(image(RED), text)) == said(user(image(RED), text)) != said(user(image(BLUE), text))
