from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_quantcheck import identity
from pytest_quantcheck.cache import Cache
from pytest_quantcheck.identity import build_identity
from pytest_quantcheck.identity import content_digest
from pytest_quantcheck.identity import file_state


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.mark.parametrize("worth", [0, 1 << 24], ids=["kept", "small"])
def test_every_byte_counts_and_the_name_does_not(
    tmp_path: Path, cache: Cache, worth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_WORTH_KEEPING", worth)
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"x" * 3_000_000)
    two.write_bytes(b"x" * 3_000_000)
    before = content_digest([one], cache)

    assert content_digest([one], cache) == before == content_digest([two], cache)
    assert content_digest([one, two], cache) != before
    spoilt = bytearray(two.read_bytes())
    spoilt[1_234_567] ^= 1
    two.write_bytes(spoilt)
    os.utime(two, ns=(1, 1))
    assert content_digest([two], cache) != before


def test_a_large_file_is_read_once(tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_WORTH_KEEPING", 10)
    path = tmp_path / "large"
    path.write_bytes(b"x" * 100)
    before = content_digest([path], cache)
    monkeypatch.setattr("builtins.open", None)

    assert content_digest([path], cache) == before


def test_a_file_that_is_replaced_changes_its_state(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"x")
    other.write_bytes(b"y")
    before = file_state([path])
    os.replace(other, path)

    assert file_state([path]) != before
    with pytest.raises(OSError, match="No such file"):
        file_state([path, other])


def test_the_environment_that_switches_kernels_counts(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = build_identity(cache)
    monkeypatch.setenv("LLAMA_API_KEY", "secret")
    assert build_identity(cache) == before
    monkeypatch.setenv("GGML_SWITCH", "1")
    assert build_identity(cache) == before | {"environment": before["environment"] | {"GGML_SWITCH": "1"}}
    (tmp_path / "libllama.so").write_bytes(b"another build")
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    assert build_identity(cache)["libraries"] != before["libraries"]
    assert build_identity(cache)["code"] == before["code"]
