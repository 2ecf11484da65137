"""Whose log-probabilities a role is compared with, and the stores that keep them: made once, found again by content."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Final

from pytest_quantcheck import files
from pytest_quantcheck.distributions import Distributions
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity_store import VERSION
from pytest_quantcheck.fidelity_store import StoreError
from pytest_quantcheck.fidelity_store import StoreHeader
from pytest_quantcheck.fidelity_store import read_store_header
from pytest_quantcheck.fidelity_store import request_digest
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.ledger import RoleUse
from pytest_quantcheck.options import WrongValue
from pytest_quantcheck.options import option_name
from pytest_quantcheck.records import Role
from pytest_quantcheck.reference_files import SHOWN_NAME
from pytest_quantcheck.reference_files import STORE_ENDING
from pytest_quantcheck.reference_files import Reference
from pytest_quantcheck.reference_files import is_other_template
from pytest_quantcheck.reference_files import open_reference
from pytest_quantcheck.reference_files import refuse_other_model
from pytest_quantcheck.reference_files import stores_of
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.text import digest
from pytest_quantcheck.text import one_line

_ANEW: Final = "give the unquantized GGUF as --quant-reference to make it anew"


class References:
    """The references of one process.

    :param folder: gives the folder for stores that are made here; asked when the first is needed.
    :param make: makes the engine of a reference; nothing is loaded by that.
    :param template: gives the chat template that both sides are held to, None where each has its own.
    :param recorded: the log-probabilities beside the snapshots, in a run that records or checks some.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Callable[[], Path],
        make: Callable[[str], Engine],
        template: Callable[[], str | None],
        recorded: Distributions | None = None,
    ) -> None:
        self.use = RoleUse()
        self._settings = settings
        self._folder = folder
        self._make = make
        self._template = template
        self._recorded = recorded
        self._opened: dict[str, Reference] = {}
        self._headers: dict[Path, StoreHeader] = {}
        self._failed: dict[str, EngineError] = {}

    def given(self) -> dict[Role, str]:
        """The option that names each role's reference; empty without one."""
        if self._settings.reference is None:
            return dict.fromkeys(self._settings.roles, "reference") if self._against_recorded is not None else {}
        own = self._settings.baseline_reference is not None
        options = {Role.BASELINE: "baseline_reference" if own else "reference", Role.CANDIDATE: "reference"}
        return {role: options[role] for role in self._settings.roles}

    @property
    def _against_recorded(self) -> Distributions | None:
        """The recorded log-probabilities, where they are the reference: another one that is given goes before them."""
        recorded = self._recorded
        return recorded if self._settings.reference is None and recorded is not None and recorded.expected else None

    def check(self, cards: Mapping[Role, ModelCard]) -> tuple[Reference, ...]:
        """Read what the options name; WrongValue when it cannot be the reference of these files."""
        if self._against_recorded is not None:
            return (self._against_recorded.reference(),)
        found: dict[str, Reference] = {}
        for role, option in reversed(self.given().items()):
            try:
                found[option] = self._open(option)
                if role in cards:
                    refuse_other_model(found[option], role, cards[role])
            except EngineRefused as error:
                raise WrongValue(option, str(error)) from None
        return tuple(found.values())

    def fidelity(self, role: Role, engine: Engine, request: FidelityRequest) -> Fidelity:
        """Measure a role's file against its reference; the reference's store is made first where there is none.

        Only one model is loaded at a time: ``engine`` is closed while the reference runs, and loads again. EngineError
        where the reference fails or a store is of another text or build, SnapshotError where that is a recorded one.
        """
        if self._against_recorded is not None:
            return self._recorded_fidelity(self._against_recorded, engine, request)
        reference = self._open(self.given()[role])
        if reference.kind == "model":
            path = self._folder() / self._file_name(reference, request)
            header = self._sound(path)
            if header is None:
                header = self._write(reference, request, path, engine)
        else:
            path, header = self._given_store(reference, request)
        measure = replace(request, store=str(path))
        try:
            found = engine.fidelity(measure)
            if other := self._other_build(engine, header):
                raise StoreError(f"{path.name}: {other}; {_ANEW}")
        except EngineRefused as error:
            # the engine's process tells of a damaged store by its name only
            if reference.kind != "model" or path.name not in str(error):
                raise
            header = self._write(reference, request, path, engine)
            found = engine.fidelity(measure)
        if self._recorded is not None and self._settings.records and self._settings.reference_store is None:
            self._recorded.keep(request, path)
        return self._named(found, engine, header)

    def _recorded_fidelity(self, recorded: Distributions, engine: Engine, request: FidelityRequest) -> Fidelity:
        path, header = recorded.store(request, engine.card(), self._template())
        try:
            found = engine.fidelity(replace(request, store=str(path)))
        except EngineRefused as error:
            if path.name not in str(error):
                raise
            raise recorded.unreadable(path, error) from None
        if other := self._other_build(engine, header):
            raise recorded.stale(path, other)
        return self._named(found, engine, header)

    @staticmethod
    def _named(found: Fidelity, engine: Engine, header: StoreHeader) -> Fidelity:
        """The figures with their reference's name."""
        mine = engine.card().fingerprint
        itself = bool(mine) and mine == header.reference_fingerprint
        # what a store says of itself is foreign text
        return replace(found, itself=itself, reference=one_line(header.reference, SHOWN_NAME))

    @staticmethod
    def _other_build(engine: Engine, header: StoreHeader) -> str:
        """A stored figure of another build of llama.cpp is off by more than a good quantization is."""
        build = getattr(engine, "facts", {}).get("build", "")
        if not header.build or not build or header.build == build:
            return ""
        return f"was made with another build ({header.build}, here {build})"

    def _open(self, option: str) -> Reference:
        if option not in self._opened:
            source = str(getattr(self._settings, option))
            self._opened[option] = open_reference(option, source, lambda: self._make(source).card())
        return self._opened[option]

    # --- stores -----------------------------------------------------------------------------------------------------

    def _given_store(self, reference: Reference, request: FidelityRequest) -> tuple[Path, StoreHeader]:
        """The store of this text among those that the user gave."""
        asked = request_digest(request)
        for file in stores_of(reference.source):
            header = self._header(file)
            # llama-perplexity's file does not say of which text it is
            if header.asked == asked or (header.base and not request.conversations and header.window == request.window):
                template = self._template()
                if is_other_template(header, request, template):
                    raise EngineRefused(f"{file.name}: was made with another chat template; {_ANEW}")
                return file, header
        what = "holds no store of this text" if reference.kind == "folder" else "is of another text or window"
        raise EngineRefused(f"{option_name(reference.option)}: {reference.name} {what} ({request.name}); {_ANEW}")

    def _header(self, path: Path) -> StoreHeader:
        if path not in self._headers:
            self._headers[path] = read_store_header(path)
        return self._headers[path]

    def _sound(self, path: Path) -> StoreHeader | None:
        try:
            return self._header(path) if path.exists() else None
        except StoreError:  # damaged: it is made anew
            return None

    def _file_name(self, reference: Reference, request: FidelityRequest) -> str:
        """Equal only where the same model read the same tokens by the same code."""
        card = reference.card
        try:
            build = metadata.version("llama_cpp_python")
        except metadata.PackageNotFoundError:
            build = ""
        template = self._template() if request.conversations else None
        whole = self._settings.reference_vocabulary == "all"
        content = (card.fingerprint if card is not None else "") or reference.source
        return digest([VERSION, content, request_digest(request), whole, template, build]) + STORE_ENDING

    def _write(self, reference: Reference, request: FidelityRequest, path: Path, engine: Engine) -> StoreHeader:
        """Run the reference once. Another worker may do the same at the same time; both files are whole and equal."""
        if reference.source in self._failed:
            raise self._failed[reference.source]
        engine.close()
        other = self._make(reference.source)
        try:
            if not hasattr(other, "fidelity"):
                raise EngineCannot(f"{type(other).__name__} has no fidelity")
            with files.whole(path) as part:
                other.fidelity(replace(request, write=str(part), whole=self._settings.reference_vocabulary == "all"))
        except EngineError as error:
            # a file that does not load would be tried again by every test
            self._failed[reference.source] = failed = type(error)(f"the reference: {error}")
            raise failed from None
        except OSError as error:
            raise EngineRefused(f"{path}: cannot be written: {error.strerror or error}") from None
        finally:
            other.close()
            self.use = self.use.plus(RoleUse.of(other))
        self._headers.pop(path, None)
        return self._header(path)
