"""What a difference in decode speed is owed to: bytes, kernels, or the measurement. Pure.

A decoded token reads all weights it uses and the keys and values that stand before it. Where memory sets the speed, two
files decode in the ratio of these bytes, and what differs beyond that is owed to the kernels of their types: how the
weights were trained or chosen changes neither. The rules: docs/explanation/speed.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from typing import Literal

from pytest_quantcheck.speed_rules import Comparison

CLOSE: Final = 0.03
"""A residual whose interval comes this close to 1 needs no explanation beyond the bytes."""
WIDE: Final = 0.10
"""An interval that reaches further than this from its middle explains nothing."""
BOUND: Final = 0.5
"""Below this share of the memory's own speed something else than memory sets the pace."""

_THIRD_FILE: Final = "a PTQ file with the candidate's tensor types: it has the format without the recipe"

Cause = Literal["bytes", "kernel-or-type", "measurement-problem", "none", "not-bandwidth-bound", "cannot-tell"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one decoded token of a file reads, in bytes.

    ``table`` tells tensor tables apart (names, shapes and types); '' when it is not known. ``types`` is for people.
    """

    weights: float
    keys_and_values: float = 0.0
    table: str = ""
    types: str = ""

    @property
    def bytes(self) -> float:
        """Both together."""
        return self.weights + self.keys_and_values


@dataclass(frozen=True, slots=True)
class Attribution:
    """Ratios of decode speeds, candidate over baseline: by the bytes, as measured, and what the bytes leave over.

    ``bandwidths``: bytes that baseline and candidate read a second. ``next_file``: what to measure to know more; '' for
    nothing.
    """

    cause: Cause
    predicted: float
    observed: float
    residual: float
    low: float | None
    high: float | None
    bandwidths: tuple[float, float]
    sentence: str
    next_file: str = ""


def attribute(
    baseline: Traffic, candidate: Traffic, decode: Comparison, *, peak_bytes_s: float | None = None
) -> Attribution | None:
    """What the ratio of two decode speeds is owed to; None when a file does not say what a token reads.

    :param decode: the comparison of the decode speeds.
    :param peak_bytes_s: what the memory can move in a second; None when nobody measured it.
    """
    if not baseline.bytes or not candidate.bytes:
        return None
    predicted = baseline.bytes / candidate.bytes
    low = None if decode.low is None else decode.low / predicted
    high = None if decode.high is None else decode.high / predicted
    bandwidths = (decode.baseline * baseline.bytes, decode.candidate * candidate.bytes)
    residual = decode.ratio / predicted
    same = bool(baseline.table) and baseline.table == candidate.table
    share = None if peak_bytes_s is None else min(bandwidths) / peak_bytes_s
    cause = _cause(decode, same and predicted == 1, low, high, share)
    sentence = _sentence(cause, predicted, decode, residual, share, (baseline.types, candidate.types))
    return Attribution(
        cause=cause,
        predicted=predicted,
        observed=decode.ratio,
        residual=residual,
        low=low,
        high=high,
        bandwidths=bandwidths,
        sentence=sentence,
        next_file=_next_file(cause, same=same),
    )


def _cause(decode: Comparison, same: bool, low: float | None, high: float | None, share: float | None) -> Cause:
    if low is None or high is None or decode.is_refused:
        return "cannot-tell"
    if same:
        assert decode.low is not None
        assert decode.high is not None
        is_other = decode.low > 1 + CLOSE or decode.high < 1 - CLOSE
        return "measurement-problem" if is_other else "none"
    if share is not None and share < BOUND:
        return "not-bandwidth-bound"
    if low > 1 + CLOSE or high < 1 - CLOSE:
        return "kernel-or-type"
    return "cannot-tell" if high / low > (1 + WIDE) ** 2 else "bytes"


def _sentence(
    cause: Cause,
    predicted: float,
    decode: Comparison,
    residual: float,
    share: float | None,
    types: tuple[str, str],
) -> str:
    bytes_say, left = f"the bytes that a token reads predict x{predicted:.3g}", f"x{residual:.3g}"
    named = "" if not all(types) or types[0] == types[1] else f" ({types[1]} against {types[0]})"
    unchecked = "" if share is not None else "; no memory speed was measured, so whether memory sets the pace is open"
    return {
        "none": (
            "both files have the same tensor table, and decode equally fast within "
            f"{100 * CLOSE:.0f} %, as they must: a training recipe cannot change decode speed"
        ),
        "measurement-problem": (
            f"both files have the same tensor table, so the recipe cannot do this: measured x{decode.ratio:.3g} is a "
            "measurement problem (the machine, the order, another load)"
        ),
        "bytes": f"explained by bytes: {bytes_say}, measured x{decode.ratio:.3g}{unchecked}",
        "kernel-or-type": (
            f"{bytes_say}, measured x{decode.ratio:.3g}: x{residual:.3g} is left for the kernels of the types{named}, "
            f"not for the recipe{unchecked}"
        ),
        "not-bandwidth-bound": (
            f"a model reads less than {100 * BOUND:.0f} % of what the memory can move, so bytes do not set the pace "
            f"and say nothing of the cause (measured x{decode.ratio:.3g}, {bytes_say})"
        ),
        "cannot-tell": (
            f"cannot tell what the difference is owed to: {bytes_say}, measured x{decode.ratio:.3g}, which leaves "
            f"{left}, and {decode.doubt}"
        ),
    }[cause]


def _next_file(cause: Cause, *, same: bool) -> str:
    """What would part recipe from format: a third file, and where nothing could be told both files once more."""
    if cause == "measurement-problem":
        return "the baseline against a copy of itself (A/A)"
    again = "both files again, more often or on a steadier machine" * (cause == "cannot-tell")
    third = "" if same or cause in ("none", "bytes") else _THIRD_FILE
    return ", and ".join(filter(None, (again, third)))
