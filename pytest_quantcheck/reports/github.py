"""GitHub annotations: workflow commands that put a failed test beside its line of code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.outcome import explain
from pytest_quantcheck.text import one_line
from pytest_quantcheck.verdict import UNUSABLE
from pytest_quantcheck.verdict import Result

MOST_ERRORS = 10
"""As many as GitHub shows of one step."""
_LIMIT = 2000


def is_github(environment: Mapping[str, str]) -> bool:
    """Whether GitHub Actions reads what is printed."""
    return environment.get("GITHUB_ACTIONS") == "true"


def commands(ledger: Ledger, root: Path, environment: Mapping[str, str]) -> list[str]:
    """One line an annotation: failed tests, what makes the comparison doubtful, the verdict.

    :param root: pytest's rootdir, from which the places of tests count.
    :param environment: names the checkout, from which GitHub counts paths.
    """
    verdict = ledger.verdict()
    checkout = environment.get("GITHUB_WORKSPACE", "")
    failed = [result for result in ledger.results if result.verdict.counts]
    lines = [_error(result, ledger, root, checkout) for result in failed[:MOST_ERRORS]]
    if len(failed) > MOST_ERRORS:
        more = len(failed) - MOST_ERRORS
        lines.append(
            _command("warning", f"{more} more failed {'test' if more == 1 else 'tests'} in the log", "quantcheck")
        )
    for difference in verdict.differences:
        if difference.level != "informs" and not difference.allowed:
            lines.append(_command("warning", difference.text, f"quantcheck: {difference.level}: {difference.row}"))
    if verdict.kind == "cannot-tell":
        lines.append(_command("warning", verdict.sentence, "quantcheck: cannot tell"))
    lines.append(_command("notice", f"{verdict.sentence}\nNext: {verdict.next_step}", f"quantcheck: {verdict.kind}"))
    return lines


def _error(result: Result, ledger: Ledger, root: Path, checkout: str) -> str:
    file, line, name = ledger.places.get(result.nodeid, ("", None, result.pair))
    place = {}
    if file:
        place["file"] = _path(root / file, checkout)
        if line is not None:
            place["line"] = str(line + 1)
    if result.verdict.outcome == "error":
        word, text = "crashed", result.verdict.why
    else:
        word = "no answer" if result.verdict.budget else result.verdict.word.value
        word = UNUSABLE[result.verdict.snapshot].lower() if result.verdict.snapshot else word
        text = explain(result.verdict, result.candidate, result.baseline)
    return _command("error", text, f"{word}: {name}", **place)


def _path(file: Path, checkout: str) -> str:
    """Below the checkout where it lies there, with forward slashes."""
    if checkout:
        relative = os.path.relpath(file, checkout)
        if not relative.startswith(os.pardir) and not os.path.isabs(relative):
            return Path(relative).as_posix()
    return file.as_posix()


def _command(kind: str, text: str, title: str, **properties: str) -> str:
    """``::kind name=value,...::text``, escaped as actions/toolkit does (packages/core/src/command.ts)."""
    given = ",".join(f"{name}={_property(value)}" for name, value in {**properties, "title": title}.items())
    lines = [line[: len(line) - len(line.lstrip(" "))] + one_line(line, _LIMIT) for line in text.splitlines()]
    return f"::{kind} {given}::{_data(chr(10).join(lines)[:_LIMIT])}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")
