"""The speed section: what tests measured of both models, the verdicts, and what a difference is owed to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pytest_quantcheck.attribution import Attribution
from pytest_quantcheck.attribution import Traffic
from pytest_quantcheck.attribution import attribute
from pytest_quantcheck.benches import Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.ggml_types import GGML_TYPES
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.records import Role
from pytest_quantcheck.reports.section import Section
from pytest_quantcheck.speed_rules import FIGURES
from pytest_quantcheck.speed_rules import UNITS
from pytest_quantcheck.speed_rules import Comparison
from pytest_quantcheck.speed_rules import comparisons
from pytest_quantcheck.speed_rules import figure
from pytest_quantcheck.speed_rules import shown

_KV_BYTES = {name.lower(): size / block for name, block, size in GGML_TYPES.values()}
"""Type of a KV cache -> bytes of one number in it."""
_NAMES = {"decode": "decode", "prefill": "prefill", "ttft": "time to first token"}


def speed_section(ledger: Ledger) -> Section | None:
    """One row a figure that some test measured; None when no test measured speed."""
    rows: list[list[str]] = []
    notes: list[str] = []
    several = sum(result.candidate.duel is not None for result in ledger.results) > 1
    for result in ledger.results:
        test, duel = result.pair.split("::")[-1], result.candidate.duel
        if duel is not None:
            found = comparisons(duel)
            rows += [_compared(test, one, duel) for one in found]
            notes += [f"{test}: {note}" if several else note for note in _notes(ledger, duel, found)]
            continue
        old = None if result.baseline is None else result.baseline.bench
        new = result.candidate.bench
        if new is not None:
            rows += [_alone(test, metric, old, new) for metric in UNITS if FIGURES[metric](new)]
    rows += _drafts(ledger)
    if not rows:
        return None
    return Section(["speed", "", "baseline", "candidate", "ratio of speeds", "verdict"], rows, notes, left=2)


def _drafts(ledger: Ledger) -> list[list[str]]:
    """One row on what draft models had to do with all answers of the run; none where nothing was drafted."""
    cells = []
    for role in (Role.BASELINE, Role.CANDIDATE):
        times = [reply.timings for seen in ledger.observations(role) for reply in seen.replies]
        drafted, accepted = sum(one.drafted for one in times), sum(one.accepted for one in times)
        cells.append(f"{100 * accepted / drafted:.3g} % of {drafted}" if drafted else "-")
    return [["all answers", "draft acceptance", *cells, "-", ""]] if set(cells) != {"-"} else []


def _compared(test: str, one: Comparison, duel: Duel) -> list[str]:
    bench = duel.candidate[0]
    what = f"{_NAMES[one.metric]} {UNITS[one.metric]}{_counts(bench)}"
    return [test, what, figure(one.baseline), figure(one.candidate), one.interval, one.word]


def _alone(test: str, metric: str, old: Bench | None, new: Bench) -> list[str]:
    """Two measurements from different times of the run: they are not compared."""
    sides = ["-" if bench is None else _median(metric, bench) for bench in (old, new)]
    return [test, f"{_NAMES[metric]} {UNITS[metric]}{_counts(new)}", *sides, "-", ""]


def _median(metric: str, bench: Bench) -> str:
    figures = FIGURES[metric](bench)
    return figure(median(shown(metric, figures))) if figures else "-"


def _counts(bench: Bench) -> str:
    depth = f"{bench.depth} + " if bench.depth else ""
    return f", {depth}{bench.prompt_tokens} + {bench.generated_tokens} tokens"


def _notes(ledger: Ledger, duel: Duel, found: Sequence[Comparison]) -> list[str]:
    notes = []
    if found:
        loaded = "each loaded anew for each run" if duel.reloaded else "both loaded at once"
        shows = ", ".join(f"{one.metric} {100 * one.detectable:.2g} %" for one in found if one.detectable is not None)
        so_many = f"; so many runs show a loss of: {shows}" if shows else ""
        notes.append(f"{found[0].pairs} pairs of runs in turn ({duel.order}), {loaded}{so_many}")
    reasons = dict.fromkeys(one.why for one in found if one.answer == "cannot-tell")
    for reason in reasons:
        metrics = ", ".join(one.metric for one in found if one.why == reason)
        notes.append(f"{metrics}: cannot tell: {reason}")
    far = sum(one.outliers for one in found)
    if far:
        notes.append(f"{far} run{'s' * (far > 1)} far from the others of the same model; they count all the same")
    cold = [side[0].cold_prefill_tok_s for side in (duel.baseline, duel.candidate) if side]
    if all(cold):
        told = " and ".join(figure(speed) for speed in cold if speed)
        notes.append(f"the first prompt after loading (cold), baseline and candidate: {told} tok/s; not counted above")
    decode = next((one for one in found if one.metric == "decode"), None)
    owed = None if decode is None else _owed(ledger, duel, decode)
    if owed is not None:
        notes.append(owed.sentence)
        notes.append(_bandwidth(owed, duel))
        if owed.next_file:
            notes.append(f"to know more measure next: {owed.next_file}")
    return notes


def _owed(ledger: Ledger, duel: Duel, decode: Comparison) -> Attribution | None:
    if ledger.cards.keys() < {Role.BASELINE, Role.CANDIDATE}:
        return None
    bench = duel.candidate[0]
    standing = bench.depth + bench.prompt_tokens + bench.generated_tokens // 2
    baseline, candidate = (_traffic(ledger, role, standing) for role in (Role.BASELINE, Role.CANDIDATE))
    return attribute(baseline, candidate, decode, peak_bytes_s=duel.copy_bytes_s)


def _traffic(ledger: Ledger, role: Role, standing: int) -> Traffic:
    card = ledger.cards[role]
    keys_and_values = card.kv_bytes_per_token(standing, _KV_BYTES[ledger.settings.kv_type_of(role)])
    main = max(card.tensor_types, key=card.tensor_types.__getitem__, default="")
    return Traffic(card.decode_bytes, keys_and_values, card.tensor_table_digest, main)


def _bandwidth(owed: Attribution, duel: Duel) -> str:
    read = " and ".join(f"{speed / 1e9:.3g}" for speed in owed.bandwidths)
    peak = "no copy speed of the memory was measured"
    if duel.copy_bytes_s is not None:
        peak = f"plain copies move {duel.copy_bytes_s / 1e9:.3g} GB/s"
    return f"baseline and candidate read {read} GB/s while decoding; {peak}"
