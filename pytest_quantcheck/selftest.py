"""--quant-selftest: the user's own run again, against five candidates that are known to be bad: does the gate fail?"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

import pytest

from pytest_quantcheck.engines.server.address import parse_address
from pytest_quantcheck.options import PAIRED_PATHS
from pytest_quantcheck.options import SABOTAGE
from pytest_quantcheck.options import option_name
from pytest_quantcheck.sabotage import CHANGED
from pytest_quantcheck.sabotage import KINDS
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.text import one_line

_INFLATION = 1.25
_SHOWN_TESTS = 10
_SHOWN_LINES = 15
_WIDTH = 110
# what stops a run early, picks tests by an earlier run or waits for a person
_LEFT_OUT = (
    *("-x", "--exitfirst", "--lf", "--last-failed", "--ff", "--failed-first", "--nf", "--new-first", "--cache-clear"),
    *("--sw", "--stepwise", "--sw-skip", "--stepwise-skip", "--sw-reset", "--stepwise-reset", "--pdb", "--trace"),
    *("--quant-selftest", "--quant-confirm", "--quant-plan"),
)
_ADVICE: Final = {
    "noise": "assert what an answer must say: random words satisfy these tests",
    "budget": "no answer is long enough to be cut, or none is asked for with quant.chat",
    "template": "assert what an answer must say: a model that only continues the text satisfies these tests",
    "swapped": "assert what is particular to each question: any answer satisfies these tests",
    "thinking": "nothing limits thinking: add quant_budget (total_tokens, thinking_tokens or vs_baseline) or, for "
    "thoughts of 200 tokens and more, --quant-max-thinking-inflation",
}
# verdicts that hold something against the candidate; a broken run fails whatever the candidate answers
_FINDINGS = ("regression", "unfair")
_ANSWERS = ("replies", "choices", "embeddings")
_BROKEN = ("crashed", "failed")


@dataclass(frozen=True, slots=True)
class Finding:
    """What the gate said of one bad candidate. ``state``: caught, NOT CAUGHT, not possible, did not run."""

    kind: str
    state: str
    said: str
    asked: frozenset[str] = frozenset()
    """Tests that asked the model something."""
    failed: frozenset[str] = frozenset()
    """Those of them that lost something."""


def run(config: pytest.Config, settings: Settings) -> int:
    """Run the five, say what came of each; the exit status: 0 when all that is possible was caught, else 1."""
    file = settings.baseline or settings.model
    if file is None:
        raise pytest.UsageError("--quant-selftest needs a model: --quant-model=FILE.gguf or --quant-baseline=FILE.gguf")
    address = parse_address(file)
    name = Path(file).name if address is None else address
    print(f"quantcheck self-test: {name} against itself, spoilt in {len(KINDS)} ways; each takes a run or two")
    findings = []
    try:
        with tempfile.TemporaryDirectory(prefix="quantcheck-selftest-") as folder:
            for kind in KINDS:
                print(f"  {kind:10}", end="", flush=True)
                start = time.monotonic()
                if kind == "noise" and address is not None:
                    finding = Finding(kind, "not possible", "a server's logits cannot be damaged")
                else:
                    finding = _one(config, settings, file, kind, Path(folder))
                findings.append(finding)
                print(f"{finding.state} ({time.monotonic() - start:.0f} s)", flush=True)
                print("\n".join(_indented(finding.said)), flush=True)
    except KeyboardInterrupt:
        print("\nself-test interrupted")
        return int(pytest.ExitCode.INTERRUPTED)
    print("\n".join(conclusion(findings)), flush=True)
    return int(not passed(findings))


def passed(findings: Sequence[Finding]) -> bool:
    """Whether every bad candidate that can be made of this suite was caught, and there was one."""
    states = [finding.state for finding in findings]
    return "caught" in states and set(states) <= {"caught", "not possible"}


def conclusion(findings: Sequence[Finding]) -> list[str]:
    """The last lines."""
    possible = [finding for finding in findings if finding.state != "not possible"]
    missed = [finding.kind for finding in possible if finding.state != "caught"]
    asked = frozenset[str]().union(*(finding.asked for finding in findings))
    silent = sorted(asked.difference(*(finding.failed for finding in findings)))
    lines = [""]
    if silent:
        more = f" and {len(silent) - _SHOWN_TESTS} more" if len(silent) > _SHOWN_TESTS else ""
        said = (
            f"uninformative: {len(silent)} of {len(asked)} tests that ask the model failed for none of these: they ask "
            f"too little, or the baseline fails them already: {', '.join(silent[:_SHOWN_TESTS])}{more}"
        )
        lines += textwrap.wrap(said, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    if passed(findings):
        return [*lines, f"SELF-TEST PASSED: {len(possible)} of {len(possible)} bad candidates were caught"]
    if not possible:
        return [*lines, "SELF-TEST FAILED: no test asks the model anything, so nothing can be shown"]
    would = "would have passed this gate" if all(f.state != "did not run" for f in possible) else "were not caught"
    return [*lines, f"SELF-TEST FAILED: {len(missed)} of {len(possible)} bad candidates {would}: {', '.join(missed)}"]


def judge(kind: str, exit_status: int, report: dict[str, Any] | None) -> Finding:
    """What one finished run says. A gate that fails for another reason than its candidate has caught nothing."""
    if report is None or exit_status not in (0, 1) or report["verdict"] is None:
        refusal = (report or {}).get("refusal")
        return Finding(kind, "did not run", refusal or f"pytest ended with exit status {exit_status}")
    pairs = [pair for pair in report["pairs"] if any(pair["candidate"][kind] for kind in _ANSWERS)]
    asked = frozenset(pair["pair"] for pair in pairs)
    failed = frozenset(
        pair["pair"] for pair in pairs if pair["verdict"]["word"] == "regressed" or pair["verdict"]["budget"]
    )
    verdict = report["verdict"]
    sentence = one_line(verdict["sentence"])
    if exit_status and verdict["kind"] in _FINDINGS:
        return Finding(kind, "caught", sentence, asked, failed)
    use = report["roles"]["candidate"]["use"] or {}
    if not use.get("facts", {}).get(CHANGED) and verdict["kind"] not in _BROKEN:
        needs = "two different questions" if kind == "swapped" else "a test that asks the model something"
        return Finding(kind, "not possible", f"needs {needs}", asked, failed)
    return Finding(kind, "NOT CAUGHT", f"{sentence} -- {_ADVICE[kind]}", asked, failed)


def child_arguments(given: Sequence[str], ours: Sequence[str]) -> list[str]:
    """The user's arguments for a run of ours: what would stop or narrow it is left out, our options win."""
    kept = [argument for argument in given if argument not in _LEFT_OUT]
    end = kept.index("--") if "--" in kept else len(kept)
    return [*kept[:end], *ours, *kept[end:]]


def _one(config: pytest.Config, settings: Settings, file: str, kind: str, folder: Path) -> Finding:
    report = folder / f"{kind}.json"
    output = folder / f"{kind}.txt"
    ours = list(_options(config, settings, file, kind, folder, report))
    command = [sys.executable, "-m", "pytest", *child_arguments([str(a) for a in config.invocation_params.args], ours)]
    with output.open("wb") as out:
        # no input: nothing may wait for a person
        done = subprocess.run(
            command,
            cwd=config.invocation_params.dir,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    found = json.loads(report.read_text(encoding="ascii")) if report.exists() else None
    finding = judge(kind, done.returncode, found)
    if finding.state != "did not run":
        return finding
    lines = output.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-_SHOWN_LINES:]
    said = "\n".join([f"{finding.said}; its last lines:", *(f"| {one_line(line, _WIDTH)}" for line in lines)])
    return Finding(kind, finding.state, said)


def _options(
    config: pytest.Config, settings: Settings, file: str, kind: str, folder: Path, report: Path
) -> Iterator[str]:
    yield f"{SABOTAGE}={kind}"
    yield f"--quant-baseline={file}"
    yield f"--quant-model={file}"
    yield f"--quant-report={report}"
    # both sides are one file: where each has a companion of its own, that of this file
    yield from (f"{option_name(name)}={files[0]}" for name in PAIRED_PATHS if len(files := getattr(settings, name)) > 1)
    yield "--maxfail=0"
    if kind == "thinking" and settings.max_thinking_inflation is None:
        yield f"--quant-max-thinking-inflation={_INFLATION}"
    if config.pluginmanager.hasplugin("cacheprovider"):
        # an empty cache: the user's next --lf must not be about our candidates
        yield from ("-o", f"cache_dir={folder / 'cache'}")
    if config.pluginmanager.hasplugin("junitxml"):
        yield "--junit-xml="


def _indented(said: str) -> Iterator[str]:
    for line in said.splitlines():
        yield from textwrap.wrap(
            line, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8, break_on_hyphens=False
        )
