"""The hooks that pytest-quantcheck calls."""

from __future__ import annotations

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
    :return: an engine, or None to let the next implementation decide; the last one runs llama.cpp on a GGUF file.
    """
