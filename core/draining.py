"""Whether this process is on its way out: answers that last (streams) end themselves, so that draining is short."""

from __future__ import annotations


class Draining:
    """Set once, by whoever stops the server, before intake ends."""

    begun = False

    def begin(self) -> None:
        """Tell every stream to end."""
        self.begun = True


draining = Draining()
