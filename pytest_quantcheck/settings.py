"""What the user asked for: one frozen record, made of options and ini keys by options.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_quantcheck.records import Role
from pytest_quantcheck.repetition import DEFAULT_RULE
from pytest_quantcheck.repetition import LoopRule

REFERENCE_KV_TYPE = "f16"
NO_CACHE = Path("off")
"""The value of ``--quant-cache`` that keeps no answers."""
NO_SNAPSHOTS = NO_CACHE
"""The value of ``--quant-snapshots`` that neither writes nor reads any."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """What to ask of the template: its switch, None for its own value, and a budget of thinking tokens if any."""

    switch: bool | None = None
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked for, checked. ``None`` means that the engine or the model file decides."""

    model: str | None = None
    baseline: str | None = None
    reference: str | None = None
    baseline_reference: str | None = None
    reference_store: Path | None = None
    reference_vocabulary: Literal["top", "all"] = "top"
    ctx: int | None = None
    max_tokens: int | None = None
    gpu_layers: int = -1
    devices: tuple[str, ...] = ()
    """What the workers of a run are dealt, 'A+B' for several devices together; empty: what llama.cpp finds."""
    kv_type: tuple[str, ...] = ("f16",)
    """One type for both sides, or the baseline's and the candidate's."""
    mmproj: tuple[str, ...] = ()
    """No projector, one for both sides, or the baseline's and the candidate's."""
    draft: tuple[str, ...] = ()
    """No drafter, one for both sides, or the baseline's and the candidate's."""
    seed: int = 0
    threads: int = 1
    timeout: float = 120.0
    thinking: Thinking = Thinking()
    max_thinking_inflation: float | None = None
    loop: LoopRule | None = DEFAULT_RULE
    gate: Literal["each", "session"] = "each"
    margin: float = 0.05
    alpha: float = 0.05
    strict: bool = False
    samples: int = 1
    plan: bool = False
    confirm: bool = False
    allow: tuple[str, ...] = ()
    pin_template: Literal["baseline"] | None = None
    cache: Path | None = None
    """Where answers are kept; None: beside pytest's own cache. ``NO_CACHE``: nowhere."""
    snapshots: Path | None = None
    """The folder of recorded baselines; None in a run that neither writes nor reads any."""
    record: bool = False
    """Whether another file may become the recorded baseline."""
    selftest: bool = False
    report: Path | None = None
    summary: Path | None = None
    progress: Literal["auto", "on", "off"] = "auto"
    snapshot_use: Literal["", "record", "check"] = ""
    """Whether this run records a baseline, or compares with a recorded one."""

    @property
    def records(self) -> bool:
        """Whether this run records a baseline."""
        return self.snapshot_use == "record"

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles that run, baseline first; none without a model. A recording is the baseline's half of a run."""
        if self.model is None:
            return ()
        if self.records:
            return (Role.BASELINE,)
        return (Role.CANDIDATE,) if self.baseline is None else (Role.BASELINE, Role.CANDIDATE)

    def source(self, role: Role) -> str:
        """The file that plays ``role``."""
        source = self.baseline if role is Role.BASELINE and not self.records else self.model
        assert source is not None
        return source

    def kv_type_of(self, role: Role) -> str:
        """The type of a role's KV cache; the reference's is as exact as its weights."""
        if role is Role.REFERENCE:
            return REFERENCE_KV_TYPE
        return self.kv_type[0 if role is Role.BASELINE else -1]

    def mmproj_of(self, role: Role) -> str | None:
        """The file of a role's projector."""
        return _side(self.mmproj, role)

    def draft_of(self, role: Role) -> str | None:
        """The file of a role's drafter."""
        return _side(self.draft, role)


def _side(files: tuple[str, ...], role: Role) -> str | None:
    return files[0 if role is Role.BASELINE else -1] if files else None
