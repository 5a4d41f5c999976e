"""What a running process has: handed to services, jobs, health checks and plugin lifespans."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from cito.core.cache.engine import Cache
from cito.core.clock import Clock
from cito.core.database.pool import Database
from cito.core.declarations import Question
from cito.core.registry import Registry
from cito.core.settings import Settings

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Context:
    """The parts of one process, opened once by the composition root.

    A plain class: Litestar would look into a dataclass, field by field, for every handler that asks for it.
    """

    __slots__ = ("cache", "clock", "database", "registry", "settings")

    def __init__(
        self, settings: Settings, registry: Registry, database: Database, cache: Cache, clock: Clock
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.database = database
        self.cache = cache
        self.clock = clock

    async def ask(
        self, question: Question[Asked, Answered], clinic_id: UUID, asked: Asked
    ) -> Answered | None:
        """Put a question to the plugin that answers it; None: no enabled plugin does, which callers state."""
        answer = self.registry.answers.get(question.name)
        if answer is None:
            return None
        answered: Answered = await answer.provide(self, clinic_id, asked)
        return answered
