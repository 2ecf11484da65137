"""The hooks that pytest-quantcheck calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_quantcheck.engines.base import Engine
    from pytest_quantcheck.records import Role


@pytest.hookspec(firstresult=True)
def pytest_quantcheck_engine(config: pytest.Config, role: Role, source: str) -> Engine | None:
    """Make the engine that plays ``role``; it must not load anything yet.

    Called once a role and process, before the first test; for the reference whenever its card is read or it has to run,
    which is while no other model is loaded.

    :param config: the pytest config.
    :param role: baseline, candidate or reference.
    :param source: the value of ``--quant-baseline``, ``--quant-model``, ``--quant-reference`` or
        ``--quant-baseline-reference``.
    :return: an engine, or None to let the next implementation decide; the last one asks a server at its
        address, or runs llama.cpp on a GGUF file.
    """


@pytest.hookspec(firstresult=True)
def pytest_quantcheck_devices(config: pytest.Config) -> Sequence[str] | None:
    """Name the devices that pytest-xdist's workers are dealt in turn; ``-n auto`` starts one worker for each.

    Two workers with the same name share a device, and then no speed is judged. Asked only where there are workers or
    ``--quant-devices`` is given, once, by the process that starts them.

    :param config: the pytest config; what is asked for may be all that is known of it yet.
    :return: names as llama.cpp has them, ``A+B`` for several that hold one model together, an empty text
        to leave it to llama.cpp, or None to let the next implementation decide; the last one takes
        ``--quant-devices``, else every GPU, else an empty text.
    """
