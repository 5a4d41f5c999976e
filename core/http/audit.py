"""The audit layer: no answer with patient data leaves before its event is in the journal."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID

from litestar import Request

from cito.core.audit.entry import Entry
from cito.core.audit.journal import Journal, JournalFullError
from cito.core.caller import Caller
from cito.core.declarations import RouteRules
from cito.core.errors import FieldError, Invalid, Problem, Unavailable
from cito.core.http.asgi import ACCESS, CALLER, HEADERS, RECORD, App, Message, Receive, Scope, Send
from cito.core.http.problems import send_problem
from cito.core.telemetry import Record

_ACTIONS = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
# HL7 v3 PurposeOfUse: why somebody looks, where the caller says so (`X-Purpose-Of-Use`).
PURPOSES = frozenset(
    "TREAT ETREAT BTG HOPERAT HPAYMT HRESCH PUBHLTH PATRQT FAMRQT HSYSADMIN HQUALIMP".split()  # noqa: SIM905 - a list of codes
)
_REFUSED = frozenset({401, 403})
_FAILED_FROM = 400
_log = logging.getLogger("cito.audit")


class Access:
    """What a request does, in words of the audit. The guard makes it; routes add what only they know.

    Attributes:
        rules: of the route.
        action: see `Entry`.
        resource_id: id of the thing itself.
        patients: whose data the answer holds, or the write changed.
    """

    __slots__ = ("action", "patients", "purpose", "resource_id", "rules")

    def __init__(self, rules: RouteRules, scope: Scope) -> None:
        self.rules = rules
        named: dict[str, Any] = scope["path_params"]
        self.action = _ACTIONS.get(scope["method"]) or ("read" if named else "search")
        self.resource_id = str(next(reversed(named.values()))) if named else None
        patient = named.get("patient_id")
        self.patients: tuple[UUID, ...] = (patient,) if isinstance(patient, UUID) else ()
        self.purpose = purpose_of(scope[HEADERS])


def purpose_of(headers: dict[bytes, bytes]) -> str | None:
    """Return the purpose that the caller gave.

    Raises:
        Invalid: not a code of HL7 PurposeOfUse.
    """
    given = headers.get(b"x-purpose-of-use")
    if given is None:
        return None
    purpose = given.decode("latin-1")
    if purpose not in PURPOSES:
        rule = FieldError("x-purpose-of-use", "enum", "a code of HL7 PurposeOfUse")
        raise Invalid(f"{rule.field}: {rule.message}", errors=(rule,))
    return purpose


def concerns(
    request: Request[Any, Any, Any],
    patients: Iterable[UUID] = (),
    *,
    resource_id: UUID | str | None = None,
    action: str | None = None,
) -> None:
    """Tell the audit whose data this answer holds, or what a write made.

    Args:
        request: the current one.
        patients: added to those that the path names.
        resource_id: of a thing that was created.
        action: a word of its own, such as `override`.
    """
    access = request.scope.get(ACCESS)
    if not isinstance(access, Access):
        return
    access.patients = tuple(dict.fromkeys((*access.patients, *patients)))
    if resource_id is not None:
        access.resource_id = str(resource_id)
    if action is not None:
        access.action = action


class Audited:
    """ASGI layer that writes the event of an access when its answer begins.

    Args:
        app: the next layer.
        journal: of this process.
        direct: stores an entry in PostgreSQL at once; for writes, while the journal's disk is full.
    """

    def __init__(self, app: App, journal: Journal, direct: Callable[[Entry], Awaitable[None]]) -> None:
        self._app = app
        self._journal = journal
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        replaced = False

        async def begin_without_journal(entry: Entry, message: Message) -> None:
            nonlocal replaced
            problem = await self._elsewhere(entry, scope)
            if problem is None:
                await send(message)
            else:
                replaced = True
                await send_problem(send, problem)

        def send_audited(message: Message) -> Awaitable[None]:
            if replaced:
                return _nothing()
            if message["type"] == "http.response.start" and ACCESS in scope:
                entry = entry_of(scope, message["status"])
                if entry is not None and not self._written(entry):
                    return begin_without_journal(entry, message)
            return send(message)

        await self._app(scope, receive, send_audited)

    def _written(self, entry: Entry) -> bool:
        try:
            self._journal.write(entry)
        except JournalFullError:
            return False
        return True

    async def _elsewhere(self, entry: Entry, scope: Scope) -> Problem | None:
        """Store an event although the journal has no room; a read of patient data is not given instead."""
        if (
            scope[ACCESS].rules.patient_data
            and scope["method"] not in _ACTIONS
            and entry.outcome != "refused"
        ):
            return Unavailable("the audit has no room; patient data cannot be shown", retry_after_seconds=5)
        try:
            await self._direct(entry)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer may not leave without its event
            _log.critical("request %s is without its audit event: %s", entry.request_id, type(error).__name__)
            return Unavailable("the audit is away", retry_after_seconds=5)
        return None


def entry_of(scope: Scope, status: int) -> Entry | None:
    """Return the event of a request, or None where there is nothing to write: a read of no patient's data."""
    access: Access = scope[ACCESS]
    refused = status in _REFUSED
    if not (access.rules.patient_data or refused or scope["method"] in _ACTIONS or administers(access.rules)):
        return None
    outcome = "refused" if refused else "failed" if status >= _FAILED_FROM else "success"
    return make_entry(scope[RECORD], scope.get(CALLER), access, outcome)


def make_entry(record: Record, caller: Caller | None, access: Access, outcome: str) -> Entry:
    """Return the event of an access."""
    return Entry(
        time.time_ns(),
        caller.subject if caller else "anonymous",
        caller.role if caller else "",
        caller.clinic_id if caller else None,
        access.action,
        outcome,
        access.rules.scope.partition(":")[0],
        access.resource_id,
        access.patients if outcome == "success" else access.patients[:1],
        record.request_id,
        record.trace_id,
        access.purpose,
    )


def administers(rules: RouteRules) -> bool:
    """Tell whether a route shows or changes how Cito itself runs."""
    return rules.scope.startswith(("admin:", "audit:"))


async def _nothing() -> None:
    return None
