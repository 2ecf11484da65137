"""The run as GitHub-flavoured Markdown: a file that the user names, and the summary page of a GitHub job."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_quantcheck.error_counts import error_rows
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Word
from pytest_quantcheck.reports.gfm import block
from pytest_quantcheck.reports.gfm import code
from pytest_quantcheck.reports.gfm import code_html
from pytest_quantcheck.reports.gfm import prose
from pytest_quantcheck.reports.gfm import table
from pytest_quantcheck.reports.replies import ending
from pytest_quantcheck.reports.sections import Section
from pytest_quantcheck.reports.sections import sections
from pytest_quantcheck.reports.terminal import files
from pytest_quantcheck.reports.terminal import references_said
from pytest_quantcheck.samples import SampleVerdict
from pytest_quantcheck.session import PASSING
from pytest_quantcheck.session import SessionVerdict
from pytest_quantcheck.tally import Tally
from pytest_quantcheck.text import points
from pytest_quantcheck.verdict import UNUSABLE
from pytest_quantcheck.verdict import Result

_MOST_TESTS = 40
_MOST_REPLIES = 3
_MOST_CHARACTERS = 1500
# of all tests together: GitHub takes 1 MiB a step, and a character has up to 4 bytes
_MOST_IN_ALL = 200_000
_ICONS = {
    **dict.fromkeys(PASSING, "✅"),
    **dict.fromkeys(("cannot-tell", "nothing-compared", "unfair", "stale"), "⚠️"),
}


def build(ledger: Ledger, exit_status: int) -> str:
    """The whole text; ends with a line's end."""
    _, verdict = ledger.end(exit_status)
    if verdict is None:
        lines = [
            "## ❌ quantcheck: refused",
            "",
            prose(ledger.refusal or "pytest refused an option, a marker or a file"),
        ]
        return "\n".join(lines) + "\n"
    parts = [
        [f"## {_ICONS.get(verdict.kind, '❌')} {prose(verdict.sentence)}"],
        _who(ledger),
        _differences(verdict),
        _tallies("by marker", verdict.markers, compared=Role.BASELINE in ledger.roles),
        _families(verdict),
        _tool_errors(verdict),
        *(_section(section) for section in sections(ledger)),
        *_failed(ledger.results),
        _tokens(ledger, verdict),
        [prose(verdict.reach)] if verdict.reach else [],
        [f"**Next:** {prose(verdict.next_step)}"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _who(ledger: Ledger) -> list[str]:
    rows = [
        [prose(who), code(name), mix if mix == "-" else prose(mix), *figures]
        for who, name, mix, *figures in files(ledger)
    ]
    lines = table(["", "file", "types", "bits/weight", "size"], rows, left=3) if rows else []
    return [*lines, *(line for said in references_said(ledger) for line in ("", prose(said)))]


def _differences(verdict: SessionVerdict) -> list[str]:
    if not verdict.differences:
        return []
    rows = [[prose(one.row), "allowed" if one.allowed else one.level, prose(one.text)] for one in verdict.differences]
    return ["### Not the same on both sides", "", *table(["what", "", ""], rows, left=3)]


def _section(section: Section) -> list[str]:
    rows = [[prose(cell) for cell in row] for row in section.rows]
    lines = table([prose(cell) for cell in section.header], rows, left=section.left)
    return [*lines, *(line for note in section.notes for line in ("", prose(note)))]


def _tallies(title: str, tallies: Sequence[Tally], *, compared: bool) -> list[str]:
    if not tallies:
        return []
    if not compared:
        rows = [[code(t.name), str(t.pairs), str(t.pairs - t.failed), _count(t.failed)] for t in tallies]
        return table([title, "tests", "passed", "failed"], rows)
    used = [word for word in Word if word in (Word.HELD, Word.REGRESSED) or any(_of(t, word) for t in tallies)]
    rows = [[code(t.name), str(t.pairs), *(_count(_of(t, word)) for word in used)] for t in tallies]
    return table([title, "pairs", *used], rows)


def _of(tally: Tally, word: Word) -> int:
    count: int = getattr(tally, word.value)
    return count


def _count(count: int) -> str:
    return str(count) if count else "·"


def _families(verdict: SessionVerdict) -> list[str]:
    samples = verdict.samples
    if samples is None:
        return []
    rows = [_family(code(sample.name) if sample.name else "**all samples**", sample) for sample in samples.rows]
    interval = f"{100 * samples.rule.level:g} % interval"
    return table(["samples by family", "scored", "lost", "won", "both fail", "points", interval, "verdict"], rows)


def _tool_errors(verdict: SessionVerdict) -> list[str]:
    header, *rows = error_rows(verdict.tool_errors)
    return table(header, [[name, *map(_count, counts)] for name, *counts in rows]) if rows else []


def _family(name: str, family: SampleVerdict) -> list[str]:
    return [
        name,
        *(_count(count) for count in (family.scored, family.lost, family.won, family.both_fail)),
        points(family.mean) if family.scored else "-",
        f"{points(family.low)} to {points(family.high)}" if family.scored else "-",
        family.answer.replace("-", " "),
    ]


def _failed(results: Sequence[Result]) -> list[list[str]]:
    """What was lost, with both answers: requirements before samples, each folded away."""
    lost = [r for r in results if r.verdict.counts or r.verdict.word is Word.REGRESSED]
    lost.sort(key=lambda result: (result.verdict.flip, result.pair))  # workers finish in any order
    if not lost:
        return []
    tests: list[list[str]] = []
    room = _MOST_IN_ALL
    for result in lost[:_MOST_TESTS]:
        test = _test(result)
        room -= sum(map(len, test))
        if room < 0:
            break
        tests.append(test)
    left = len(lost) - len(tests)
    more = [[f"and {left} more; `--quant-report` holds them all"]] if left else []
    return [["### Lost or failed"], *tests, *more]


def _test(result: Result) -> list[str]:
    word = "crashed" if result.verdict.outcome == "error" else result.verdict.word.value
    word = UNUSABLE[result.verdict.snapshot].lower() if result.verdict.snapshot else word
    word = "no answer" if result.verdict.budget else "lost sample" if result.verdict.flip else word
    lines = [
        "<details>",
        f"<summary>{word}: {code_html(result.pair)}</summary>",
        "",
        prose(result.verdict.why, 600),
        "",
    ]
    for observation in (result.baseline, result.candidate):
        if observation is not None:
            lines += _answers(observation)
    return [*lines, "</details>"]


def _answers(observation: Observation) -> list[str]:
    lines = []
    for reply in observation.replies[-_MOST_REPLIES:]:
        usage = reply.usage
        lines += [f"**{observation.role}**, {usage.total} tokens ({usage.thinking} thinking), {ending(reply)}:", ""]
        lines += [*block(_visible(reply), _MOST_CHARACTERS), ""]
    return lines


def _visible(reply: Reply) -> str:
    calls = [f"tool call: {call.raw.strip()}" for call in reply.tool_calls]
    return "\n".join([*([reply.text] if reply.text else []), *calls]) or "(nothing)"


def _tokens(ledger: Ledger, verdict: SessionVerdict) -> list[str]:
    rows = []
    for role in ledger.roles:
        replies = [reply for observation in ledger.observations(role) for reply in observation.replies]
        thinking = sum(reply.usage.thinking for reply in replies)
        visible = sum(reply.usage.visible for reply in replies)
        rows.append([role.value, *map(str, (len(replies), thinking, visible, thinking + visible))])
    lines = table(["tokens", "answers", "thinking", "visible", "total"], rows)
    if verdict.thinking is not None:
        lines += ["", f"Thinking, candidate over baseline: {prose(str(verdict.thinking))}"]
    return lines
