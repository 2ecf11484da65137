from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_quantcheck.cache import Cache
from pytest_quantcheck.cache import Size
from pytest_quantcheck.cache import key_of

KEY, OTHER = key_of("a"), key_of("b")


def place(cache: Cache, key: str = KEY) -> Path:
    (path,) = cache.directory.rglob(f"{key}.json")
    return path


def test_what_was_put_is_found_and_nothing_else(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put(KEY, {"text": "Zoë \ud800", "n": [1, None]})

    assert Cache(tmp_path).get(KEY) == {"text": "Zoë \ud800", "n": [1, None]}
    assert cache.get(OTHER) is None
    assert cache.failure == ""
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{KEY}.json"]


def test_keys_tell_values_apart_and_not_the_order_of_a_dict() -> None:
    assert key_of({"a": 1, "b": 2}, "x") == key_of({"b": 2, "a": 1}, "x")
    assert len({key_of(1), key_of("1"), key_of([1]), key_of(1, None), key_of(1.5), key_of(True)}) == 6
    with pytest.raises(TypeError):
        key_of({1, 2})


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_an_entry_that_is_not_whole_is_not_there(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = Cache(tmp_path_factory.mktemp("cache"))
    cache.put(KEY, {"answer": "forty-two", "more": list(range(20))})
    whole = place(cache).read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    spoilt = data.draw(
        st.sampled_from(
            [whole[:cut], whole[:cut] + bytes([whole[cut] ^ 1]) + whole[cut + 1 :], whole[cut:], b"\xff" * cut]
        )
    )
    place(cache).write_bytes(spoilt)

    assert cache.get(KEY) == (None if spoilt != whole else json.loads(whole[32:]))
    cache.put(KEY, {"answer": "again"})
    assert cache.get(KEY) == {"answer": "again"}


@pytest.mark.parametrize("value", [b"[]", b"1", b'"x"', b"null", b"[" * 100_000])
def test_sound_digests_of_what_is_no_object(tmp_path: Path, value: bytes) -> None:
    cache = Cache(tmp_path)
    cache.put(KEY, {})
    from pytest_quantcheck import cache as module

    place(cache).write_text(module._digest(value.decode()) + value.decode())

    assert cache.get(KEY) is None


def test_another_format_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(tmp_path).put(KEY, {"old": 1})
    monkeypatch.setattr("pytest_quantcheck.cache.FORMAT", "2")

    assert Cache(tmp_path).get(KEY) is None
    assert Cache(tmp_path).clear() == 0
    monkeypatch.undo()
    assert Cache(tmp_path).get(KEY) is None, "clear removes what older versions left"


def test_a_full_disk_keeps_the_old_entry_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    cache.put(KEY, {"old": 1})
    real = Path.write_text

    def full(path: Path, text: str, **how: Any) -> int:
        real(path, text[: len(text) // 2], **how)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    cache.put(KEY, {"new": 2})
    cache.put(OTHER, {"new": 3})
    monkeypatch.undo()

    assert cache.failure == f"{tmp_path}: No space left on device"
    assert cache.get(KEY) == {"old": 1}
    assert cache.get(OTHER) is None
    assert not list(tmp_path.rglob("*.part"))


def test_a_place_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    cache = Cache(tmp_path / "file")
    cache.put(KEY, {"a": 1})

    assert cache.failure.startswith(f"{tmp_path / 'file'}: ")
    assert cache.get(KEY) is None
    assert cache.size() == Size(0, 0)
    assert (cache.prune(), cache.clear()) == (0, 0)


def test_what_was_used_last_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    keys = [key_of(number) for number in range(10)]
    for number, key in enumerate(keys):
        cache.put(key, {"text": "x" * 967})
        os.utime(place(cache, key), (number, number))
    one = cache.size().bytes // 10
    assert cache.get(keys[0]) is not None  # it counts as used now

    assert cache.prune(limit=10 * one) == 0
    assert cache.prune(limit=5 * one) == 6
    assert [key for key in keys if cache.get(key) is not None] == [keys[0], *keys[7:]]
    assert cache.size().entries == 4
    assert cache.clear() == 4
    assert cache.size() == Size(0, 0)


def test_the_limit_is_the_cache_s_own(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=100)
    cache.put(KEY, {"text": "x" * 200})

    assert cache.prune() == 1


_WRITER = """
import sys
from pathlib import Path
from pytest_quantcheck.cache import Cache, key_of
cache = Cache(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    cache.put(key_of(number % 7), {"text": str(number % 7) * 5000})
    number += 1
"""


def test_writers_that_are_killed_leave_whole_entries(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for round_ in range(3):
        writers = [
            subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        time.sleep(0.05 * round_)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
        for path in tmp_path.rglob("*.json"):
            found = cache.get(path.stem)
            assert found is not None, "an entry in its place is whole"
            assert found["text"] == found["text"][0] * 5000
    assert cache.size().entries >= 7
    cache.clear()
    assert not list(tmp_path.rglob("*.part")), "what killed runs left goes too"
