"""Options and ini keys -> one frozen Settings (command line > ini > default)."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Literal

import pytest

from pytest_quantcheck.engines.base import KV_TYPES
from pytest_quantcheck.engines.server.address import AddressError
from pytest_quantcheck.engines.server.address import parse_address
from pytest_quantcheck.records import Role
from pytest_quantcheck.repetition import DEFAULT_RULE
from pytest_quantcheck.repetition import LoopRule
from pytest_quantcheck.rows import ROWS

GATES = ("each", "session")
SABOTAGE = "--quant-sabotage"
"""Not for users: the self-test asks its own runs for a candidate that is known to be bad (sabotage.py)."""
REFERENCE_KV_TYPE = "f16"
NO_CACHE = Path("off")
"""The value of ``--quant-cache`` that keeps no answers."""
NO_SNAPSHOTS = NO_CACHE
"""The value of ``--quant-snapshots`` that neither writes nor reads any."""
SNAPSHOTS = "quant_snapshots"
"""The folder of the snapshots, in pytest's rootdir."""
_TRUE_FALSE = "'true' or 'false'"
_MODEL = "a GGUF file or the address of a server"
_FILES = "a GGUF file, or two of them: 'BASELINE,CANDIDATE'"


class WrongValue(Exception):
    """What ``option`` names cannot be meant; the text is one clear line that says why."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(why)
        self.option = option


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


def _integer(low: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if value < low:
            raise ValueError
        return value

    return parse


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def _choice(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError
        return text.lower()

    return parse


def _thinking(text: str) -> Thinking:
    word, _, budget = text.lower().partition(":")
    if word == "budget":
        return Thinking(True, _integer(1)(budget))
    return Thinking({"on": True, "off": False, "auto": None}[_choice(("on", "off", "auto"))(text)])


def _loop(text: str) -> LoopRule | None:
    if text.lower() == "off":
        return None
    period, copies, tokens = text.split(":")
    return LoopRule(_integer(1)(period), _integer(2)(copies), _integer(2)(tokens))


def _inflation(text: str) -> float:
    value = _positive(text)
    if value < 1:
        raise ValueError
    return value


def _layers(text: str) -> int:
    return -1 if text.lower() == "all" else _integer(0)(text)


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


def _model(text: str) -> str:
    parse_address(text)
    return _text(text)


def _is_address(value: object) -> bool:
    return isinstance(value, str) and parse_address(value) is not None


def _reference(text: str) -> str:
    if parse_address(text) is not None:
        raise AddressError(f"a reference is a file: no server tells the log-probabilities of whole texts ({text!r})")
    return _text(text)


def _below(limit: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not 0 < value < limit:
            raise ValueError
        return value

    return parse


def _words(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",")))
    if not all(words):
        raise ValueError
    return words


def _devices(text: str) -> tuple[str, ...]:
    entries = tuple(entry.strip() for entry in text.split(","))
    if not all(name.strip() for entry in entries for name in entry.split("+")):
        raise ValueError
    return entries


def _rows(text: str) -> tuple[str, ...]:
    words = _words(text)
    if not set(words) <= ROWS.keys():
        raise ValueError
    return words


def _kv_types(text: str) -> tuple[str, ...]:
    types = tuple(_choice(tuple(KV_TYPES))(word.strip()) for word in text.split(","))
    if len(types) > 2:
        raise ValueError
    return types[:1] if types[0] == types[-1] else types


def _one_or_two_files(text: str, folder: Path) -> tuple[str, ...]:
    """The file or 'BASELINE,CANDIDATE'. File names may hold commas: what exists decides, then a single comma."""

    def there(file: str) -> bool:
        return bool(file.strip()) and (folder / Path(file).expanduser()).exists()

    commas = [at for at, sign in enumerate(text) if sign == ","]
    pairs = [(text[:at], text[at + 1 :]) for at in commas]
    if not commas or there(text):
        return (text,)
    found = [pair for pair in pairs if there(pair[0]) and there(pair[1])] or pairs
    if len(found) != 1 or not all(file.strip() for file in found[0]):
        raise ValueError
    old, new = found[0]
    return (old,) if old == new else (old, new)


def _path(ending: str) -> Callable[[str], Path]:
    def parse(text: str) -> Path:
        if not text.lower().endswith(ending):
            raise ValueError
        return Path(text)

    return parse


def _folder(text: str) -> Path:
    return Path(_text(text))


def _flag(text: str) -> bool:
    return _choice(("true", "false"))(text) == "true"


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its parser, what it accepts in words, its metavar (a flag has none) and its help line."""

    parse: Callable[[str], Any]
    accepts: str
    metavar: str
    help: str

    def value(self, text: str, where: str) -> Any:
        """The parsed value; UsageError names the place, what stands there and what is accepted."""
        try:
            return self.parse(text)
        except AddressError as error:
            raise pytest.UsageError(f"{where}: {error}") from None
        except ValueError:
            raise pytest.UsageError(f"{where}: {text!r} is not {self.accepts}") from None


# one row an option; the name is the Settings field, --quant-NAME the option and quant_NAME the ini key
OPTIONS: dict[str, Option] = {
    "model": Option(_model, _MODEL, "FILE", "GGUF file, or server (http://host:port#name), under test (the candidate)"),
    "baseline": Option(
        _model,
        _MODEL,
        "FILE",
        "GGUF file or server that ships today; only what the candidate lost fails",
    ),
    "reference": Option(
        _reference,
        "a GGUF file, a store or a folder of stores",
        "FILE",
        "The unquantized GGUF (or a store of its log-probabilities, or a folder of them) for quant.fidelity",
    ),
    "baseline_reference": Option(
        _reference,
        "a GGUF file, a store or a folder of stores",
        "FILE",
        "The baseline's own reference, where the candidate was trained further (QAT)",
    ),
    "reference_store": Option(
        _folder,
        "a folder",
        "DIR",
        "Where a reference's log-probabilities are kept (default: in pytest's cache)",
    ),
    "reference_vocabulary": Option(
        _choice(("top", "all")),
        "'top' or 'all'",
        "WHICH",
        "Tokens kept at each position of a large vocabulary: the likeliest 1024 (top, the default) or all",
    ),
    "ctx": Option(_integer(1), "a whole number of tokens", "N", "Context in tokens (default: min(32768, trained))"),
    "max_tokens": Option(
        _integer(1),
        "a whole number of tokens",
        "N",
        "Token budget of an answer (default: 8192 if it thinks, else 2048)",
    ),
    "gpu_layers": Option(_layers, "a number of layers or 'all'", "N", "Layers on the GPU (default: all)"),
    "devices": Option(
        _devices,
        "a list of llama.cpp's device names (CUDA0,CUDA1; A+B for two of them together)",
        "NAME,...",
        "Devices, one for each pytest-xdist worker in turn, the first without workers (default: every GPU, else CPU)",
    ),
    "kv_type": Option(
        _kv_types,
        f"one of {', '.join(KV_TYPES)}, or two of them: 'BASELINE,CANDIDATE'",
        "TYPE",
        "Type of the KV cache (default: f16); 'BASELINE,CANDIDATE' where each file ships with its own",
    ),
    "mmproj": Option(
        _text,
        _FILES,
        "FILE",
        "Projector (mmproj) for images in quant.chat; 'BASELINE,CANDIDATE' where each file ships with its own",
    ),
    "draft": Option(
        _text,
        _FILES,
        "FILE",
        "Draft model that shall fit, checked before anything is loaded; 'BASELINE,CANDIDATE' as for --quant-mmproj",
    ),
    "seed": Option(_integer(0), "a whole number from 0", "N", "Seed of sampled answers (default: 0)"),
    "threads": Option(_integer(1), "a number of threads", "N", "CPU threads (default: (cores - 1) / workers)"),
    "timeout": Option(_positive, "a number of seconds", "S", "Kill an engine without a new token for S (default: 120)"),
    "thinking": Option(
        _thinking,
        "'on', 'off', 'auto' or 'budget:N'",
        "SWITCH",
        "The template's thinking switch: on, off, auto (its own value, the default) or budget:N tokens",
    ),
    "max_thinking_inflation": Option(
        _inflation, "a ratio from 1", "RATIO", "Fail when the candidate thinks longer than this times the baseline"
    ),
    "loop": Option(
        _loop,
        "PERIOD:COPIES:TOKENS or 'off'",
        "RULE",
        "Repetition that makes an answer wrong: to PERIOD tokens, in COPIES or more, TOKENS in all (128:3:48), or off",
    ),
    "gate": Option(
        _choice(GATES), "'each' or 'session'", "MODE", "each: a lost test fails; session: every test is a sample"
    ),
    "margin": Option(
        _below(1), "a share between 0 and 1", "SHARE", "Drop of the samples' score that is no loss (default: 0.05)"
    ),
    "alpha": Option(_below(0.5), "a share between 0 and 0.5", "SHARE", "Chance of a false regression (default: 0.05)"),
    "strict": Option(_flag, _TRUE_FALSE, "", "'Cannot tell' fails the run"),
    "samples": Option(
        _integer(1),
        "a number of answers",
        "K",
        "Ask K times with the model's own sampling and the same seeds on both sides (default: once, greedy)",
    ),
    "plan": Option(_flag, _TRUE_FALSE, "", "Say what the collected tests could and could not see; run nothing"),
    "confirm": Option(_flag, _TRUE_FALSE, "", "Ask lost tests five times more on both models before they count"),
    "allow": Option(
        _rows,
        f"a list of rows of the fairness report: {', '.join(ROWS)}",
        "ROW,...",
        "Judge in spite of these differences, as the fairness report names them",
    ),
    "pin_template": Option(
        _choice(("baseline",)), "'baseline'", "ROLE", "Render both sides with this side's chat template"
    ),
    "cache": Option(
        lambda text: NO_CACHE if text.lower() == "off" else Path(_text(text)),
        "a folder or 'off'",
        "DIR",
        "Keep answers in DIR and reuse them (default: in pytest's cache folder), or off",
    ),
    "snapshots": Option(
        lambda text: NO_SNAPSHOTS if text.lower() == "off" else Path(_text(text)),
        "a folder or 'off'",
        "DIR",
        "Record baselines in DIR with --snapshot-update and compare with them (default: quant_snapshots), or off",
    ),
    "record": Option(_flag, _TRUE_FALSE, "", "With --snapshot-update: make another file the recorded baseline"),
    "selftest": Option(_flag, _TRUE_FALSE, "", "Show that the gate fails on five candidates that are known to be bad"),
    "report": Option(_path(".json"), "a path that ends in .json", "PATH", "Write a JSON report"),
    "summary": Option(_path(".md"), "a path that ends in .md", "PATH", "Write the summary as Markdown"),
    "progress": Option(
        _choice(("auto", "on", "off")),
        "'auto', 'on' or 'off'",
        "WHEN",
        "Say below pytest's output what runs and what is left: auto (on a terminal, not in CI), on or off",
    ),
}


# in an ini file they are meant from where the file stands
_PATHS = (
    *("model", "baseline", "reference", "baseline_reference", "reference_store"),
    *("report", "summary", "cache", "snapshots"),
)
# one file, or one for each side
PAIRED_PATHS = ("mmproj", "draft")


def option_name(name: str) -> str:
    """``max_tokens`` -> ``--quant-max-tokens``."""
    return "--quant-" + name.replace("_", "-")


def add_options(parser: pytest.Parser) -> None:
    """Register every option with its ini twin."""
    group = parser.getgroup("quantcheck", "quantization regression testing of local language models")
    for name, option in OPTIONS.items():
        value = {"metavar": option.metavar} if option.metavar else {"action": "store_const", "const": "true"}
        group.addoption(option_name(name), dest=f"quant_{name}", default=None, help=option.help, **value)
        parser.addini(f"quant_{name}", option.help, default=None)
    group.addoption(SABOTAGE, dest="quant_sabotage", default=None, help=argparse.SUPPRESS)


def given(config: pytest.Config, *names: str) -> dict[str, Any]:
    """What the command line, else the ini file, says of these options; those that neither names are left out."""
    values = {}
    for name in names:
        option = OPTIONS[name]
        said, ini = config.getoption(f"quant_{name}", None), config.getini(f"quant_{name}")
        if said is not None:
            values[name] = option.value(said, option_name(name))
        elif ini:
            values[name] = option.value(str(ini), f"ini key quant_{name}")
            is_path = name in _PATHS and values[name] != NO_CACHE and not _is_address(values[name])
            if is_path and config.inipath is not None:
                values[name] = type(values[name])(os.path.join(config.inipath.parent, values[name]))
        if name in PAIRED_PATHS and name in values:
            from_ini = said is None
            folder = config.inipath.parent if from_ini and config.inipath is not None else Path()
            try:
                files = _one_or_two_files(values[name], folder)
            except ValueError:
                where = f"ini key quant_{name}" if from_ini else option_name(name)
                raise pytest.UsageError(
                    f"{where}: {values[name]!r} is not {option.accepts}, as far as they exist"
                ) from None
            values[name] = tuple(str(folder / Path(file).expanduser()) for file in files)
    return values


def resolve(config: pytest.Config) -> Settings:
    """The settings of this run; UsageError when one is wrong or two do not fit together."""
    settings = Settings(**{"threads": _default_threads()} | given(config, *OPTIONS))
    if settings.baseline is not None and settings.model is None and not settings.selftest:
        raise pytest.UsageError("--quant-baseline needs --quant-model: the file to compare with it")
    if settings.reference is not None and settings.model is None and not settings.selftest:
        raise pytest.UsageError("--quant-reference needs --quant-model: the file to compare with it")
    if settings.baseline_reference is not None and settings.baseline is None and _updates_snapshots(config):
        why = "a recording's model is the baseline; its own reference is --quant-reference"
        raise pytest.UsageError(f"--quant-baseline-reference needs --quant-baseline: {why}")
    if settings.baseline_reference is not None and (settings.reference is None or settings.baseline is None):
        needed = "--quant-reference" if settings.reference is None else "--quant-baseline"
        raise pytest.UsageError(f"--quant-baseline-reference needs {needed}: each side has its own reference then")
    settings = _with_snapshots(config, settings)
    if settings.model is not None and settings.baseline is None:
        if len(settings.kv_type) > 1:
            raise pytest.UsageError("--quant-kv-type with two types needs --quant-baseline: the first type is for it")
        for name in PAIRED_PATHS:
            if len(getattr(settings, name)) > 1:
                raise pytest.UsageError(
                    f"{option_name(name)} with two files needs --quant-baseline: the first is for it"
                )
        if settings.pin_template is not None and not settings.snapshot_use:
            raise pytest.UsageError("--quant-pin-template=baseline needs --quant-baseline: the file with the template")
    if config.getoption("quant_sabotage", None) is not None:
        # one of the self-test's own runs: it must end in a verdict, and leave the user's files alone
        settings = replace(settings, selftest=False, confirm=False, plan=False, summary=None)
    return settings


def _with_snapshots(config: pytest.Config, settings: Settings) -> Settings:
    """The same with what this run does with snapshots; UsageError when that cannot be."""
    if settings.model is None:
        return settings
    given, record = settings.snapshots, settings.record
    alone = settings.baseline is None and not settings.selftest and not settings.plan
    use: Literal["", "record", "check"] = ""
    folder = config.rootpath / SNAPSHOTS if given is None else given.expanduser().absolute()
    if alone and given != NO_SNAPSHOTS:
        if _updates_snapshots(config):
            use = "record"
        elif folder.exists():
            use = "check"
        elif given is not None and not only_looks(config):
            how = "pytest --quant-model=BASELINE.gguf --snapshot-update records one there"
            raise pytest.UsageError(f"--quant-snapshots: {given} holds no recorded baseline; {how}")
    if record and use != "record":
        raise pytest.UsageError("--quant-record needs --snapshot-update and no --quant-baseline")
    if config.getoption("quant_sabotage", None) is not None:
        use = ""
    return replace(settings, snapshots=folder if use else None, snapshot_use=use)


def _updates_snapshots(config: pytest.Config) -> bool:
    return any(getattr(config.option, name, False) for name in ("update_snapshots", "update_new_snapshots_only"))


def only_looks(config: pytest.Config) -> bool:
    """Whether pytest only shows what it would do; then no file is touched and no model asked."""
    options = config.option
    names = ("collectonly", "showfixtures", "show_fixtures_per_test", "help", "version", "markers", "cacheshow")
    return any(getattr(options, name, None) for name in names)


def _default_threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return max(1, (cores - 1) // workers)
