"""Why a text has no single reading; raised while its facts are weighed, turned into a status at the end."""

from __future__ import annotations


class Unreadable(Exception):  # noqa: N818 - an outcome, not an error
    """No reading: something contradicts, or was not understood."""


class Doubtful(Exception):  # noqa: N818 - an outcome, not an error
    """More than one reading; a person must choose one of `candidates`."""

    def __init__(self, reason: str, candidates: tuple[str, ...]) -> None:
        super().__init__(reason)
        self.candidates = candidates
