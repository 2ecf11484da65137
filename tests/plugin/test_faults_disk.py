"""A disk that is full, cannot be written or is shared with another run: one clear line, and every result is shown."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from pytest_quantcheck import recording
from tests.plugin.conftest import Gate
from tests.plugin.test_distribution_snapshots import Recorded
from tests.plugin.test_fidelity import World

SMALL = 512
"""KiB of the file system that is full."""
KEEPS = """
from pytest_quantcheck.plugin import run_key
_make = pytest_quantcheck_engine
def pytest_quantcheck_engine(config, role, source):
    engine, cache = _make(role, source), config.stash[run_key].cache
    if engine is not None and cache is not None:
        load = engine._load
        engine._load = lambda: (cache.put("ab" * 32, {"an": "answer"}), load())
    return engine
"""
WHY = {"full": "No space left on device", "read-only": "Read-only file system"}


@cache
def mounts() -> bool:
    """Whether this process may mount a file system of its own."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    mount = "d=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs $d && test -w $d; e=$?; umount $d; rmdir $d; exit $e"
    return subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode == 0


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run inside a worker of these tests' own run would be a worker for syrupy, by the environment."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def world(plain_gate: Gate) -> Recorded:
    """A suite of an answer and a text, whose engines keep an answer in the cache as llama.cpp's do."""
    made = Recorded(plain_gate)
    conftest = made.path / "conftest.py"
    conftest.write_text(conftest.read_text(encoding="utf-8") + KEEPS, encoding="utf-8")
    made.tests("story", "tale")
    return made


def on_disk(world: World, fault: str, *args: str) -> tuple[int, str, dict[str, bytes]]:
    """Run pytest in a name space of its own in which ``small`` is a file system with that fault.

    :returns: exit status, output, and what small held in the end.
    """
    spoil = {
        "full": "dd if=/dev/zero of=small/fill bs=1k 2>/dev/null; ls small >/dev/null",
        "read-only": "mount -o remount,ro small",
    }[fault]
    small, seed, left = (world.path / name for name in ("small", "seed", "left"))
    for path in (small, seed, left):
        path.mkdir(exist_ok=True)
    options = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", *args]
    steps = [
        f"mount -t tmpfs -o size={SMALL}k tmpfs small",
        "cp -r seed/. small",
        spoil,
        f"{{ {shlex.join([sys.executable, '-m', 'pytest', *options])}; echo $? > status; rm -f small/fill; }}",
        "cp -r small/. left",
    ]
    script = " && ".join(steps)
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], cwd=world.path, capture_output=True, text=True, check=False
    )
    status = world.path / "status"
    assert status.exists(), done.stderr
    kept = {path.relative_to(left).as_posix(): path.read_bytes() for path in left.rglob("*") if path.is_file()}
    return int(status.read_text()), done.stdout + done.stderr, kept


@pytest.mark.once
@pytest.mark.skipif(not mounts(), reason="needs to mount a file system")
@pytest.mark.parametrize(
    ("fault", "workers"), [("full", ()), ("read-only", ()), ("full", ("-n2",))], ids=["full", "read-only", "n2"]
)
def test_a_recording_on_a_disk_that_takes_nothing(world: Recorded, fault: str, workers: tuple[str, ...]) -> None:
    recorded = world.record("--quant-snapshots=seed/snapshots", "--quant-summary=seed/s.md")
    assert recorded.result.ret == 0
    (world.path / "seed" / "r.json").write_text("{}", encoding="ascii")
    files = (world.path / "seed").rglob("*")
    before = {path.relative_to(world.path / "seed").as_posix(): path.read_bytes() for path in files if path.is_file()}
    world.tests("story", "tale", "new")
    world.set(old=0.03)

    names = ("--quant-snapshots=small/snapshots", "--quant-report=small/r.json", "--quant-summary=small/s.md")
    others = ("--quant-cache=small/answers", "--quant-model=old", "--snapshot-update", "--quant-reference=f16")
    status, said, after = on_disk(world, fault, *names, *others, *workers)

    assert status == 1, said
    why = WHY[fault]
    for line in (
        "not recorded: small/snapshots/distributions/story-",
        f"quantcheck: --snapshot-update: small/snapshots/baseline.json could not be written: {why}",
        f"quantcheck: --quant-report: small/r.json could not be written: {why}",
        f"quantcheck: --quant-summary: small/s.md could not be written: {why}",
        f"answers could not be kept for the next run: small/answers: {why}",
        "FAILED: 3 tests could not be recorded",
        "3 failed",
    ):
        assert line in said
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said
    assert after == before


@pytest.mark.once
@pytest.mark.skipif(not mounts(), reason="needs to mount a file system")
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_check_on_a_disk_that_takes_nothing(world: Recorded, fault: str) -> None:
    world.record("--quant-snapshots=seed/snapshots")
    world.set(new=0.1)
    names = ("--quant-snapshots=small/snapshots", "--quant-report=small/r.json", "--quant-cache=small/answers")

    status, said, after = on_disk(world, fault, *names, "--quant-model=new")

    assert status == 1
    assert "REGRESSION: 2 requirements lost" in said
    assert f"--quant-report: small/r.json could not be written: {WHY[fault]}" in said
    assert f"answers could not be kept for the next run: small/answers: {WHY[fault]}" in said
    assert "Traceback" not in said
    assert "r.json" not in after
    if fault == "read-only":  # to check takes no writing
        world.set()
        status, said, _ = on_disk(world, fault, names[0], names[2], "--quant-model=new")
        assert (status, "NO LOSS: none of 2 requirements was lost" in said) == (0, True)


def test_files_in_the_place_of_folders(world: Recorded) -> None:
    """As every system has it, and root is stopped by it too."""
    snapshots = world.path / "quant_snapshots"
    snapshots.mkdir()
    for path in (snapshots / "distributions", snapshots / "test_it", world.path / "answers"):
        path.write_text("in the way", encoding="ascii")
    # what the run may leave is said as well
    outcome = world.record("--quant-cache=answers", "--quant-summary=answers/s.md")

    assert (outcome.result.ret, outcome.kind) == (1, "failed")
    outcome.result.stdout.fnmatch_lines(
        [
            "not recorded: quant_snapshots/distributions/story-*.logp could not be written: *",
            "answers could not be kept for the next run: answers: *",
            "FAILED: 2 tests could not be recorded",
            "quantcheck: --quant-summary: answers/s.md could not be written: *",
        ]
    )
    assert "Traceback" not in outcome.result.stdout.str()
    assert (snapshots / "distributions").read_text(encoding="ascii") == "in the way"


def test_a_full_disk_loses_no_old_summary(world: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run("--quant-summary=s.md")
    before = (world.path / "s.md").read_text(encoding="utf-8")
    written = Path.write_text

    def full(path: Path, text: str, *args: str, **how: str) -> int:
        if path.name.startswith("s.md"):
            written(path, text[: len(text) // 2], *args, **how)
            raise OSError(28, "No space left on device")
        return written(path, text, *args, **how)

    monkeypatch.setattr(Path, "write_text", full)
    outcome = world.run("--quant-summary=s.md")

    assert (outcome.result.ret, outcome.kind) == (1, "no-loss")
    outcome.result.stdout.fnmatch_lines(["quantcheck: --quant-summary: s.md could not be written: No space left*"])
    assert (world.path / "s.md").read_text(encoding="utf-8") == before
    assert not list(world.path.glob("*.part"))


@pytest.mark.once
def test_two_runs_at_once_in_one_folder(world: Recorded) -> None:
    def both(*args: str) -> list[str]:
        options = ["-p", "no:randomly", "--quant-cache=answers"]
        runs = [
            subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, *args, f"--quant-report=r{number}.json"],
                cwd=world.path,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for number in range(2)
        ]
        said = [run.communicate()[0] for run in runs]
        assert [run.returncode for run in runs] == [0, 0], said
        return said

    record = ("--quant-model=old", "--quant-reference=f16", "--snapshot-update")
    both(*record)
    at_once = {path: path.read_bytes() for path in recordings(world)}
    checked = both("--quant-model=new")
    world.record()

    assert len(at_once) == 1 + 2 + 2
    assert {path: path.read_bytes() for path in recordings(world)} == at_once
    assert all("NO LOSS: none of 2 requirements was lost" in said for said in checked)
    assert not list(world.path.rglob("*.part"))


def recordings(world: World) -> list[Path]:
    return sorted(path for path in (world.path / "quant_snapshots").rglob("*") if path.is_file())


def test_a_clock_that_goes_backwards(world: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two runs, and during one: entries from the future, then time that runs the other way."""
    world.record("--quant-cache=answers")
    for path in (*recordings(world), *(world.path / "answers").rglob("*.json")):
        os.utime(path, (2**31, 2**31))
    now = [time.time()]

    def backwards() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", backwards)
    outcome = world.check("--quant-cache=answers", "--quant-summary=s.md")

    assert (outcome.result.ret, outcome.kind) == (0, "no-loss")
    assert recording.NAME in {path.name for path in recordings(world)}
