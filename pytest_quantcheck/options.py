"""Every option and ini key: the table, its registration, and one frozen Settings out of them (command line > ini)."""

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

from pytest_quantcheck import option_values as read
from pytest_quantcheck.engines.base import KV_TYPES
from pytest_quantcheck.engines.server.address import AddressError
from pytest_quantcheck.rows import ROWS
from pytest_quantcheck.settings import NO_CACHE
from pytest_quantcheck.settings import NO_SNAPSHOTS
from pytest_quantcheck.settings import Settings

SABOTAGE = "--quant-sabotage"
"""Not for users: the self-test asks its own runs for a candidate that is known to be bad (sabotage.py)."""
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
    "model": Option(
        read.model, _MODEL, "FILE", "GGUF file, or server (http://host:port#name), under test (the candidate)"
    ),
    "baseline": Option(
        read.model,
        _MODEL,
        "FILE",
        "GGUF file or server that ships today; only what the candidate lost fails",
    ),
    "reference": Option(
        read.reference,
        "a GGUF file, a store or a folder of stores",
        "FILE",
        "The unquantized GGUF (or a store of its log-probabilities, or a folder of them) for quant.fidelity",
    ),
    "baseline_reference": Option(
        read.reference,
        "a GGUF file, a store or a folder of stores",
        "FILE",
        "The baseline's own reference, where the candidate was trained further (QAT)",
    ),
    "reference_store": Option(
        read.folder,
        "a folder",
        "DIR",
        "Where a reference's log-probabilities are kept (default: in pytest's cache)",
    ),
    "reference_vocabulary": Option(
        read.choice("top", "all"),
        "'top' or 'all'",
        "WHICH",
        "Tokens kept at each position of a large vocabulary: the likeliest 1024 (top, the default) or all",
    ),
    "ctx": Option(read.integer(1), "a whole number of tokens", "N", "Context in tokens (default: min(32768, trained))"),
    "max_tokens": Option(
        read.integer(1),
        "a whole number of tokens",
        "N",
        "Token budget of an answer (default: 8192 if it thinks, else 2048)",
    ),
    "gpu_layers": Option(read.layers, "a number of layers or 'all'", "N", "Layers on the GPU (default: all)"),
    "devices": Option(
        read.devices,
        "a list of llama.cpp's device names (CUDA0,CUDA1; A+B for two of them together)",
        "NAME,...",
        "Devices, one for each pytest-xdist worker in turn, the first without workers (default: every GPU, else CPU)",
    ),
    "kv_type": Option(
        read.kv_types,
        f"one of {', '.join(KV_TYPES)}, or two of them: 'BASELINE,CANDIDATE'",
        "TYPE",
        "Type of the KV cache (default: f16); 'BASELINE,CANDIDATE' where each file ships with its own",
    ),
    "mmproj": Option(
        read.some_text,
        _FILES,
        "FILE",
        "Projector (mmproj) for images in quant.chat; 'BASELINE,CANDIDATE' where each file ships with its own",
    ),
    "draft": Option(
        read.some_text,
        _FILES,
        "FILE",
        "Draft model that shall fit, checked before anything is loaded; 'BASELINE,CANDIDATE' as for --quant-mmproj",
    ),
    "seed": Option(read.integer(0), "a whole number from 0", "N", "Seed of sampled answers (default: 0)"),
    "threads": Option(read.integer(1), "a number of threads", "N", "CPU threads (default: (cores - 1) / workers)"),
    "timeout": Option(
        read.positive, "a number of seconds", "S", "Kill an engine without a new token for S (default: 120)"
    ),
    "thinking": Option(
        read.thinking,
        "'on', 'off', 'auto' or 'budget:N'",
        "SWITCH",
        "The template's thinking switch: on, off, auto (its own value, the default) or budget:N tokens",
    ),
    "max_thinking_inflation": Option(
        read.ratio, "a ratio from 1", "RATIO", "Fail when the candidate thinks longer than this times the baseline"
    ),
    "loop": Option(
        read.loop,
        "PERIOD:COPIES:TOKENS or 'off'",
        "RULE",
        "Repetition that makes an answer wrong: to PERIOD tokens, in COPIES or more, TOKENS in all (128:3:48), or off",
    ),
    "gate": Option(
        read.choice("each", "session"),
        "'each' or 'session'",
        "MODE",
        "each: a lost test fails; session: every test is a sample",
    ),
    "margin": Option(
        read.below(1), "a share between 0 and 1", "SHARE", "Drop of the samples' score that is no loss (default: 0.05)"
    ),
    "alpha": Option(
        read.below(0.5), "a share between 0 and 0.5", "SHARE", "Chance of a false regression (default: 0.05)"
    ),
    "strict": Option(read.flag, _TRUE_FALSE, "", "'Cannot tell' fails the run"),
    "samples": Option(
        read.integer(1),
        "a number of answers",
        "K",
        "Ask K times with the model's own sampling and the same seeds on both sides (default: once, greedy)",
    ),
    "plan": Option(read.flag, _TRUE_FALSE, "", "Say what the collected tests could and could not see; run nothing"),
    "confirm": Option(read.flag, _TRUE_FALSE, "", "Ask lost tests five times more on both models before they count"),
    "allow": Option(
        read.rows,
        f"a list of rows of the fairness report: {', '.join(ROWS)}",
        "ROW,...",
        "Judge in spite of these differences, as the fairness report names them",
    ),
    "pin_template": Option(
        read.choice("baseline"), "'baseline'", "ROLE", "Render both sides with this side's chat template"
    ),
    "cache": Option(
        read.folder_or(NO_CACHE),
        "a folder or 'off'",
        "DIR",
        "Keep answers in DIR and reuse them (default: in pytest's cache folder), or off",
    ),
    "snapshots": Option(
        read.folder_or(NO_SNAPSHOTS),
        "a folder or 'off'",
        "DIR",
        "Record baselines in DIR with --snapshot-update and compare with them (default: quant_snapshots), or off",
    ),
    "record": Option(read.flag, _TRUE_FALSE, "", "With --snapshot-update: make another file the recorded baseline"),
    "selftest": Option(
        read.flag, _TRUE_FALSE, "", "Show that the gate fails on five candidates that are known to be bad"
    ),
    "report": Option(read.path(".json"), "a path that ends in .json", "PATH", "Write a JSON report"),
    "summary": Option(read.path(".md"), "a path that ends in .md", "PATH", "Write the summary as Markdown"),
    "progress": Option(
        read.choice("auto", "on", "off"),
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
            is_path = name in _PATHS and values[name] != NO_CACHE and not read.is_address(values[name])
            if is_path and config.inipath is not None:
                values[name] = type(values[name])(os.path.join(config.inipath.parent, values[name]))
        if name in PAIRED_PATHS and name in values:
            from_ini = said is None
            folder = config.inipath.parent if from_ini and config.inipath is not None else Path()
            try:
                files = read.one_or_two_files(values[name], folder)
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
