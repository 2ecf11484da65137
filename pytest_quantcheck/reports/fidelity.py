"""The table of measured fidelity: every text and part, every role and the reference itself."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity import Part
from pytest_quantcheck.fidelity_rules import log_ratio
from pytest_quantcheck.fidelity_rules import mean_kl
from pytest_quantcheck.fidelity_rules import mean_nll
from pytest_quantcheck.fidelity_rules import mean_reference_nll
from pytest_quantcheck.fidelity_rules import mean_same_top
from pytest_quantcheck.fidelity_rules import not_comparable
from pytest_quantcheck.fidelity_rules import recovered
from pytest_quantcheck.fidelity_words import label
from pytest_quantcheck.fidelity_words import number
from pytest_quantcheck.fidelity_words import perplexity
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.records import Role
from pytest_quantcheck.reports.section import Section
from pytest_quantcheck.text import one_line
from pytest_quantcheck.verdict import Result

_ALL = 0.9995
_HEADER = ("fidelity", "", "perplexity", "KL divergence", "99 %", "same top", "units")


def fidelity_section(ledger: Ledger) -> Section | None:
    """What every ``quant.fidelity`` found; None when there was none."""
    rows: list[list[str]] = []
    shares: list[str] = []
    covered: list[float] = []
    for result in sorted(ledger.results, key=lambda result: result.pair):  # workers finish in any order
        for old, new in _measured(result):
            for part in new.parts:
                rows += _rows(old, new, part)
                if old is not None and (said := _recovered(old, new, part)):
                    shares.append(said)
            covered += [new.covered] if new.covered is not None else []
    if not rows:
        return None
    notes = ["± is half of the 90 % interval over the units: chunks of a text, or conversations"]
    if covered:
        notes[0] += "; KL divergence from the reference in nats per token; 99 % of the tokens are below '99 %'"
    if shares:
        notes.append(f"of the baseline's perplexity drop the candidate recovers {'; '.join(shares)}")
    for one in ledger.verdict().instruments:
        if one.check == "fidelity" and one.answer == "cannot-tell":
            notes.append(f"cannot tell in {one.pair}: {one_line(one.why)}")
    if covered and min(covered) < _ALL:
        kept = f"{100 * min(covered):.1f} %"
        notes.append(f"KL divergence is a lower bound: of the reference's probability {kept} or more is kept by token")
    return Section(_HEADER, rows, notes, left=2)


def _measured(result: Result) -> Iterator[tuple[Fidelity | None, Fidelity]]:
    before = result.baseline.fidelities if result.baseline is not None else ()
    for index, new in enumerate(result.candidate.fidelities):
        yield before[index] if index < len(before) else None, new


def _rows(old: Fidelity | None, new: Fidelity, part: Part) -> Iterator[list[str]]:
    name = label(new, part)
    for role, found in ((Role.BASELINE, old), (Role.CANDIDATE, new)):
        if found is not None and (chunks := found.only(part).chunks):
            kl, top = mean_kl(chunks), mean_same_top(chunks)
            tail = found.kl_tail.get(part, {}).get("99")
            yield [
                name,
                role.value,
                perplexity(mean_nll(chunks)),
                number(kl) if kl is not None else "-",
                f"{tail:.3g}" if tail is not None else "-",
                f"{100 * top.value:.1f} %" if top is not None else "-",
                str(len(chunks)),
            ]
            name = ""
    own = {found.reference_fingerprint or found.reference for found in (old, new) if found is not None}
    for role, found in ((Role.BASELINE, old), (Role.CANDIDATE, new)):
        if found is None or (len(own) == 1 and role is Role.BASELINE):
            continue
        chunks = found.only(part).chunks
        if (mean := mean_reference_nll(chunks)) is not None:
            who = "reference" if role is Role.CANDIDATE else "baseline's reference"
            yield [name, who, perplexity(mean), "", "", "", str(len(chunks))]


def _recovered(old: Fidelity, new: Fidelity, part: Part) -> str:
    """'98 % (90 to 105) in stories'; empty where the two sides have nothing in common to measure from."""
    if old.itself or not new.reference or old.reference_fingerprint != new.reference_fingerprint:
        return ""
    if not_comparable(old, new):
        return ""
    before: tuple[Chunk, ...] = old.only(part).chunks
    if log_ratio(before) is None:
        return ""
    share = recovered(before, new.only(part).chunks)
    if share is None:
        return f"an unknown share in {label(new, part)} (its drop may be chance, or there are too few units)"
    if share.high < 0:
        return f"nothing in {label(new, part)}, where it lost more"
    low, high = 100 * share.low, 100 * share.high
    return f"{100 * share.share:.3g} % ({low:.3g} to {high:.3g}) in {label(new, part)}"
