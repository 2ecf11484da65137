"""Files that must stay what they are while a run goes on: answers of two files do not mix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.identity import file_state


class Unchanged:
    """Some files, looked at again and again.

    :param state: how they were when the run began, as ``state`` gives it, JSON in between included; None takes what the
        first look finds.
    """

    def __init__(self, paths: Sequence[Path], state: Sequence[Sequence[Any]] | None = None) -> None:
        self._paths = paths
        self.state: list[list[Any]] | None = None if state is None else [list(one) for one in state]
        """Place, size, inode and time of each; None before the first look, and where it found nothing."""

    def check(self) -> None:
        """EngineRefused when they are not what they were."""
        try:
            now = [list(one) for one in file_state(self._paths)]
        except OSError:  # whoever opens it says what is wrong with it
            if self.state is None:
                return
            now = []
        if self.state is None:
            self.state = now
        if now != self.state:
            before = self.state
            changed = (path for number, path in enumerate(self._paths) if not now or now[number] != before[number])
            raise EngineRefused(
                f"{next(changed).name} was replaced or changed while the run went on; answers of two files do not mix"
            )
