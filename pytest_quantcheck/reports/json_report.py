"""The machine-readable report: versioned, strict JSON, every raw value that a table was made from.

``report.schema.json`` beside this file is its JSON Schema, made from the types below by ``python docs/make_schema.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields
from dataclasses import is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from typing import Final
from typing import Literal

from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.confirmation import Confirmation
from pytest_quantcheck.files import write_atomically
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.ledger import EndKind
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.ledger import RoleUse
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.reference_files import Reference
from pytest_quantcheck.sampling import Sampling
from pytest_quantcheck.session import SessionVerdict
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.verdict import Result

VERSION: Final = 2
# 1: first version
# 2: kind and plugin at the top; the verdict has an interval and its reach; numbers that are not finite are null


@dataclass(frozen=True, slots=True)
class Plugin:
    """What wrote the report."""

    name: str
    version: str

    @classmethod
    def installed(cls) -> Plugin:
        """This plugin; the version is empty when it runs from a folder that was never installed."""
        name = "pytest-quantcheck"
        try:
            return cls(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            return cls(name, "")


@dataclass(frozen=True, slots=True)
class RoleReport:
    """One side of the comparison. None where the file was never read or never used."""

    card: ModelCard | None
    conditions: Conditions | None
    use: RoleUse | None


@dataclass(frozen=True, slots=True)
class Report:
    """One run of pytest with ``--quant-model``. Every key is always there; tokens are counts, times are seconds."""

    version: Literal[2]
    """Of this format; it changes when a key changes its meaning or goes away."""
    kind: EndKind
    """The verdict in one word; 'refused' when an option, a marker or a file was wrong and nothing was judged."""
    plugin: Plugin
    exit_status: int
    """Of pytest."""
    refusal: str | None
    """Which file or option was refused, and why."""
    settings: Settings
    """Options and ini keys as they were understood. None: the engine or the model file decided."""
    roles: dict[Role, RoleReport]
    references: tuple[Reference, ...]
    """The unquantized weights that fidelity was measured against: the candidate's, then the baseline's own if any."""
    same_content: bool
    """Whether both files hold the same bytes."""
    sampling: Sampling | None
    """How answers were drawn; None where they were greedy."""
    sandbox: str | None
    """The level of the sandbox in which answers' code ran; None when none ran."""
    verdict: SessionVerdict | None
    """None when the run was refused."""
    confirmations: tuple[Confirmation, ...]
    """How lost tests came out when both models were asked again."""
    baseline_only: tuple[Observation, ...]
    """What the baseline recorded in tests whose candidate half did not run."""
    pairs: tuple[Result, ...]
    """Every test of the candidate, with the baseline's half where there is one."""


def build(ledger: Ledger, exit_status: int) -> dict[str, Any]:
    """The report as JSON builtins."""
    conditions = ledger.conditions()
    results = ledger.results
    judged = {result.pair for result in results}
    kind, verdict = ledger.end(exit_status)
    report = Report(
        version=VERSION,
        kind=kind,
        plugin=Plugin.installed(),
        exit_status=exit_status,
        refusal=ledger.refusal or None,
        settings=ledger.settings,
        roles={
            role: RoleReport(
                ledger.cards.get(role), conditions.get(role) if role in ledger.cards else None, ledger.use.get(role)
            )
            for role in ledger.roles
        },
        references=ledger.references,
        same_content=ledger.same_content(),
        sampling=ledger.sampling,
        sandbox=ledger.sandbox,
        verdict=verdict,
        confirmations=tuple(ledger.confirmations.values()),
        baseline_only=tuple(seen for seen in ledger.observations(Role.BASELINE) if seen.pair not in judged),
        pairs=tuple(results),
    )
    payload: dict[str, Any] = plain(report)
    return payload


def write(path: Path, report: dict[str, Any]) -> None:
    """Write the report, see `write_atomically`."""
    write_atomically(path, json.dumps(report, indent=1, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """``value`` as builtins that strict JSON can hold; TypeError for what is neither a record nor a builtin.

    Infinity and NaN are no JSON (RFC 8259, section 6) and become None: no number is known. A lone surrogate is no
    character, and many parsers refuse its escape (RFC 8259, section 8.2): it becomes U+FFFD.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Path):
        return plain(str(value))
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no place in a report")
