from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_quantcheck.cache import Cache
from pytest_quantcheck.cache import key_of
from pytest_quantcheck.cli import main


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path)
    for number in range(3):
        cache.put(key_of(number), {"text": "x" * 957})
        os.utime(next(tmp_path.rglob(f"{key_of(number)}.json")), (number, number))
    return cache


def test_what_is_kept_is_shown_pruned_and_cleared(
    kept: Cache, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "info", str(tmp_path)]) == 0
    assert main(["cache", "prune", str(tmp_path), "--limit", "2.5 kB"]) == 0
    assert kept.get(key_of(0)) is None
    assert kept.get(key_of(2)) is not None
    assert main(["cache", "clear", str(tmp_path)]) == 0
    assert kept.size().entries == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}: 3 answers, 3.00 kB",
        f"{tmp_path}: 1 answer removed",
        f"{tmp_path}: 2 answers, 2.00 kB",
        f"{tmp_path}: 2 answers removed",
    ]


def test_pytest_s_own_folder_is_the_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cache", "info"]) == 1
    assert capsys.readouterr().err == (
        f"quantcheck: {Path('.pytest_cache/d/quantcheck-answers')} is no folder: nothing is kept there\n"
    )
    Cache(tmp_path / ".pytest_cache/d/quantcheck-answers").put(key_of(1), {})
    assert main(["cache", "info"]) == 0


@pytest.mark.parametrize("wrong", [["forget"], ["prune", "--limit", "much"], []])
def test_wrong_arguments_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["cache", *wrong])
    assert ended.value.code == 2
    assert "quantcheck cache: error: " in capsys.readouterr().err
