from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.kept import SixteenBits
from pytest_quantcheck.engines.kept import Top
from pytest_quantcheck.engines.kept import Whole
from pytest_quantcheck.engines.kept import log_softmax
from pytest_quantcheck.engines.store_file import StoreReader
from pytest_quantcheck.engines.store_file import StoreWriter
from pytest_quantcheck.fidelity_store import MAGIC
from pytest_quantcheck.fidelity_store import Passage
from pytest_quantcheck.fidelity_store import StoreError
from pytest_quantcheck.fidelity_store import StoreHeader
from pytest_quantcheck.fidelity_store import is_store
from pytest_quantcheck.fidelity_store import read_store_header
from pytest_quantcheck.fidelity_store import request_digest

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

SIZE = 12
PASSAGES = (
    Passage((3, 1, 4, 1, 5), ((1, 3, "thought"), (3, 5, "answer"))),
    Passage((9, 2, 6), ((2, 3, "answer"),)),
)
HEADER = StoreHeader(
    vocabulary=SIZE,
    kept=SIZE,
    window=0,
    passages=PASSAGES,
    vocabulary_digest="abc",
    asked="dead",
    reference="f16.gguf",
    reference_fingerprint="beef",
    build="b1",
    template="t1",
)
ROWS = sum(len(passage.scored) for passage in PASSAGES)
TARGETS = np.array([passage.ids[at] for passage in PASSAGES for at in passage.scored])
no_limits = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def random_logs(seed: int, rows: int = ROWS, size: int = SIZE, spread: float = 3.0) -> tuple[Floats, Floats]:
    logits = (np.random.default_rng(seed).standard_normal((rows, size)) * spread).astype(np.float32)
    return log_softmax(logits, np.resize(TARGETS, rows))


def exact_kl(reference: Floats, other: Floats) -> Doubles:
    left, right = reference.astype(np.float64), other.astype(np.float64)
    found: Doubles = (np.exp(left) * (left - right)).sum(axis=1)
    return found


def write(path: Path, header: StoreHeader = HEADER, seed: int = 1) -> Floats:
    logs, nll = random_logs(seed)
    with StoreWriter(path, header) as writer:
        at = 0
        for number, passage in enumerate(header.passages):
            rows = slice(at, at + len(passage.scored))
            # in two pieces: passages are written as they are computed
            for piece in (slice(rows.start, rows.start + 1), slice(rows.start + 1, rows.stop)):
                if piece.start < piece.stop:
                    writer.add(number, writer.kept.pack(logs[piece], nll[piece]))
            at = rows.stop
    return logs


def read(path: Path, logs: Floats) -> dict[str, Any]:
    """Everything in the file beside these log-probabilities."""
    reader = StoreReader(path)
    try:
        columns, at = [], 0
        for number, passage in enumerate(reader.header.passages):
            count = len(passage.scored)
            columns.append(reader.compare(reader.read(number, count), logs[at : at + count]))
            at += count
    finally:
        reader.close()
    return {name: np.concatenate([column[name] for column in columns]) for name in columns[0]}


@pytest.mark.parametrize("kept", [SIZE, 4])
def test_what_was_written_comes_back(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.store"
    header = replace(HEADER, kept=kept)
    reference = write(path, header)

    found = read_store_header(path)
    assert found == replace(header, start=found.start)
    assert found.whole == (kept == SIZE)
    assert found.start % 64 == 0
    assert is_store(path)
    same = read(path, reference)
    assert same["kl"] == pytest.approx(0.0, abs=1e-6)
    assert same["same_top"].all()
    assert same["reference_nll"] == pytest.approx(-reference[np.arange(ROWS), TARGETS], abs=1e-6)
    other = read(path, random_logs(2)[0])
    assert not other["same_top"].all()
    if kept == SIZE:
        assert other["covered"].tolist() == [1.0] * ROWS
        assert other["kl"] == pytest.approx(exact_kl(reference, random_logs(2)[0]), abs=1e-5)
    else:
        best = np.sort(np.exp(reference), axis=1)[:, -kept:]
        assert other["covered"] == pytest.approx(best.sum(axis=1), abs=1e-6)


def test_the_same_file_shows_no_divergence_at_all(tmp_path: Path) -> None:
    """Not even rounding: an A/A run says 0, not 1e-9."""
    path = tmp_path / "a.store"
    assert read(path, write(path))["kl"].tolist() == [0.0] * ROWS


@given(st.integers(0, 2**32), st.integers(0, 2**32), st.floats(0.1, 12), st.integers(1, 39))
@no_limits
def test_what_is_kept_of_a_large_vocabulary_never_shows_more_than_there_is(
    seed: int, other_seed: int, spread: float, kept: int
) -> None:
    (reference, nll), (other, _) = (random_logs(number, 20, 40, spread) for number in (seed, other_seed))
    top = Top(40, kept)
    found = top.compare(top.pack(reference, nll), other)

    exact = exact_kl(reference, other)
    assert (found.kl <= exact + 1e-5 * (1 + exact)).all()
    assert (found.kl >= -1e-5).all()
    assert found.same_top.tolist() == (reference.argmax(axis=1) == other.argmax(axis=1)).tolist()


def test_the_bound_is_the_divergence_itself_where_all_that_differs_is_kept() -> None:
    reference, nll = random_logs(1, 20, 40)
    covering = Top(40, 40)
    other = random_logs(2, 20, 40)[0]
    exact = exact_kl(reference, other)
    assert covering.compare(covering.pack(reference, nll), other).kl == pytest.approx(exact, abs=1e-5)

    # the others keep their shares among themselves
    top = Top(40, 10)
    records = top.pack(reference, nll)
    logits = reference.copy()
    np.put_along_axis(logits, records["ids"].astype(np.int64), 0.5, axis=1)
    alike = log_softmax(logits, np.resize(TARGETS, 20))[0]
    assert top.compare(records, alike).kl == pytest.approx(exact_kl(reference, alike), rel=1e-5)
    # and the bound says something
    assert 0.5 * exact.mean() < top.compare(records, other).kl.mean() < 0.999 * exact.mean()


def test_equally_likely_tokens_have_one_order() -> None:
    """The first of them is the top, in the store as in the model that is compared with it."""
    logs = np.full((3, 40), -np.log(40), np.float32)
    top = Top(40, 7)
    assert top.compare(top.pack(logs, logs[:, 0]), logs).same_top.all()


def test_an_underflowing_rest_breaks_nothing() -> None:
    logits = np.full((1, 40), -200.0, np.float32)
    logits[0, :5] = 1.0
    sure = log_softmax(logits, np.array([0]))[0]
    flat = log_softmax(np.zeros((1, 40), np.float32), np.array([0]))[0]
    top = Top(40, 5)
    assert np.isfinite(top.compare(top.pack(flat, flat[:, 0]), sure).kl).all()
    assert np.isfinite(top.compare(top.pack(sure, sure[:, 0]), flat).kl).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_seen(value: float) -> None:
    logits = np.zeros((3, 5), np.float32)
    logits[1, 2] = value
    _, nll = log_softmax(logits, np.zeros(3, np.int64))
    assert np.isfinite(nll).tolist() == [True, False, True]


def test_a_log_probability_is_exact_where_the_vocabulary_is_large() -> None:
    logits = (np.random.default_rng(0).standard_normal((2, 200_000)) * 4).astype(np.float32)
    exact = logits.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    exact -= np.log(np.exp(exact).sum(axis=1, keepdims=True))
    logs, nll = log_softmax(logits, np.array([7, 8]))
    assert nll == pytest.approx(-exact[[0, 1], [7, 8]], rel=2e-7)
    assert np.abs(logs - exact).max() < 4e-6


# --- llama-perplexity's file ------------------------------------------------------------------------------------------


def write_base(path: Path, logs: Floats, *, window: int = 8, size: int = SIZE) -> list[int]:
    """As tools/perplexity/perplexity.cpp writes it: log_softmax(int, const float *, uint16_t *, int)."""
    chunks = len(logs) // (window - 1 - window // 2)
    ids = [(7 * at) % size for at in range(window * chunks)]
    with open(path, "wb") as file:
        file.write(b"_logits_" + struct.pack("<Iii", window, size, chunks) + struct.pack(f"<{len(ids)}i", *ids))
        for row in logs:
            least = max(row.min(), row.max() - 16)
            scale = np.float32((row.max() - least) / 65535)
            steps = np.where(row > least, np.rint((row - least) / scale), 0)
            file.write(struct.pack("<ff", scale, least))
            file.write(np.pad(steps, (0, size % 2)).astype("<u2").tobytes())
    return ids


@pytest.mark.parametrize("size", [12, 13])
def test_llama_perplexity_s_file_is_a_store_too(tmp_path: Path, size: int) -> None:
    path = tmp_path / "base.kld"
    reference, other = random_logs(1, 6, size, 1.5)[0], random_logs(2, 6, size, 1.5)[0]
    ids = write_base(path, reference, size=size)

    header = read_store_header(path)
    assert is_store(path)
    assert (header.base, header.whole, header.window, header.vocabulary) == (True, True, 8, size)
    assert (header.reference, header.vocabulary_digest, header.asked) == ("base.kld", "", "")
    # second half of each window, without what would follow its last token
    assert [passage.ids for passage in header.passages] == [tuple(ids[:8]), tuple(ids[8:])]
    assert [passage.scored for passage in header.passages] == [(5, 6, 7)] * 2
    found = read(path, other)
    assert found["kl"] == pytest.approx(exact_kl(reference, other), abs=5e-4)
    assert found["same_top"].tolist() == (reference.argmax(axis=1) == other.argmax(axis=1)).tolist()
    # its floor makes the reference's own likelihoods wrong
    assert "reference_nll" not in found


def test_what_lies_at_llama_perplexity_s_floor_is_left_out(tmp_path: Path) -> None:
    """Thousands of tokens that were raised to the floor would weigh something together."""
    size = 4001
    logits = np.full((3, size), -40.0, np.float32)
    logits[:, 5] = 0.0
    reference = log_softmax(logits, np.zeros(3, np.int64))[0]
    path = tmp_path / "base.kld"
    write_base(path, reference, size=size)
    other = log_softmax(np.zeros((3, size), np.float32), np.zeros(3, np.int64))[0]

    found = read(path, other)
    assert found["kl"] == pytest.approx(np.log(size), abs=1e-4)
    assert found["covered"] == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(NotImplementedError):
        SixteenBits(size).pack(reference, reference[:, 0])


# --- files that are none ----------------------------------------------------------------------------------------------


def whole_read(path: Path) -> None:
    read(path, random_logs(2)[0])


def tampered(good: bytes) -> Iterator[bytes]:
    """Every byte another one, every length, and longer."""
    for at in range(len(good)):
        yield good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        yield good[:at]
    yield good + b"\0"


def test_a_store_that_was_tampered_with_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    write(path, replace(HEADER, kept=4))
    for bad in tampered(path.read_bytes()):
        path.write_bytes(bad)
        with pytest.raises(StoreError) as refused:
            whole_read(path)
        assert str(path) in str(refused.value)
        assert "\n" not in str(refused.value)


def with_header(data: bytes, rest: bytes = b"") -> bytes:
    return MAGIC + struct.pack("<II", len(data), zlib.crc32(data)) + data + rest


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 30) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ids", "spans"]), inner, max_size=2),
    max_leaves=8,
)


@given(st.sampled_from(["version", "vocabulary", "kept", "window", "passages", "reference", "asked"]), values)
@no_limits
def test_a_header_that_holds_anything_breaks_nothing(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "a.store"
    write(path)
    good = path.read_bytes()
    length = struct.unpack_from("<I", good, 8)[0]
    said = json.loads(good[16 : 16 + length])
    path.write_bytes(with_header(json.dumps({**said, name: value}).encode(), good[16 + length :]))
    with contextlib.suppress(StoreError):
        whole_read(path)


@given(st.binary(max_size=80))
@no_limits
def test_any_bytes_after_llama_perplexity_s_magic_break_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "base.kld"
    path.write_bytes(b"_logits_" + data)
    with pytest.raises(StoreError):
        read_store_header(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no file of a reference's log-probabilities"),
        (b"GGUF\3\0\0\0", "no file of a reference's log-probabilities"),
        (MAGIC + b"\xff\xff\xff\xff\0\0\0\0", "header is not what was written"),
        (with_header(b"[" * 100_000), "no description of a store"),
        (with_header(b"{}"), "no description of a store"),
        (with_header(b'{"version": 2, "new": true}'), "format version 2, this version of the plugin reads 1"),
        (with_header(b'{"version": 1}'), "no description of a store"),
        (b"_logits_" + struct.pack("<Iii", 512, 12, 1 << 30), "more than can be read"),
        (b"_logits_" + struct.pack("<Iii", 8, 12, 1), "tokens are missing"),
        (b"_logits_" + struct.pack("<Iii8i", 8, 12, 1, *range(5, 13)), "outside of its own vocabulary"),
        (b"_logits_" + struct.pack("<Iii8i", 8, 12, 1, *range(8)), "truncated: 52 bytes instead of 148"),
    ],
)
def test_every_other_file_is_refused_in_words(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a.store"
    path.write_bytes(data)
    for look in (read_store_header, StoreReader):
        with pytest.raises(StoreError, match=words):
            look(path)


def test_a_path_that_cannot_be_read_is_no_store(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        assert not is_store(path)
        for look in (read_store_header, StoreReader):
            with pytest.raises(StoreError, match="cannot be read"):
                look(path)


@pytest.mark.parametrize("spoil", [lambda r: r["ids"].fill(99), lambda r: r["logs"].fill(np.nan)])
def test_records_of_other_numbers_are_refused(tmp_path: Path, spoil: Callable[[Any], None]) -> None:
    """Whoever can write a right checksum can write anything."""
    path = tmp_path / "a.store"
    header = replace(HEADER, kept=4)
    with StoreWriter(path, header) as writer:
        for number, passage in enumerate(PASSAGES):
            records = writer.kept.pack(*(rows[: len(passage.scored)] for rows in random_logs(1)))
            spoil(records)
            writer.add(number, records)
    with pytest.raises(StoreError, match="is damaged: it holds"):
        whole_read(path)


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    write(path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), StoreWriter(path, HEADER):
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    write(path, seed=2)
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("writes", range(5))
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool, writes: int) -> None:
    if named:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    real, left = StoreWriter._write, [None] * writes

    def full(self: StoreWriter, data: bytes) -> None:
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left.pop()
        real(self, data)

    monkeypatch.setattr(StoreWriter, "_write", full)
    with pytest.raises(StoreError, match=r"a\.store: cannot be written: No space left on device"):
        write(tmp_path / "a.store")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_seen_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(StoreError, match=r"a\.store: needs \d+ bytes, the disk has 100 left"):
        write(tmp_path / "a.store")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written: No such file"):
        write(tmp_path / "none" / "a.store")


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without a name are Linux's")
def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from tests.unit.test_fidelity_store import HEADER, StoreWriter, random_logs\n"
        "with StoreWriter(sys.argv[1], HEADER) as writer:\n"
        "    writer.add(1, writer.kept.pack(*random_logs(1, 1)))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.store")], cwd=root)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_the_header_is_read_without_numpy(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    write(path)
    program = (
        "import sys; from pytest_quantcheck.fidelity_store import read_store_header\n"
        "read_store_header(sys.argv[1]); assert not {'numpy', 'llama_cpp'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, cwd=Path(__file__).parents[2])


def test_the_digest_of_a_request_is_of_what_is_scored() -> None:
    text = FidelityRequest("a", "words")
    assert request_digest(text) == request_digest(replace(text, name="b", store="s", write="w", whole=True, noise=1.0))
    assert request_digest(text) != request_digest(replace(text, text="word"))
    assert request_digest(text) != request_digest(replace(text, window=256))
    talk = FidelityRequest("a", conversations=(({"role": "user", "content": "x"},),))
    # a conversation is read whole
    assert request_digest(talk) == request_digest(replace(talk, window=256))


def test_whole_and_kept_agree_on_their_sizes() -> None:
    for header, kind in ((HEADER, Whole(SIZE)), (replace(HEADER, kept=5), Top(SIZE, 5))):
        assert header.record_bytes == kind.dtype.itemsize
    for size in (12, 13):
        base = replace(HEADER, base=True, vocabulary=size, kept=size)
        assert base.record_bytes == SixteenBits(size).dtype.itemsize
