"""Log-probabilities beside the snapshots: names, what is found by content, what damage is called."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.distributions import Distributions
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.fidelity_store import Passage
from pytest_quantcheck.fidelity_store import StoreHeader
from pytest_quantcheck.fidelity_store import request_digest
from pytest_quantcheck.recording import SnapshotError
from tests.ledgers import card

ASKED = FidelityRequest("story", "Once upon a time")
RECORDS = b"records from here on"
CARD = card("new", vocabulary=10)


def store(request: FidelityRequest = ASKED) -> bytes:
    passages = (Passage((1, 2, 3), ((1, 3, "text"),)),)
    header = StoreHeader(10, 10, 512, passages, asked=request_digest(request), reference="f16.gguf")
    start = header.encoded()
    return start + RECORDS + bytes(header.file_bytes - len(RECORDS))


def folder(path: Path) -> Distributions:
    return Distributions(path / "distributions", str, lambda: False)


@given(name=st.text(min_size=1))
@example(name="con")
@example(name="..")
@example(name="a/b\\c:d*e[f]")
@example(name="K" * 300)
def test_every_name_is_one_that_a_file_system_takes(name: str) -> None:
    with tempfile.TemporaryDirectory() as path:
        found = folder(Path(path))
        (Path(path) / "made").write_bytes(store())
        found.keep(FidelityRequest(name, ASKED.text), Path(path) / "made")
        [file] = (Path(path) / "distributions").iterdir()

        assert file.name.isascii()
        assert file.name == file.name.lower()
        assert len(file.name) < 70
        # the text counts, not what it is called
        assert found.store(ASKED, CARD, None)[0] == file
        found.keep(FidelityRequest("other", ASKED.text), Path(path) / "made")
        assert list((Path(path) / "distributions").iterdir()) == [file]


def test_a_store_that_is_cut_anywhere_is_told(tmp_path: Path) -> None:
    whole = store()
    (tmp_path / "made").write_bytes(whole)
    found = folder(tmp_path)
    found.keep(ASKED, tmp_path / "made")
    [file] = (tmp_path / "distributions").iterdir()
    assert found.store(ASKED, CARD, None)[1].reference == "f16.gguf"

    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(SnapshotError, match=r"^[^\n]+\.logp: is [^\n]+$") as told:
            found.store(ASKED, CARD, None)
        assert told.value.kind == "unreadable"


@given(at=st.integers(0), value=st.integers(1, 255), more=st.binary(max_size=20))
def test_random_damage_is_told_or_lies_in_the_records(at: int, value: int, more: bytes) -> None:
    """What the header says is watched here; the records' sums are the engine's to check."""
    whole = store()
    at %= len(whole)
    with tempfile.TemporaryDirectory() as path:
        found = folder(Path(path))
        (Path(path) / "made").write_bytes(whole[:at] + bytes([whole[at] ^ value]) + whole[at + 1 :] + more)
        found.keep(ASKED, Path(path) / "made")
        if at >= whole.index(RECORDS) and not more:
            assert found.store(ASKED, CARD, None)[1].reference == "f16.gguf"
        else:
            with pytest.raises(SnapshotError, match=r"^[^\n]+\.logp: [^\n]+$") as told:
                found.store(ASKED, CARD, None)
            assert told.value.kind == "unreadable"


def test_what_nobody_asks_for_is_removed(tmp_path: Path) -> None:
    found = folder(tmp_path)
    other = FidelityRequest("tale", "Twice upon a time")
    for request in (ASKED, other):
        (tmp_path / "made").write_bytes(store(request))
        found.keep(request, tmp_path / "made")
    (found.folder / "README").write_text("not ours", encoding="ascii")

    assert found.tidy({request_digest(ASKED), request_digest(other)}) == 0
    assert found.tidy([request_digest(other)]) == 1
    assert sorted(path.name.partition("-")[0] for path in found.folder.iterdir()) == ["README", "tale"]
    with pytest.raises(SnapshotError) as missing:
        found.store(ASKED, CARD, None)
    assert (missing.value.kind, missing.value.asked) == ("missing", request_digest(ASKED))
