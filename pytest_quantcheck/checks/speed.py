"""quant_speed: floors of speed over fixed token counts, the comparison with the baseline, and how drafts are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from typing import Final

from pytest_quantcheck.benches import Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.checks.base import Check
from pytest_quantcheck.checks.base import CheckCannot
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import checked_count
from pytest_quantcheck.checks.base import checked_positive
from pytest_quantcheck.checks.base import checked_share
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.records import Answer
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Timings
from pytest_quantcheck.speed_rules import FEWEST_PAIRS
from pytest_quantcheck.speed_rules import FIGURES
from pytest_quantcheck.speed_rules import MARGINS
from pytest_quantcheck.speed_rules import UNITS
from pytest_quantcheck.speed_rules import combined
from pytest_quantcheck.speed_rules import comparisons
from pytest_quantcheck.speed_rules import figure
from pytest_quantcheck.speed_rules import shown
from pytest_quantcheck.speed_rules import sure_of
from pytest_quantcheck.text import short

CONTEXT: Final = "context"
"""As a depth: as deep as the run's context allows."""
_NAMES: Final = {"decode": "decode", "prefill": "prefill", "ttft": "first token"}
_SAME: Final = 1e-9


@dataclass(frozen=True, slots=True)
class _Limit:
    """A floor of a speed, or the ceiling of a time."""

    metric: str
    value: float

    def judge(self, bench: Bench) -> tuple[bool, str]:
        """Whether it is kept, for sure and not by luck, and the words for it."""
        figures = FIGURES[self.metric](bench)
        name = _NAMES[self.metric]
        if not figures:
            return False, f"{name} unmeasured"
        sure = sure_of(figures)
        kept = sure is not None and sure >= self.value * (1 - _SAME)
        said = "too few repetitions to be sure of anything"
        if self.metric == "ttft":
            if sure is not None:
                said = f"95 % sure of at most {figure(1 / sure)}"
            words, limit = ("stays below", "exceeds"), 1 / self.value
        else:
            if sure is not None:
                said = f"95 % sure of at least {figure(sure)}"
            words, limit = ("reaches", "misses"), self.value
        middle = median(shown(self.metric, figures))
        return kept, f"{name} median {figure(middle)} {UNITS[self.metric]} ({said}) {words[not kept]} {figure(limit)}"


def quant_speed(
    *,
    decode: float | None = None,
    prefill: float | None = None,
    ttft_s: float | None = None,
    draft_acceptance: float | None = None,
    vs_baseline: bool | float | dict[str, float] = False,
    depth: int | str = 0,
    prompt_tokens: int = 512,
    generate_tokens: int = 128,
    repeats: int = 5,
) -> Check:
    """Value: kept parts / all parts. A part is each limit that is given, and the comparison with the baseline.

    Needs no reply: the engine measures fixed token counts, so no thinking is involved. Only the acceptance of drafts is
    that of the test's own answers, where it asks for any. What the engine raises goes on.
    """
    limits = _limits(decode, prefill, ttft_s)
    margins = _margins(vs_baseline)
    if draft_acceptance is not None:
        checked_share("draft_acceptance", draft_acceptance)
    elif not limits and not margins:
        raise MarkerError("nothing to hold; allowed: decode, prefill, ttft_s, draft_acceptance, vs_baseline")
    request = BenchRequest(
        prompt_tokens=checked_count("prompt_tokens", prompt_tokens, most=10**7),
        generate_tokens=checked_count("generate_tokens", generate_tokens, most=10**7),
        repeats=checked_count("repeats", repeats, least=FEWEST_PAIRS, most=1000),
        depth=_depth(depth),
    )

    def check(seen: CheckInput) -> Score:
        if seen.no_speed and (limits or margins):
            raise CheckCannot(f"speed is not judged: {seen.no_speed}")
        duel = seen.duel(request, margins) if margins and seen.duel is not None else None
        kept, lines = [], []
        if limits:
            bench = seen.bench(request) if duel is None else _joined(duel.candidate)
            for limit in limits:
                is_kept, line = limit.judge(bench)
                kept.append(is_kept)
                lines.append(line)
        answer: Answer | None = None
        if duel is not None:
            answer, line = _compared(duel)
            kept.append(answer != "regression")
            lines.append(line)
        elif margins:
            kept.append(True)
            lines.append("there is nothing to compare with here")
        if draft_acceptance is not None:
            is_kept, line = _drafts(seen, request, draft_acceptance)
            kept.append(is_kept)
            lines.append(line)
            if not limits and not margins:
                return Score("speed", float(is_kept), line)
        size = f"{_depth_words(request)}{request.prompt_tokens} prompt and {request.generate_tokens} generated tokens"
        why = f"{'; '.join(lines)}; {size}, no thinking involved"
        return Score("speed", sum(kept) / len(kept), why, answer=answer or "")

    return check


def _limits(decode: float | None, prefill: float | None, ttft_s: float | None) -> list[_Limit]:
    made = []
    if decode is not None:
        made.append(_Limit("decode", checked_positive("decode", decode)))
    if prefill is not None:
        made.append(_Limit("prefill", checked_positive("prefill", prefill)))
    if ttft_s is not None:
        made.append(_Limit("ttft", 1 / checked_positive("ttft_s", ttft_s)))
    return made


def _margins(given: Any) -> dict[str, float]:
    """Metric -> the loss that is allowed; empty for no comparison."""
    if isinstance(given, bool):
        return dict(MARGINS) if given else {}
    by_name = given if isinstance(given, dict) else dict.fromkeys(MARGINS, given)
    for name, margin in by_name.items():
        if name not in MARGINS:
            raise MarkerError(f"vs_baseline names {short(name)}; allowed: {', '.join(MARGINS)}")
        if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin < 1:
            raise MarkerError(f"vs_baseline={short(margin)}; allowed: True, or a loss of speed between 0 and 1")
    return {name: float(margin) for name, margin in by_name.items()}


def _drafts(seen: CheckInput, request: BenchRequest, floor: float) -> tuple[bool, str]:
    """Whether enough of what was drafted was accepted, and the words for it. It is counted, not estimated."""
    replies = [reply for run in seen.runs for reply in run] or list(seen.replies)
    counts: list[Timings | Bench] = [reply.timings for reply in replies] or [seen.bench(request)]
    drafted, accepted = sum(one.drafted for one in counts), sum(one.accepted for one in counts)
    if not drafted:
        raise CheckCannot("no tokens were drafted: it takes a llama-server with a draft model")
    kept = accepted >= floor * drafted * (1 - _SAME)
    where = "the answers" if replies else "the probe"
    share = f"{100 * accepted / drafted:.3g} %"
    words = "reaches" if kept else "misses"
    return kept, f"draft acceptance {share} ({accepted} of {drafted} tokens of {where}) {words} {100 * floor:.3g} %"


def _depth(given: int | str) -> int | None:
    if given == CONTEXT:
        return None
    try:
        return checked_count("depth", given, least=0, most=10**7)
    except MarkerError as error:
        raise MarkerError(f"{error}, or {CONTEXT!r}") from None


def _compared(duel: Duel) -> tuple[Answer, str]:
    found = comparisons(duel)
    if not found:
        return "cannot-tell", "against the baseline: cannot tell: nothing was measured"
    unsure = {one.metric: "cannot tell: " * (one.answer == "cannot-tell") for one in found}
    told = [f"{one.metric} {one.interval}: {unsure[one.metric]}{one.why}" for one in found]
    return combined(found), f"against the baseline: {'; '.join(told)}"


def _joined(benches: Sequence[Bench]) -> Bench:
    """All repetitions of one model as one."""
    return Bench(
        tuple(value for bench in benches for value in bench.prefill_tok_s),
        tuple(value for bench in benches for value in bench.decode_tok_s),
        benches[0].prompt_tokens,
        benches[0].generated_tokens,
        tuple(value for bench in benches for value in bench.ttft_s),
        benches[0].depth,
    )


def _depth_words(request: BenchRequest) -> str:
    if request.depth is None:
        return "at the end of the context, "
    return f"behind {request.depth} tokens, " if request.depth else ""
