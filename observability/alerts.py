"""The alert engine: rules against windows, one alert per rule and subject, told when it begins and when it ends.

Runs in the one process of the node that leads. An alert ends when its condition has not held for some seconds,
so that a condition that comes and goes is one alert.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import uuid4

import msgspec

from cito.observability.alert import Alert, Severity
from cito.observability.metrics import Slice
from cito.observability.rules import Rule, Share, State, View

CALM_SECONDS = 5.0
QUICK_SECONDS = (
    5.0  # windows up to this long are looked at with every tick, longer ones once in as many seconds
)
LONG_CALM_SECONDS = 3 * QUICK_SECONDS
RECENT = 100

Window = Callable[[float], Slice]
Views = Callable[[float], View]


class Finding(msgspec.Struct, frozen=True):
    """A condition that holds now."""

    name: str
    subject: str
    severity: Severity
    summary: str
    value: str
    limit: str
    details: Mapping[str, Any] = {}
    calm_seconds: float = CALM_SECONDS


class Engine:
    """Keeps what fires.

    Args:
        rules: from the declarations.

    Attributes:
        firing: by rule and subject.
        recent: resolved ones, newest first.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self._looked_long = 0.0
        self._since = 0.0  # when this process began to judge
        self._calm: dict[tuple[str, str], float] = {}
        self.firing: dict[tuple[str, str], Alert] = {}
        self.recent: deque[Alert] = deque(maxlen=RECENT)

    def take_over(self, firing: Iterable[Alert], recent: Iterable[Alert]) -> None:
        """Go on where the process that judged before has stopped: what fires is not told again, and its end is."""
        calm = {
            (rule.name, rule.subject): rule.calm_seconds for rule in self._rules if isinstance(rule, State)
        }
        for alert in firing:
            key = (alert.name, alert.subject)
            self.firing[key] = alert
            self._calm[key] = calm.get(key, LONG_CALM_SECONDS)
        self.recent.extend(recent)

    def evaluate(self, window: Window, now: float, extra: Iterable[Finding] = ()) -> list[Alert]:
        """Look at all rules; return the alerts that began or ended.

        Args:
            window: gives the node's counts of the last so many seconds.
            now: seconds since the epoch.
            extra: findings of other origin, such as slow queries.
        """
        self._since = self._since or now
        long = now - self._looked_long >= QUICK_SECONDS
        if long:
            self._looked_long = now
        known: dict[float, View] = {}

        def cached(seconds: float) -> View:
            if seconds not in known:
                known[seconds] = View(window(seconds))
            return known[seconds]

        held = [
            f
            for rule in self._rules
            if (f := _finding(rule, cached, long=long, age=now - self._since)) is not None
        ]
        changed = [alert for finding in (*held, *extra) if (alert := self._hold(finding, now)) is not None]
        return [*changed, *self._end(now)]

    def _hold(self, finding: Finding, now: float) -> Alert | None:
        key = (finding.name, finding.subject)
        alert = self.firing.get(key)
        self._calm[key] = finding.calm_seconds
        if alert is not None:
            alert.held_at = now
            alert.value = finding.value
            alert.details |= finding.details
            return None
        alert = Alert(
            id=uuid4().hex,
            name=finding.name,
            subject=finding.subject,
            severity=finding.severity,
            status="firing",
            summary=finding.summary,
            value=finding.value,
            limit=finding.limit,
            started_at=now,
            held_at=now,
            details=dict(finding.details),
        )
        self.firing[key] = alert
        return alert

    def _end(self, now: float) -> list[Alert]:
        ended = [key for key, alert in self.firing.items() if now - alert.held_at >= self._calm[key]]
        resolved = []
        for key in ended:
            alert = self.firing.pop(key)
            alert.status = "resolved"
            alert.ended_at = now
            self.recent.appendleft(alert)
            resolved.append(alert)
        return resolved


def _finding(rule: Rule, view: Views, *, long: bool, age: float) -> Finding | None:
    if isinstance(rule, Share):
        return _burning(rule, view, long=long, age=age)
    if age < rule.settled_seconds:
        return None
    value = rule.value(view(QUICK_SECONDS))
    if value <= rule.limit:
        return None
    return Finding(
        rule.name,
        rule.subject,
        rule.severity,
        rule.summary,
        _words(value, rule.unit),
        f"at most {_words(rule.limit, rule.unit)}" if rule.limit else "none",
        calm_seconds=rule.calm_seconds,
    )


def _words(value: float, unit: str) -> str:
    """Return a value as a person reads it: a share (unit `1`) in per cent, things (`{key}`) by their name."""
    if unit == "1":
        return f"{value:.0%}"
    thing = unit.strip("{}")
    return f"{value:.4g} {thing}" + ("s" if thing != unit and value != 1 else "")


def _burning(rule: Share, view: Views, *, long: bool, age: float) -> Finding | None:
    for pace in rule.paces:
        # A long window that is not full yet would take a short fault for a lasting one.
        if pace.long_seconds > QUICK_SECONDS and (not long or age < pace.long_seconds):
            continue
        if age < pace.settled_seconds:
            continue
        bad, everything = rule.share(view(pace.long_seconds))
        allowed = min(rule.budget * pace.times, pace.most)
        if everything < pace.least or bad <= allowed * everything:
            continue
        bad_now, all_now = rule.share(view(pace.short_seconds))
        if all_now and bad_now > allowed * all_now:
            value = f"{bad / everything:.1%} in {pace.long_seconds:g} s"
            calm = CALM_SECONDS if pace.long_seconds <= QUICK_SECONDS else LONG_CALM_SECONDS
            return Finding(
                rule.name, rule.subject, pace.severity, rule.summary, value, rule.limit, calm_seconds=calm
            )
    return None
