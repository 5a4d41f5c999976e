"""What a node does once: asks servers for their state, judges rules, tells alerts, writes history.

Every process is a candidate; a file lock decides, and the next process takes over within half a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec
import psycopg

from cito.core.context import Context
from cito.core.declarations import Target
from cito.core.tasks import end
from cito.observability import catalog as c
from cito.observability.alert import Alert
from cito.observability.alerts import Engine
from cito.observability.facts import Facts
from cito.observability.history import History
from cito.observability.metrics import Metrics, Slice
from cito.observability.node import Node
from cito.observability.rules import rules_of
from cito.observability.sinks import Webhook, tell_log, webhook_secret
from cito.observability.slow_queries import Plan, SlowQueries, generic_plan

ASK_SECONDS = 0.5
log = logging.getLogger(__name__)


class Board(msgspec.Struct):
    """What the leading process makes known to the others: alerts, firing first, and known plans."""

    firing: list[Alert] = []
    recent: list[Alert] = []
    plans: dict[str, tuple[str, ...]] = {}


class Leader:
    """The duties of the leading process.

    Args:
        context: of this process.
        metrics: of this process; states of servers are counted as its own.
        node: all processes.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        context: Context,
        metrics: Metrics,
        node: Node,
        wall: Callable[[], float],
    ) -> None:
        registry, settings = context.registry, context.settings.observability
        queries = context.database.queries
        self._node = node
        self._metrics = metrics
        self._wall = wall
        self._url = context.database.pool.url
        self._statements = {name: query.text for name, query in queries.items()}
        self.facts = Facts(metrics, context.database, context.cache.url)
        self.history = History(context.database, metrics.bounds)
        self.engine = Engine(rules_of(registry, metrics.bounds))
        self.slow = SlowQueries(
            self._statements,
            targets_of_queries(context),
            [owned.value for owned in registry.indexes],
        )
        self.webhook: Webhook | None = None
        if settings.webhook_url:
            home = context.settings.home
            self.webhook = Webhook(settings.webhook_url, webhook_secret(settings.webhook_secret, home))
        self._asking: asyncio.Task[None] | None = None
        self._board = b""

    def start(self) -> None:
        """Take over what fires, and start asking; the rest happens in `tick`."""
        before = read_board(self._node)
        self.engine.take_over(before.firing, before.recent)
        self._asking = asyncio.create_task(self._ask(), name="cito-facts")
        if self.webhook is not None:
            self.webhook.start()

    def tick(self) -> list[Alert]:
        """Judge all rules, tell what began or ended, and make it known to the node."""
        now = self._wall()
        notes = self._node.notes()
        self.slow.saw_blocked(self.facts.blocked, now)

        def window(seconds: float) -> Slice:
            return self._node.rough(seconds, now)

        findings = self.slow.findings(notes, window, self._metrics.bounds, now)
        changed = self.engine.evaluate(window, now, findings)
        for alert in changed:
            tell_log(alert)
            if self.webhook is not None:
                self.webhook.tell(alert)
        for name in {alert.name for alert in self.engine.firing.values()} | {a.name for a in changed}:
            firing = sum(alert.name == name for alert in self.engine.firing.values())
            self._metrics.set(c.ALERTS, (name,), firing)
        self._post()
        return changed

    async def stop(self) -> None:
        """Stop asking, and tell what waits."""
        if self._asking is not None:
            await end(self._asking)
        if self.webhook is not None:
            await asyncio.to_thread(self.webhook.stop)
        await self.facts.close()

    async def _ask(self) -> None:
        while True:
            now = self._wall()
            try:
                await self.facts.ask()
                await self._learn_plans(now)
                if self.history.due(now):
                    self.history.take(self._node.minutes(), now)
                    await self.history.write()
            except Exception:  # the watch goes on, whatever one question met
                log.exception("a question of observability failed")
            await asyncio.sleep(ASK_SECONDS)

    async def _learn_plans(self, now: float) -> None:
        for name in self.slow.wanted_plans(self._node.notes(), now):
            try:
                self.slow.plans[name] = await generic_plan(self._url, self._statements[name])
            except (psycopg.Error, OSError):
                self.slow.plans[name] = Plan((), (), ())  # refused once is refused again: not asked any more

    def _post(self) -> None:
        board = Board(
            firing=sorted(self.engine.firing.values(), key=lambda alert: alert.started_at),
            recent=list(self.engine.recent),
            plans={name: plan.lines for name, plan in self.slow.plans.items()},
        )
        encoded = msgspec.json.encode(board)
        if encoded != self._board:
            self._board = encoded
            path = self._node.folder / "board.json"
            fresh = path.with_suffix(".new")
            fresh.write_bytes(encoded)
            fresh.replace(path)


def read_board(node: Node) -> Board:
    """Return what the leading process has made known; empty before there is one."""
    try:
        return msgspec.json.decode((node.folder / "board.json").read_bytes(), type=Board)
    except (FileNotFoundError, msgspec.DecodeError):  # none yet, or another release's
        return Board()


def targets_of_queries(context: Context) -> dict[str, float]:
    """Return the promised p95 of each query: its block's `-- target`, or a declared one."""
    declared: list[Target] = [owned.value for owned in context.registry.targets]
    promised = {q.name: q.target_ms for q in context.database.queries.values() if q.target_ms is not None}
    return promised | {t.operation: t.p95_ms for t in declared if t.operation in context.database.queries}
