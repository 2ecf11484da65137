"""Which devices a run uses: what the option, a hook or llama.cpp itself says; one entry a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import Final

import pytest

from pytest_quantcheck.devices import Device
from pytest_quantcheck.devices import Place
from pytest_quantcheck.devices import names_of
from pytest_quantcheck.devices import places
from pytest_quantcheck.options import WrongValue
from pytest_quantcheck.options import given
from pytest_quantcheck.options import option_name

_PATIENCE: Final = 60.0
"""Seconds for a process to import llama.cpp and name its devices; a driver may have to wake up."""
_AUTO_ENVIRONMENT: Final = "PYTEST_XDIST_AUTO_NUM_WORKERS"
_GRAPHICS: Final = ("GPU", "IGPU")  # the integrated one only where there is no other, as llama.cpp does
_entries_key = pytest.StashKey[tuple[str, ...]]()


def entries_of(config: pytest.Config) -> tuple[str, ...]:
    """The entries that workers are dealt in turn, as ``pytest_quantcheck_devices`` gives them; asked once a process.

    :raises WrongValue: when they are no names, or llama.cpp does not find one.
    """
    if _entries_key not in config.stash:
        entries = tuple(config.hook.pytest_quantcheck_devices(config=config) or ("",))
        if not all(isinstance(entry, str) and all(names_of(entry)) for entry in entries):
            raise WrongValue("devices", f"pytest_quantcheck_devices gave {entries!r}; it takes names such as 'CUDA0'")
        config.stash[_entries_key] = entries
    return config.stash[_entries_key]


def named_or_found(config: pytest.Config) -> tuple[str, ...]:
    """The entries of ``--quant-devices``, else one for every GPU that llama.cpp finds, else none by name.

    :raises WrongValue: when the option names what llama.cpp does not find.
    """
    devices = find_devices()
    named: tuple[str, ...] = given(config, "devices").get("devices", ())
    known = [device.name for device in devices]
    for name in (name for entry in named for name in names_of(entry)):
        if known and name not in known:
            listed = ", ".join(f"{one.name} ({one.description})" if one.description else one.name for one in devices)
            raise WrongValue("devices", f"llama.cpp finds no {name!r} here, but {listed}")
    if named:
        return named
    kind = next((kind for kind in _GRAPHICS if any(device.kind == kind for device in devices)), "")
    return tuple(device.name for device in devices if device.kind == kind) or ("",)


def auto_workers(config: pytest.Config) -> int | None:
    """What ``-n auto`` means in a run of ours: one worker for each entry. None where somebody else decides."""
    if os.environ.get(_AUTO_ENVIRONMENT) or not given(config, "model"):
        return None
    try:
        return len(entries_of(config))
    except WrongValue as wrong:
        raise pytest.UsageError(f"{option_name(wrong.option)}: {wrong}") from None


def own_place(config: pytest.Config) -> Place:
    """Where a run without workers runs: what ``--quant-devices`` names first, else wherever llama.cpp likes."""
    return places(entries_of(config), 1)[0] if given(config, "devices") else Place()


def find_devices() -> tuple[Device, ...]:
    """What llama.cpp finds, asked of a process of its own; nothing where it cannot be asked."""
    with suppress(OSError, subprocess.SubprocessError, ValueError, TypeError, LookupError):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pytest_quantcheck.engines.devices"],
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )
        return tuple(Device.from_payload(device) for device in json.loads(done.stdout.splitlines()[-1]))
    return ()
