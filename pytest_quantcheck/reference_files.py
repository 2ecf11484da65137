"""What ``--quant-reference`` names, read before anything runs: a model, a store of log-probabilities, a folder."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from typing import Literal
from typing import cast

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.fidelity_store import StoreHeader
from pytest_quantcheck.fidelity_store import is_store
from pytest_quantcheck.fidelity_store import read_store_header
from pytest_quantcheck.file_differences import file_differences
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.records import Role
from pytest_quantcheck.rows import Difference
from pytest_quantcheck.rows import difference
from pytest_quantcheck.text import digest
from pytest_quantcheck.text import one_line

Option = Literal["reference", "baseline_reference"]

_UNQUANTIZED: Final = {"F64", "F32", "F16", "BF16", "I8", "I16", "I32", "I64"}
STORE_ENDING: Final = ".logp"
"""Of a store's file."""
SHOWN_NAME: Final = 80
"""Characters of a file name that a store tells."""
_ONE_MODEL: Final = ("architecture", "vocabulary")


@dataclass(frozen=True, slots=True)
class Reference:
    """What ``option`` names: a model that is run once, one store of log-probabilities, or a folder of stores.

    ``quantized`` are the types of its tensors that are themselves quantized; empty for unquantized weights and where
    nobody knows. ``models`` are the file names of the models behind stores.
    """

    option: Option
    source: str
    kind: Literal["model", "store", "folder"]
    card: ModelCard | None = None
    quantized: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name, or the folder's."""
        return self.card.file_name if self.card is not None else Path(self.source).name or self.source

    @property
    def words(self) -> str:
        """How it is known, where that is not plain."""
        if self.kind != "model":
            return f"kept log-probabilities of {', '.join(self.models)}"
        return f"the reference is itself quantized ({', '.join(self.quantized)})" if self.quantized else ""


def open_reference(option: str, source: str, read_card: Callable[[], ModelCard]) -> Reference:
    """Look at what the option names; EngineRefused, one line, when it is no reference.

    :param read_card: reads the card of ``source`` where it is a model.
    """
    named = cast(Option, option)
    if stores := stores_of(source):
        models = dict.fromkeys(one_line(read_store_header(path).reference, SHOWN_NAME) for path in stores)
        kind: Literal["store", "folder"] = "folder" if Path(source).expanduser().is_dir() else "store"
        return Reference(named, source, kind, models=tuple(models))
    if Path(source).expanduser().is_dir():
        raise EngineRefused(f"{source}: holds no store of log-probabilities")
    card = read_card()
    return Reference(named, source, "model", card, tuple(sorted(card.tensor_types.keys() - _UNQUANTIZED)))


def reference_differences(
    references: Sequence[Reference], recorded: Mapping[str, str] | None = None
) -> tuple[Difference, ...]:
    """That the two sides are measured from different weights, if they are.

    :param recorded: those of a recorded baseline: fingerprint -> file name.
    """
    if recorded:
        return _other_than_recorded(references, recorded)
    names = {reference.option: reference.name for reference in references}
    contents = {reference.card.fingerprint if reference.card is not None else object() for reference in references}
    if len(names) < 2 or len(contents) < 2:
        return ()
    return (_own_weights(names["baseline_reference"], names["reference"]),)


def _other_than_recorded(references: Sequence[Reference], recorded: Mapping[str, str]) -> tuple[Difference, ...]:
    for one in references:
        same = one.card.fingerprint in recorded if one.card is not None else set(one.models) <= set(recorded.values())
        if not same:
            return (_own_weights(", ".join(dict.fromkeys(recorded.values())), ", ".join(one.models) or one.name),)
    return ()


def _own_weights(old: str, new: str) -> Difference:
    said = f"{old} for the baseline, {new} for the candidate"
    return difference("reference", f"{said}: each KL divergence is from its own unquantized weights")


def stores_of(source: str) -> list[Path]:
    """The stores that a file or a folder is made of; none where it is a model or not there."""
    path = Path(source).expanduser()
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.suffix != ".part" and is_store(file)]


def refuse_other_model(reference: Reference, role: Role, card: ModelCard) -> None:
    """EngineRefused when the reference is no form of this role's model."""
    if reference.card is not None:
        for one in file_differences(reference.card, card):
            if one.row in _ONE_MODEL:
                said = one.text.replace("for the baseline", "for the reference")
                raise EngineRefused(f"{one.row}: {said.replace('for the candidate', f'for the {role}')}")
        return
    for path in stores_of(reference.source):
        header = read_store_header(path)
        if is_other_vocabulary(header, card):
            raise EngineRefused(f"vocabulary: {path.name} was made with another one than the {role} has")


def is_other_vocabulary(header: StoreHeader, card: ModelCard) -> bool:
    """Whether a store was made with another vocabulary than a file has."""
    digests = {header.vocabulary_digest, card.vocabulary_digest} - {""}
    return len(digests) > 1 or bool(card.vocabulary and card.vocabulary != header.vocabulary)


def is_other_template(header: StoreHeader, request: FidelityRequest, template: str | None) -> bool:
    """Whether a store of conversations was made with another chat template; None where each side has its own."""
    return bool(request.conversations and template and header.template not in ("", digest(template)))
