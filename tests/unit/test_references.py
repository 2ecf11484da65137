"""Which store a measurement needs, when it is made anew, and what is refused; on an engine that only keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.scripted import ScriptedEngine
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity_store import Passage
from pytest_quantcheck.fidelity_store import StoreHeader
from pytest_quantcheck.fidelity_store import read_store_header
from pytest_quantcheck.fidelity_store import request_digest
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.records import Role
from pytest_quantcheck.references import References
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.text import digest

TEXT = FidelityRequest("story", "Once upon a time")
CHATS = FidelityRequest("chats", conversations=(({"role": "assistant", "content": "yes"},),))


class Engine(ScriptedEngine):
    """Writes stores of its build, and refuses those whose last byte is 'x'."""

    def __init__(self, name: str, build: str = "b1", template: str = "") -> None:
        super().__init__(lambda _: "", name=name, fidelity=self._measure)
        self.facts = {"build": build}
        self._template = template

    def card(self) -> ModelCard:
        return replace(super().card(), fingerprint=self._name)

    def _measure(self, request: FidelityRequest) -> Fidelity:
        if request.store and Path(request.store).read_bytes().endswith(b"x"):
            raise EngineRefused(f"{request.store}: is damaged: its records are not what was written")
        if request.write:
            header = StoreHeader(
                10,
                10,
                request.window,
                (Passage((1, 2), ((1, 2, "text"),)),),
                asked=request_digest(request),
                reference=f"{self._name}\n.gguf",
                reference_fingerprint=self._name,
                build=self.facts["build"],
                template=digest(self._template) if self._template else "",
            )
            start = header.encoded()
            Path(request.write).write_bytes(start + bytes(replace(header, start=len(start)).file_bytes - len(start)))
        return Fidelity(request.name, (), reference=read_store_header(request.store).reference if request.store else "")


class World:
    """References that keep their stores in ``folder``; counts how often each model was run."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.folder, self.build, self.template = folder, "b1", ""
        self.made: list[Engine] = []
        self._more = more

    def measure(self, request: FidelityRequest = TEXT, role: Role = Role.CANDIDATE, **more: Any) -> Fidelity:
        given = {"model": "new", "baseline": "old", "reference": "f16", **self._more, **more}
        references = References(Settings(**given), lambda: self.folder, self._make, lambda: self.template or None)
        return references.fidelity(role, Engine(str(given["model"]), self.build), request)

    def _make(self, source: str) -> Engine:
        self.made.append(Engine(source, self.build, self.template))
        return self.made[-1]

    @property
    def runs(self) -> list[str]:
        """The models that were run since the last look."""
        ran = [engine._name for engine in self.made if engine.loads]
        self.made.clear()
        return ran

    def stores(self) -> list[Path]:
        return sorted(self.folder.iterdir())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield World(tmp_path)
    assert not list(tmp_path.glob("*.part"))


def test_a_store_is_made_once(world: World) -> None:
    for _ in range(2):
        assert world.measure().reference == "f16 .gguf"
    assert world.runs == ["f16"]
    assert len(world.stores()) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"request": replace(TEXT, text="Twice upon a time")},
        {"request": replace(TEXT, window=64)},
        {"reference": "other"},
        {"reference_vocabulary": "all"},
    ],
    ids=["text", "window", "model", "vocabulary"],
)
def test_another_question_has_a_store_of_its_own(world: World, other: dict[str, Any]) -> None:
    world.measure()
    world.measure(**other)

    assert len(world.runs) == 2
    assert len(world.stores()) == 2


def test_the_label_of_a_text_is_no_part_of_the_question(world: World) -> None:
    world.measure()
    world.measure(replace(TEXT, name="another"))

    assert len(world.runs) == 1


def test_a_pinned_template_changes_conversations_and_no_text(world: World) -> None:
    for template in ("one", "two"):
        world.template = template
        world.measure()
        world.measure(CHATS)

    assert len(world.stores()) == 3


@pytest.mark.parametrize("how", ["header", "records", "build"])
def test_what_is_stale_or_damaged_is_made_anew(world: World, how: str) -> None:
    world.measure()
    [store] = world.stores()
    if how == "header":
        store.write_bytes(b"qc-logp\nand nothing more")
    elif how == "records":
        store.write_bytes(store.read_bytes()[:-1] + b"x")
    else:
        world.build = "b2"
    world.made.clear()

    world.measure()

    assert world.runs == ["f16"]
    assert world.stores() == [store]
    world.measure()
    assert world.runs == []


def test_given_stores_are_looked_through_and_never_made(world: World) -> None:
    world.measure()
    world.measure(CHATS)
    world.made.clear()
    folder = str(world.folder)

    world.measure(reference=folder)
    world.measure(CHATS, reference=folder)
    with pytest.raises(EngineRefused, match=r"holds no store of this text \(story\); give the unquantized GGUF as"):
        world.measure(replace(TEXT, text="Twice"), reference=folder)
    with pytest.raises(EngineRefused, match=r"is of another text or window \(story\)"):
        world.measure(replace(TEXT, window=64), reference=str(world.stores()[0]))
    world.template = "another"
    world.measure(CHATS, reference=folder)  # this one does not say of which template it is
    world.build = "b2"
    with pytest.raises(EngineRefused, match=r"\.logp: was made with another build \(b1, here b2\); give"):
        world.measure(reference=folder)
    assert world.runs == []


def test_a_given_store_of_another_template_is_refused(world: World) -> None:
    world.template = "one"
    world.measure(CHATS)
    world.template = "two"

    with pytest.raises(EngineRefused, match="was made with another chat template; give"):
        world.measure(CHATS, reference=str(world.folder))


def test_a_given_store_that_is_damaged_is_refused(world: World) -> None:
    world.measure()
    [store] = world.stores()
    store.write_bytes(store.read_bytes()[:-1] + b"x")

    with pytest.raises(EngineRefused, match="is damaged"):
        world.measure(reference=str(store))


def test_each_side_may_have_its_own(world: World) -> None:
    world.measure(baseline_reference="other")
    world.measure(role=Role.BASELINE, baseline_reference="other")

    assert world.runs == ["f16", "other"]


def test_the_reference_itself_is_named_so(world: World) -> None:
    assert world.measure(model="f16").itself
    assert not world.measure().itself


def test_a_folder_that_cannot_be_written(world: World, tmp_path: Path) -> None:
    world.folder = tmp_path / "file"
    world.folder.write_text("in the way", encoding="utf-8")

    with pytest.raises(EngineRefused, match="cannot be written: "):
        world.measure()
