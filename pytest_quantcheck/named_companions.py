"""The projectors and drafters that the user named (``--quant-mmproj``, ``--quant-draft``), checked before any loading.

A file that does not fit is a usage error. What a header does not tell is said, and the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path

from pytest_quantcheck.companions import Unknown
from pytest_quantcheck.companions import fits_drafter
from pytest_quantcheck.companions import fits_projector
from pytest_quantcheck.companions import read_projector
from pytest_quantcheck.gguf_card import GgufError
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import read_card
from pytest_quantcheck.gguf_card import same_content
from pytest_quantcheck.options import WrongValue
from pytest_quantcheck.records import Role
from pytest_quantcheck.rows import Difference
from pytest_quantcheck.rows import difference
from pytest_quantcheck.settings import Settings


def named_differences(settings: Settings, cards: Mapping[Role, ModelCard]) -> list[Difference]:
    """What nobody can know of the named files before loading, and what is not the same on both sides.

    :param cards: of the roles that run.
    :raises WrongValue: when a file is missing, damaged, something else, or made for another model.
    """
    found: dict[str, Difference] = {}
    for name, of, check, row in (
        ("mmproj", settings.mmproj_of, _projector, "projector"),
        ("draft", settings.draft_of, _drafter, "drafter"),
    ):
        for role in settings.roles:
            file, card = of(role), cards.get(role)
            unknown = "" if file is None or card is None else _checked(name, file, card, check)
            if unknown:
                found[unknown] = difference(row, unknown.removesuffix("."), informs=True)
    return [*found.values(), *_pairs(settings)]


def _checked(option: str, file: str, card: ModelCard, check: Callable[[str, ModelCard], str]) -> str:
    """'' or what nobody can know."""
    try:
        why = check(file, card)
    except (GgufError, OSError) as error:
        raise WrongValue(option, f"{file}: {error}") from None
    if why and not isinstance(why, Unknown):
        raise WrongValue(option, why)
    return why


def _projector(file: str, card: ModelCard) -> str:
    projector = read_projector(file)
    if projector is None:
        raise GgufError("is no projector: name the mmproj file that was published with the model")
    if projector.takes == ("audio",):
        raise GgufError("takes audio only; what quant.chat can give a model besides text are images")
    return fits_projector(card, projector)


def _drafter(file: str, card: ModelCard) -> str:
    drafter = read_card(file)
    if not Path(card.path).is_file():  # a server or a double says little of itself
        return Unknown(
            f"the header of {card.file_name} is not at hand, so nobody knows whether {drafter.file_name} fits"
        )
    return fits_drafter(card, drafter)


def _pairs(settings: Settings) -> Iterator[Difference]:
    """Each side with a file of its own."""
    if len(settings.mmproj) > 1 and not same_content(*map(Path, settings.mmproj)):
        text = f"{_both(settings.mmproj)}; answers to images may differ for that reason"
        yield difference("projector", text)
    if len(settings.draft) > 1 and not same_content(*map(Path, settings.draft)):
        text = f"{_both(settings.draft)}; they were checked and write none of these answers"
        yield difference("drafter", text)


def _both(files: tuple[str, ...]) -> str:
    old, new = (Path(file).name for file in files)
    if old == new:
        old, new = files
    return f"{old} for the baseline, {new} for the candidate"
