"""Kill an engine, a worker or the whole run at a random moment, many times: is anything lost, is any verdict wrong?

``python -m benchmarks.kills --times 200`` (Linux). Every trial runs a suite of generated stories on the bundled tiny
models with two workers and an empty cache, and kills one process with SIGKILL. What must hold:

* engine, worker: the run ends by itself, and all pairs have the verdict that an undisturbed run gives, but for the test
  that the victim was at, which is an error and makes the run fail;
* run: the same command again ends with the undisturbed run's verdicts, and everything that had been reported is not
  asked again;
* job (SIGTERM, as a CI job gets that is out of time): besides, the report that the run leaves holds the verdict of
  every pair that had been reported;
* in all cases no process is left over.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final
from typing import Literal

MODELS: Final = Path(__file__).parent.parent / "example_suites" / "tiny" / "models"
Victim = Literal["engine", "worker", "run", "job"]
VICTIMS: Final[tuple[Victim, ...]] = ("engine", "worker", "run", "job")
_SUITE: Final = """
import pytest

@pytest.mark.parametrize("n", range({pairs}))
def test_story(quant, n):
    reply = quant.complete(f"{{n}} plus", max_tokens={tokens})
    assert sum(map(ord, reply.text)) % 2
"""
_CONFTEST: Final = """
import pathlib
LOG = pathlib.Path(__file__).with_name("reported.txt")

def pytest_configure(config):
    config.pluginmanager.register(Reported() if not hasattr(config, "workerinput") else object())

class Reported:
    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            with open(LOG, "a") as log:
                print(report.nodeid, file=log)
"""
_PAIRS: Final = 16
_TOKENS: Final = 150
_SPREAD_S: Final = 0.15  # about what one test takes
_PATIENCE: Final = 300.0
_GONE_WITHIN: Final = 20.0
_ERRORS: Final = ("unscored", "unpaired")


@dataclass(frozen=True, slots=True)
class Trial:
    """One kill: of what, when, and all that is wrong with what came of it."""

    victim: Victim
    after: int
    """Tests that had been reported by then."""
    killed: bool
    """False when nothing was left to kill."""
    disturbed: int
    """Pairs without their verdict, which is right for the test that was hit."""
    wrong: tuple[str, ...]


class Bench:
    """A suite in a folder of its own."""

    def __init__(self, folder: Path, pairs: int = _PAIRS, tokens: int = _TOKENS) -> None:
        self._folder = folder
        self._number = 0
        (folder / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
        (folder / "test_story.py").write_text(_SUITE.format(pairs=pairs, tokens=tokens), encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")

    def undisturbed(self) -> dict[str, str]:
        """Run it in peace: pair -> verdict."""
        words = _words(self._run(self._cache(), lambda _run: None))
        if len(set(words.values())) < 2:
            raise RuntimeError(f"this suite shows nothing: {words}")
        return words

    def trial(self, victim: Victim, seed: int, expected: dict[str, str]) -> Trial:
        """Kill one process of the run at a random moment."""
        draw = random.Random(seed)
        after = draw.randrange(2 * len(expected))
        killed: list[int] = []

        def kill(run: subprocess.Popen[bytes]) -> None:
            while len(self._reported()) < after and run.poll() is None:
                time.sleep(0.005)
            time.sleep(draw.uniform(0, _SPREAD_S))
            find: dict[str, Callable[[int], list[int]]] = {"engine": _engines, "worker": _workers}
            found = find[victim](run.pid) if victim in find else [run.pid]
            for pid in draw.sample(found, min(1, len(found))):
                if run.poll() is None:
                    os.kill(pid, signal.SIGTERM if victim == "job" else signal.SIGKILL)
                    killed.append(pid)

        cache = self._cache()
        report = self._run(cache, kill)
        wrong = list(self._left_over())
        disturbed = 0
        if victim in ("run", "job") and killed:
            reported = self._reported()
            if victim == "job":
                wrong += self._ended(report, expected, reported)
            report = self._run(cache, lambda _run: None)
            wrong += _compared(_words(report), expected, allowed=0)[1]
            wrong += [f"asked again: {nodeid}" for nodeid in _asked(report) if nodeid in reported]
        else:
            disturbed, differ = _compared(_words(report), expected, allowed=len(killed))
            wrong += differ
            if disturbed and report.get("exit_status") == 0:
                wrong.append("the run was hit and passes")
        return Trial(victim, after, bool(killed), disturbed, tuple(wrong))

    @staticmethod
    def _ended(report: dict[str, Any], expected: dict[str, str], reported: set[str]) -> Iterator[str]:
        """What is wrong with the report of a run that was asked to end."""
        words = _words(report)
        if not report or report["exit_status"] not in (0, 1, 2):
            yield f"the run left no report, or ended with {report.get('exit_status')}"
        yield from (f"{pair}: {word}, not {expected[pair]}" for pair, word in words.items() if word != expected[pair])
        told = {pair["nodeid"] for pair in report.get("pairs", ())}
        yield from (f"not in the report: {nodeid}" for nodeid in reported - told if "candidate" in nodeid)

    def _cache(self) -> Path:
        self._number += 1
        return self._folder / f"cache{self._number}"

    def _run(self, cache: Path, meanwhile: Callable[[subprocess.Popen[bytes]], None]) -> dict[str, Any]:
        """The JSON report of a run; ``meanwhile`` is called when its first engine runs."""
        report = self._folder / "report.json"
        for path in (report, self._folder / "reported.txt"):
            path.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-n2", "-p", "no:randomly", f"--quant-cache={cache}"]
        command += [f"--quant-model={MODELS / 'tiny-q4_0.gguf'}", f"--quant-baseline={MODELS / 'tiny-f16.gguf'}"]
        command += [f"--quant-report={report}", "--quant-threads=1", "--quant-ctx=512"]
        with open(self._folder / "output.txt", "wb") as output:
            run = subprocess.Popen(command, cwd=self._folder, stdout=output, stderr=output)
            while run.poll() is None and not _engines(run.pid):
                time.sleep(0.05)
            meanwhile(run)
            run.wait(_PATIENCE)
        return dict(json.loads(report.read_text(encoding="utf-8"))) if report.exists() else {}

    def _reported(self) -> set[str]:
        path = self._folder / "reported.txt"
        return set(path.read_text(encoding="utf-8").split()) if path.exists() else set()

    def _left_over(self) -> Iterator[str]:
        """Processes that still stand in the folder when the run is over."""
        until = time.monotonic() + _GONE_WITHIN
        while (left := [pid for pid in _processes() if _folder_of(pid) == self._folder]) and time.monotonic() < until:
            time.sleep(0.05)
        for pid in left:
            yield f"process {pid} is left over: {' '.join(_command(pid))[:100]}"
            os.kill(pid, signal.SIGKILL)


def _words(report: dict[str, Any]) -> dict[str, str]:
    return {pair["pair"]: pair["verdict"]["word"] for pair in report.get("pairs", ())}


def _asked(report: dict[str, Any]) -> Iterator[str]:
    """Tests, by node id, that asked a model in this run."""
    for pair in report.get("pairs", ()):
        for role in ("baseline", "candidate"):
            if pair[role] and not all(reply["cached"] for reply in pair[role]["replies"]):
                yield pair["nodeid"].replace("candidate", role)


def _compared(words: dict[str, str], expected: dict[str, str], *, allowed: int) -> tuple[int, list[str]]:
    """How many pairs are without a verdict, and what is wrong."""
    hit = [pair for pair in expected if words.get(pair, "missing") in (*_ERRORS, "missing")]
    wrong = [
        f"{pair}: {words[pair]}, not {word}"
        for pair, word in expected.items()
        if pair not in hit and words[pair] != word
    ]
    if len(hit) > allowed:
        wrong.append(f"{len(hit)} pairs without a verdict: {', '.join(hit)}")
    return len(hit), wrong


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _children(pid: int) -> list[int]:
    found = []
    for other in _processes():
        try:
            stat = Path(f"/proc/{other}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if int(parent) == pid and state != "Z":
            found.append(other)
    return found


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return []


def _folder_of(pid: int) -> Path | None:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None


def _workers(pid: int) -> list[int]:
    """The workers of a run."""
    return [child for child in _children(pid) if "-c" in _command(child)]


def _engines(pid: int) -> list[int]:
    """Engines of a run's workers."""
    return [
        engine
        for worker in _workers(pid)
        for engine in _children(worker)
        if "pytest_quantcheck.engines.child" in _command(engine)
    ]


def main() -> None:
    """Kill, count, tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        bench = Bench(Path(folder).resolve())
        expected = bench.undisturbed()
        print(f"undisturbed: {dict(Counter(expected.values()))}", flush=True)
        for number in range(given.times):
            trial = bench.trial(VICTIMS[number % len(VICTIMS)], given.seed + number, expected)
            counts[f"{trial.victim}, {'killed' if trial.killed else 'already over'}"] += 1
            counts[f"{trial.victim}, pairs hit"] += trial.disturbed
            wrong += bool(trial.wrong)
            for line in trial.wrong:
                print(f"trial {number} ({trial.victim} after {trial.after} tests): {line}", flush=True)
    for what, count in sorted(counts.items()):
        print(f"{what}: {count}")
    print(f"{wrong} of {given.times} trials were wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
