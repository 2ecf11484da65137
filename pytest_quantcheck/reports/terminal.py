"""The summary at the end of a terminal run: who was compared, what was lost, what it cost, what to do next."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pytest_quantcheck.error_counts import error_rows
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Word
from pytest_quantcheck.reports.differences import difference_lines
from pytest_quantcheck.reports.differences import held_lines
from pytest_quantcheck.reports.replies import answer
from pytest_quantcheck.reports.sections import Section
from pytest_quantcheck.reports.sections import sections
from pytest_quantcheck.samples import Samples
from pytest_quantcheck.session import PASSING
from pytest_quantcheck.session import SessionVerdict
from pytest_quantcheck.sizes import size
from pytest_quantcheck.text import one_line
from pytest_quantcheck.text import points

MAX_WIDTH = 110
_SHOWN_FLIPS = 2
_SHOWN_CONFIRMATIONS = 20
_WORDS = [word.value for word in Word]


@dataclass(frozen=True, slots=True)
class Line:
    """One line and its colour: '', 'red', 'green', 'yellow', 'bold' or 'dim'."""

    text: str
    style: str = ""


def summary(ledger: Ledger, width: int | None = None) -> list[Line]:
    """The lines of the summary."""
    verdict = ledger.verdict()
    columns = min(width or shutil.get_terminal_size().columns, MAX_WIDTH)
    lines = [*_who(ledger, columns), *_differences(verdict, columns), Line("")]
    if verdict.markers:
        lines += [*_verdicts(verdict, compared=Role.BASELINE in ledger.roles), Line("")]
    lines += _tool_errors(verdict)
    lines += _confirmations(ledger)
    lines += _lost_samples(ledger, verdict, columns)
    for section in sections(ledger):
        lines += [*_section(section, columns), Line("")]
    lines += [*_cost(ledger, verdict), Line("")]
    lines += [Line(text, _colour(verdict)) for text in _wrap(verdict.sentence, columns)]
    lines += [Line(text, "dim") for text in _wrap(verdict.reach, columns)]
    lines += [Line(text, "dim") for text in _wrap("Next: " + verdict.next_step, columns)]
    return lines


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _colour(verdict: SessionVerdict) -> str:
    if verdict.kind in PASSING:
        return "green"
    return "yellow" if verdict.kind in ("nothing-compared", "cannot-tell", "unfair", "stale") else "red"


def _who(ledger: Ledger, columns: int) -> list[Line]:
    lines = table(["", "file", "types", "bits/weight", "size"], files(ledger), left=3)
    lines += held_lines(ledger.pins, ledger.conditions(), columns) + references_said(ledger)
    return [Line(text) for text in lines]


def files(ledger: Ledger) -> list[list[str]]:
    """A row for every file of the run: who it is, then what `describe` says of it."""
    rows = [[role.value, *describe(ledger.cards[role])] for role in ledger.roles if role in ledger.cards]
    for one in ledger.references:
        who = "reference" if one.option == "reference" else "baseline's reference"
        rows.append([who, *(describe(one.card) if one.card is not None else [one.name, one.words, "-", "-"])])
    return rows


def references_said(ledger: Ledger) -> list[str]:
    """A line for every reference that is no unquantized model."""
    return [f"{one.name}: {one.words}" for one in ledger.references if one.quantized]


def _differences(verdict: SessionVerdict, columns: int) -> list[Line]:
    styles = {"blocks": "yellow", "allowed": "yellow"}
    lines = difference_lines(verdict.differences, columns)
    if not lines:
        return []
    return [
        Line(""),
        Line("not the same on both sides", "bold"),
        *(Line(text, styles.get(word, "")) for word, text in lines),
    ]


def describe(card: ModelCard) -> list[str]:
    """A model's file, its mix of types, its bits per weight and its size; '-' for what is not known."""
    bits = f"{card.bits_per_weight:.2f}" if card.parameters else "-"
    return [card.file_name, card.type_mix or "-", bits, size(card.file_bytes) if card.file_bytes else "-"]


def _verdicts(verdict: SessionVerdict, *, compared: bool) -> list[Line]:
    if not compared:
        rows = [[t.name, str(t.pairs), str(t.pairs - t.failed), str(t.failed or ".")] for t in verdict.markers]
        return [Line(text) for text in table(["by marker", "tests", "passed", "failed"], rows, left=1)]
    used = [word for word in _WORDS if word in ("held", "regressed") or any(getattr(t, word) for t in verdict.markers)]
    rows = [[t.name, str(t.pairs), *(str(getattr(t, word) or ".") for word in used)] for t in verdict.markers]
    lines = _coloured(
        table(["by marker", "pairs", *used], rows, left=1), ["red" if t.failed else "" for t in verdict.markers]
    )
    return lines if verdict.samples is None else [*lines, Line(""), *_samples(verdict.samples)]


def _samples(samples: Samples) -> list[Line]:
    """Family by family and all together: counts, the change of the score with its interval, and the answer."""
    rows = [
        [
            sample.name or "all samples",
            *(str(count or ".") for count in (sample.scored, sample.lost, sample.won, sample.both_fail)),
            points(sample.mean) if sample.scored else "-",
            f"{points(sample.low)} to {points(sample.high)}" if sample.scored else "-",
            sample.answer.replace("-", " "),
        ]
        for sample in samples.rows
    ]
    level = f"{100 * samples.rule.level:g} % interval"
    header = ["samples by family", "scored", "lost", "won", "both fail", "points", level, "verdict"]
    styles = {"regression": "red", "no-regression": "green", "cannot-tell": ""}
    return _coloured(table(header, rows, left=1), [styles[sample.answer] for sample in samples.rows])


def _tool_errors(verdict: SessionVerdict) -> list[Line]:
    header, *rows = error_rows(verdict.tool_errors)
    lines = table(header, [[name, *(str(count or ".") for count in counts)] for name, *counts in rows], left=1)
    return [*_coloured(lines, [""] * len(rows)), Line("")] if rows else []


def _section(section: Section, columns: int) -> list[Line]:
    lines = _coloured(table(section.header, section.rows, left=section.left), [""] * len(section.rows))
    return lines + [Line(text, "dim") for note in section.notes for text in _wrap(note, columns)]


def _coloured(lines: Sequence[str], styles: Sequence[str]) -> list[Line]:
    head, *body = lines
    return [Line(head, "bold"), *(Line(text, style) for text, style in zip(body, styles, strict=True))]


def _confirmations(ledger: Ledger) -> list[Line]:
    """What became of the lost tests that were asked again."""
    asked = list(ledger.confirmations.values())
    if not asked:
        return []
    kept = sum(one.confirmed is True for one in asked)
    lines = [Line(f"asked again: {kept} of {len(asked)} lost tests confirmed", "bold")]
    for one in asked[:_SHOWN_CONFIRMATIONS]:
        word = {True: "confirmed", False: "not confirmed", None: "counts as it is"}[one.confirmed]
        lines.append(Line(f"  {word:15}  {one.pair}: {one_line(one.counts)}", "red" if one.confirmed else ""))
    left = len(asked) - _SHOWN_CONFIRMATIONS
    return [*lines, Line(f"  and {left} more" if left > 0 else ""), *([Line("")] if left > 0 else [])]


def _lost_samples(ledger: Ledger, verdict: SessionVerdict, columns: int) -> list[Line]:
    """Both answers of the first flips of each family that lost; failed requirements were shown in full already."""
    lines = []
    every = [result for result in ledger.results if result.verdict.flip]
    samples = verdict.samples
    worse = samples.regressed or samples.families if samples is not None and samples.answer == "regression" else ()
    for family in worse:
        flips = [result for result in every if result.family == family.name]
        if family.lost <= family.won or not flips:
            continue
        lines.append(Line(f"lost in {family.name}", "bold"))
        for result in flips[:_SHOWN_FLIPS]:
            lines.append(Line(f"  {result.pair}"))
            run = next((number for number, one in enumerate(result.candidate.each) if not one.passed), 0)
            for observation in (result.baseline, result.candidate):
                replies = observation.replies_by_run[run : run + 1] if observation is not None else ()
                if observation is not None and replies and replies[0]:
                    shown = answer(replies[0][-1], columns - 16)
                    lines.append(Line(f"    {observation.role:10} {shown}", "dim"))
        left = len(flips) - _SHOWN_FLIPS
        lines.append(Line(f"  and {left} more (-rx lists them)" if left > 0 else ""))
    return lines if not lines or not lines[-1].text else [*lines, Line("")]


def _cost(ledger: Ledger, verdict: SessionVerdict) -> list[Line]:
    rows = []
    for role in ledger.roles:
        observations = list(ledger.observations(role))
        replies = [reply for observation in observations for reply in observation.replies]
        thinking = sum(reply.usage.thinking for reply in replies)
        visible = sum(reply.usage.visible for reply in replies)
        use = ledger.use.get(role)
        rows.append(
            [
                role.value,
                str(len(replies)),
                str(thinking),
                str(visible),
                str(thinking + visible),
                _median([reply.decode_tok_s for reply in replies if not reply.cached]),
                _median([reply.useful_tok_s for reply in replies if not reply.cached]),
                size(use.peak_memory) if use is not None and use.peak_memory else "-",
            ]
        )
    header = ["", "answers", "thinking", "visible", "total tokens", "tok/s *", "useful *", "peak memory"]
    notes = ["* median over the answers, not a measured comparison; useful: visible tokens over the whole time"]
    if ledger.sampling is not None:
        seeds = f"{ledger.settings.seed} to {ledger.settings.seed + ledger.settings.samples - 1}"
        notes.append(f"{ledger.settings.samples} runs a test, seeds {seeds} on both sides, {ledger.sampling}")
    kept = [f"{use.cached} of the {role}" for role, use in ledger.use.items() if use.cached]
    if kept:
        notes.append(f"answers of an earlier run, and not its speed: {', '.join(kept)} (--quant-cache=off asks anew)")
    notes += _ended_early(ledger)
    if ledger.cache_failure:
        notes.append(f"answers could not be kept for the next run: {ledger.cache_failure}")
    if verdict.thinking is not None:
        notes.append(f"thinking, candidate over baseline: {verdict.thinking}")
    if any(use.facts.get("gpu") is False for use in ledger.use.values()):
        notes.append("this build of llama.cpp has no GPU support; everything ran on the CPU")
    if any(use.facts.get("family") == "plain" for use in ledger.use.values()):
        notes.append("the chat template holds no known marker of thoughts or tool calls; all of an answer is its text")
    return [*(Line(text) for text in table(header, rows, left=1)), *(Line(note, "dim") for note in notes)]


def _ended_early(ledger: Ledger) -> list[str]:
    """How many answers ended early on each side, and the most that it can have saved."""
    sides = {
        role: [reply for seen in ledger.observations(role) for reply in seen.replies if reply.finish == "early"]
        for role in ledger.roles
    }
    if not any(sides.values()):
        return []
    said = ", ".join(f"{len(replies)} of the {role}" for role, replies in sides.items() if replies)
    spared = sum(reply.spared for replies in sides.values() for reply in replies)
    return [f"answers ended early, nothing could change their scores: {said}; this saved at most {spared} tokens"]


def _median(speeds: Sequence[float | None]) -> str:
    known = [speed for speed in speeds if speed is not None]
    return f"{median(known):.0f}" if known else "-"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Aligned columns, the first ``left`` of them to the left."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *rows]
    ]
