"""Slow and repeated queries: one report a fingerprint and window, with what a person needs to act on it.

The fingerprint is the named query's own text (`$1`, never a value). The plan is PostgreSQL's generic one, made
as the application role: it shows no value either.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import psycopg

from cito.core.database.generic import explain_generic
from cito.core.declarations import Index
from cito.observability import catalog as c
from cito.observability.alerts import Finding
from cito.observability.metrics import Slice
from cito.observability.notes import Note
from cito.observability.performance import totals_by

WINDOW_SECONDS = 300.0
USUAL_SECONDS = 21_600.0
USUAL_FOR_SECONDS = 60.0  # so long a p95 over hours stays as it is
PLAN_SECONDS = 1.5  # so long a report waits for its plan; it is told once, and should tell all
_LARGE_ROWS = 1_000  # a sequential scan of less is what the planner should do


class Plan(msgspec.Struct, frozen=True):
    """A generic plan: its lines, and the tables that it scans from end to end."""

    lines: tuple[str, ...]
    scanned: tuple[str, ...]
    indexes: tuple[str, ...]


class Blocked(msgspec.Struct, frozen=True):
    """A statement that waits for a lock now: its text and for how long, ms."""

    statement: str
    waited_ms: float


class Report(msgspec.Struct, rename="camel"):
    """All that is known of one slow or repeated query; times in ms."""

    fingerprint: str
    query: str
    statement: str
    plan: tuple[str, ...]
    duration_ms: float
    pool_wait_ms: float
    lock_wait_ms: float
    execution_ms: float
    usual_p95_ms: float
    target_ms: float | None
    route: str
    operation: str
    call_site: str
    trace_id: str
    times: int
    occurrences: int
    cause: str


class SlowQueries:
    """Gathers notes into reports.

    Args:
        statements: text of each named query.
        targets_ms: promised p95 by query.
        indexes: all declared ones.
    """

    def __init__(
        self, statements: Mapping[str, str], targets_ms: Mapping[str, float], indexes: Iterable[Index]
    ) -> None:
        self._statements = statements
        self._targets = targets_ms
        self._serving: dict[str, list[str]] = {}
        for index in indexes:
            for query in index.serves:
                self._serving.setdefault(query, []).append(index.name)
        self._blocked: deque[tuple[float, str, float]] = deque(maxlen=1_000)  # at, query, waited ms
        self._usual_at = 0.0
        self._usual_ms: dict[str, float] = {}
        self.plans: dict[str, Plan] = {}

    def wanted_plans(self, notes: Iterable[Note], now: float) -> list[str]:
        """Return the queries that were slow lately and whose plan is not known yet."""
        names = {note.name for note in _recent(notes, now)}
        return sorted(name for name in names if name in self._statements and name not in self.plans)

    def saw_blocked(self, blocked: Iterable[Blocked], now: float) -> None:
        """Remember which queries were seen waiting for a lock."""
        by_text = {text: name for name, text in self._statements.items()}
        for one in blocked:
            name = by_text.get(one.statement)
            if name is not None:
                self._blocked.append((now, name, one.waited_ms))

    def findings(
        self, notes: Iterable[Note], window: Callable[[float], Slice], bounds: tuple[int, ...], now: float
    ) -> list[Finding]:
        """Return a finding for each query that was slow, or repeated, in the window; a new one once its plan is known."""
        by_query: dict[tuple[str, str], list[Note]] = {}
        for note in _recent(notes, now):
            by_query.setdefault((note.kind, note.name), []).append(note)
        for query in [query for query, found in by_query.items() if self._waits_for_plan(found, now)]:
            del by_query[query]
        if not by_query:
            return []
        names = {name for _, name in by_query}
        if now >= self._usual_at + USUAL_FOR_SECONDS or not names <= self._usual_ms.keys():
            self._usual_at = now
            self._usual_ms = dict.fromkeys(names, 0.0) | {
                name: histogram.quantile(0.95, bounds) / 1e6
                for name, histogram in totals_by(window(USUAL_SECONDS), c.QUERIES).items()
            }
        return [self._finding(kind, found, self._usual_ms[name]) for (kind, name), found in by_query.items()]

    def _waits_for_plan(self, notes: list[Note], now: float) -> bool:
        name = notes[0].name
        if name in self.plans or name not in self._statements:
            return False
        return now - min(note.at for note in notes) < PLAN_SECONDS

    def _finding(self, kind: str, notes: list[Note], usual_ms: float) -> Finding:
        report = self.report(notes, usual_ms)
        if kind == "n_plus_one":
            summary = f"{report.operation} runs {report.query} once for each row (N+1)"
            value, limit = f"{report.times} times in one request", "the route's query budget"
        else:
            summary = f"query {report.query} is slow"
            value = f"{report.duration_ms:.4g} ms"
            limit = f"usually {report.usual_p95_ms:.4g} ms"
        return Finding(
            kind,
            report.query,
            "ticket",
            summary,
            value,
            limit,
            msgspec.to_builtins(report),
            calm_seconds=1.0,  # the notes themselves stay for the window
        )

    def report(self, notes: list[Note], usual_ms: float) -> Report:
        """Return the report of the worst of some notes of one query."""
        worst = max(notes, key=lambda note: (note.times, note.ms))
        statement = self._statements.get(worst.name, "")
        plan = self.plans.get(worst.name, Plan((), (), ()))
        lock_ms = max(
            (
                waited
                for at, name, waited in self._blocked
                if name == worst.name and worst.at - worst.ms / 1e3 - 1 <= at <= worst.at + 1
            ),
            default=worst.lock_ms,
        )
        lock_ms = min(lock_ms, worst.ms)
        return Report(
            fingerprint=fingerprint(statement or worst.name),
            query=worst.name,
            statement=statement,
            plan=plan.lines,
            duration_ms=worst.ms,
            pool_wait_ms=worst.wait_ms,
            lock_wait_ms=round(lock_ms, 3),
            execution_ms=round(worst.ms - lock_ms, 3),
            usual_p95_ms=round(usual_ms, 3),
            target_ms=self._targets.get(worst.name),
            route=worst.route,
            operation=worst.operation,
            call_site=worst.site,
            trace_id=worst.trace_id,
            times=worst.times,
            occurrences=len(notes),
            cause=self._cause(worst, lock_ms, plan),
        )

    def _cause(self, note: Note, lock_ms: float, plan: Plan) -> str:
        """Name what is most likely, the surest sign first."""
        if note.kind == "n_plus_one":
            return f"N+1: {note.times} runs in one request; read them with one query (get_many, = any(...))"
        if lock_ms > note.ms / 10:  # seen now and then only: it waited at least so long
            return "lock: it waited for another transaction"
        if note.wait_ms > note.ms:
            return "pool: the request waited longer for a connection than the query took"
        if plan.scanned:
            serving = [name for name in self._serving.get(note.name, []) if name not in plan.indexes]
            if serving:
                return f"sequential scan of {', '.join(plan.scanned)}: its index {serving[0]} is not used"
            return f"sequential scan of {', '.join(plan.scanned)}: no index fits this query"
        return "no sign of a lock, a wait or a scan: look at its rows, or at the load of the server"


def fingerprint(statement: str) -> str:
    """Return a short name of a statement's text, the same in every process and release of the text."""
    normal = " ".join(statement.split())
    return hashlib.blake2b(normal.encode(), digest_size=8).hexdigest()


async def generic_plan(url: str, statement: str) -> Plan:
    """Return the plan that PostgreSQL makes without values, as the role of the URL.

    Raises:
        psycopg.Error: the server is away, or refuses.
    """
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=2, cursor_factory=psycopg.AsyncRawCursor
    ) as connection:
        await connection.execute(b"set statement_timeout = '2s'")
        lines = tuple(await explain_generic(connection, statement, "format text"))
        (found,) = await explain_generic(connection, statement, "format json")
    nodes = list(_nodes(found[0]["Plan"]))
    scanned = {
        str(node["Relation Name"])
        for node in nodes
        if node["Node Type"] == "Seq Scan" and node["Plan Rows"] >= _LARGE_ROWS
    }
    used = {str(node["Index Name"]) for node in nodes if "Index Name" in node}
    return Plan(lines, tuple(sorted(scanned)), tuple(sorted(used)))


def _nodes(plan: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _recent(notes: Iterable[Note], now: float) -> Iterable[Note]:
    kinds = {"slow_query", "n_plus_one"}
    return (note for note in notes if note.kind in kinds and note.at > now - WINDOW_SECONDS)
