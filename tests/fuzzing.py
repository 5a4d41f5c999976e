"""What generated requests need: callers, a way to send from hypothesis' thread, and what an answer may be."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from schemathesis.checks import CheckContext, CheckFunction, not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support import CLINIC, Site

ROLES: dict[str, tuple[str, UUID | None]] = {
    "drugs:write": ("pharmacist", CLINIC),
    "audit:read": ("auditor", None),
    "admin:read": ("admin", None),
    "admin:write": ("admin", None),
}
_CONFORMS = (status_code_conformance, content_type_conformance, response_schema_conformance)


def unavailable_says_when(_ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """While a part fails on purpose, 503 is the only 5xx, and says when to come back."""
    if response.status_code >= 500 and (response.status_code != 503 or "retry-after" not in response.headers):
        raise Failure(
            operation=case.operation.label,
            title="Undeclared server error",
            message=f"{response.status_code}: {response.text[:500]}",
        )
    return None


@dataclass
class Sender:
    """Sends generated cases to a site and checks every answer; hypothesis' thread knows no event loop.

    Attributes:
        faulty: whether parts of the site fail meanwhile, so that 503 is an answer.
        sent: how many cases were sent.
        statuses: how many answers of each status came.
        wrong: the first wrong answer of each kind; those that follow are the same.
    """

    site: Site
    loop: asyncio.AbstractEventLoop
    faulty: bool = False
    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    _headers: dict[str, dict[str, str]] = field(default_factory=dict)

    def __call__(self, case: Case, **more: str) -> Response | None:
        """Send one case as a caller who may; None: no client could send it.

        Args:
            case: a generated one.
            more: headers besides the case's own.
        """
        given = case.as_transport_kwargs(base_url="http://cito.test")
        own = {name: value for name, value in given["headers"].items() if name.lower() != "authorization"}
        try:
            request = httpx.Request(
                given["method"],
                given["url"],
                headers={**own, **self._caller(case), **more},
                params=given.get("params"),
                json=given.get("json"),
                content=given.get("data"),
            )
        except (httpx.InvalidURL, UnicodeEncodeError, TypeError):
            return None
        answer = self._wait(self.site.client.send(request))
        self.sent += 1
        self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
        return Response.from_any(answer)

    def check(self, case: Case, answer: Response, *more: CheckFunction, recorder: Any = None) -> None:
        """Hold an answer against the document, and note what is wrong with it.

        Args:
            case: what was sent.
            answer: what came.
            more: further checks.
            recorder: what was sent before, in a sequence.
        """
        server = unavailable_says_when if self.faulty else not_a_server_error
        try:
            case.validate_response(answer, checks=[server, *_CONFORMS, *more], recorder=recorder)
        except FailureGroup as failed:
            for one in failed.exceptions:
                kind = f"{case.operation.label}: {one.title}, {answer.status_code}"
                self.wrong.setdefault(kind, f"{case.as_curl_command()}\n{one.message}\n{answer.text[:300]}")

    def _caller(self, case: Case) -> dict[str, str]:
        scope = case.operation.definition.raw.get("x-scope", "")
        if scope not in self._headers:
            role, clinic = ROLES.get(scope, ("doctor", CLINIC))
            self._headers[scope] = self.site.headers(role, clinic)
        return self._headers[scope]

    def _wait(self, sending: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
        return asyncio.run_coroutine_threadsafe(sending, self.loop).result(
            300
        )  # far beyond every deadline, on a machine under load too
