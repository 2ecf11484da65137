"""The wiring: hooks and fixtures, each a few lines that call a named function elsewhere."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

import pytest

from pytest_quantcheck import options
from pytest_quantcheck.options import only_looks
from pytest_quantcheck.records import Role
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.variants import parametrize

if TYPE_CHECKING:
    from pytest_quantcheck.models import ModelUnderTest
    from pytest_quantcheck.probe import Probe
    from pytest_quantcheck.run import Run

settings_key = pytest.StashKey[Settings]()
run_key: pytest.StashKey[Run] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options and their ini keys."""
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register our own hooks."""
    from pytest_quantcheck import hookspec

    pluginmanager.add_hookspecs(hookspec)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """A plan is made in one process: with workers nothing would be collected here. A self-test is other runs."""
    asked = options.given(config, "plan", "selftest")
    if asked.get("plan") and config.pluginmanager.hasplugin("xdist"):
        config.option.numprocesses, config.option.dist, config.option.tx = 0, "no", []
    if asked.get("plan") or not asked.get("selftest") or hasattr(config, "workerinput") or only_looks(config):
        return None
    settings = options.resolve(config)
    if not settings.selftest:  # one of a self-test's own runs, which reads the same ini file
        return None
    from pytest_quantcheck import selftest

    return selftest.run(config, settings)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register markers; everything else only when a model is given. trylast: our ordering must be the outermost."""
    from pytest_quantcheck import markers
    from pytest_quantcheck.selection import Collection

    markers.register(config)
    settings = options.resolve(config)
    config.stash[settings_key] = settings
    config.pluginmanager.register(Collection(), "quantcheck-collection")
    if settings.plan:
        from pytest_quantcheck.reports.plan import PlanOnly

        config.pluginmanager.register(PlanOnly(settings), "quantcheck-plan")
    elif settings.roles:
        from pytest_quantcheck.run import Run

        run = config.stash[run_key] = Run(config, settings)
        config.pluginmanager.register(run, "quantcheck-run")
        if settings.confirm:
            from pytest_quantcheck.confirm import Confirming
            from pytest_quantcheck.confirm import refuse

            refuse(config, settings)
            config.pluginmanager.register(Confirming(run, settings), "quantcheck-confirming")
        from pytest_quantcheck.reports import progress

        progress.attach(config, run, settings)
        if not run.is_worker:
            from pytest_quantcheck.reports.last_line import LastLine

            config.pluginmanager.register(LastLine(config, run.ledger), "quantcheck-last-line")
        if config.pluginmanager.hasplugin("xdist"):
            from pytest_quantcheck.distribution import Distribution
            from pytest_quantcheck.distribution import worker_places

            distribution = Distribution(run.ledger, partial(worker_places, config))
            config.pluginmanager.register(distribution, "quantcheck-distribution")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item a role."""
    parametrize(metafunc, metafunc.config.stash[settings_key].roles)


@pytest.hookimpl(trylast=True)
def pytest_quantcheck_engine(config: pytest.Config, role: Role, source: str) -> Any:
    """The default engine: a server's for an address, else llama.cpp in a process of its own."""
    from pytest_quantcheck.engines.cached import CachedEngine
    from pytest_quantcheck.engines.process import ProcessEngine
    from pytest_quantcheck.engines.server.address import parse_address

    run, timeout = config.stash[run_key], config.stash[settings_key].timeout
    address = parse_address(source)
    if address is not None:
        from pytest_quantcheck.engines.server.client import key_of
        from pytest_quantcheck.engines.server.engine import ServerEngine

        settings, shared = partial(run.load_settings, role), run.is_one_of_several
        return ServerEngine(address, settings, timeout=timeout, key=key_of(role), shared=shared)
    path, state = Path(source).expanduser().absolute(), run.file_states.get(source)
    tell = run.tell(role)
    engine = ProcessEngine(path, lambda: run.load_settings(role), timeout=timeout, state=state, tell=tell)
    if run.cache is None:
        return engine
    # a file against itself shows chance, and a kept answer would hide it
    apart = role.value if run.same_file else ""
    return CachedEngine(engine, lambda: run.load_settings(role), run.cache, apart)


@pytest.hookimpl(trylast=True)
def pytest_quantcheck_devices(config: pytest.Config) -> Any:
    """The default devices: the option's, else all GPUs, else the processor."""
    from pytest_quantcheck.device_choice import named_or_found

    return named_or_found(config)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker a device. Asked before anything is configured."""
    from pytest_quantcheck.device_choice import auto_workers

    return auto_workers(config)


@pytest.fixture(scope="session")
def _quantcheck_role(request: pytest.FixtureRequest) -> Generator[ModelUnderTest]:
    run = request.config.stash.get(run_key, None)
    if run is None:
        pytest.skip("needs --quant-model=FILE.gguf")
    role: Role | None = getattr(request, "param", None)
    if role is None:
        pytest.fail("name the quant fixture in the test's signature; it cannot be asked for later", pytrace=False)
    model = run.model(role)
    yield model
    model.engine.close()


@pytest.fixture(scope="session")
def quant_model(_quantcheck_role: ModelUnderTest) -> ModelUnderTest:
    """The model file of the role that the test runs for: ``role``, ``card``, ``engine``."""
    return _quantcheck_role


@pytest.fixture
def quant(request: pytest.FixtureRequest, _quantcheck_role: ModelUnderTest) -> Probe:
    """Ask the model: ``quant.chat(...)``, ``quant.complete(...)``, ``quant.bench()``."""
    probe: Probe = request.config.stash[run_key].probe(request.node, _quantcheck_role)
    return probe
