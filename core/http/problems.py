"""Everything that goes wrong becomes an RFC 9457 problem document: our problems, Litestar's, msgspec's, bugs."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from litestar import Request, Response
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.serialization import decode_json
from litestar.types import ExceptionHandlersMap

from cito.core import errors
from cito.core.errors import FieldError, Problem
from cito.core.http.asgi import Scope, Send
from cito.core.http.parameters import public_name
from cito.core.http.validation import field_error, invalid_request
from cito.core.telemetry import current_record

MEDIA_TYPE = "application/problem+json"
_BODY = "data."  # Litestar's name of the body
_MISSING = re.compile(r"Missing required \w+ parameter '([^']*)'")
_log = logging.getLogger("cito.http")

_BY_STATUS: Mapping[int, type[Problem]] = {
    kind.status: kind
    for kind in Problem.__subclasses__()
    if kind.__module__ == errors.__name__ and kind is not errors.Malformed
}


class ProblemDocument(msgspec.Struct, rename="camel", omit_defaults=False):
    """The body of every answer that is no success.

    Attributes:
        type: a URN that names the kind of problem; clients branch on it.
        instance: a URN of this occurrence; it holds the ids of request and trace, never the path (paths hold ids).
        errors: broken rules, one for each field.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: tuple[FieldError, ...] = ()


_encoder = msgspec.json.Encoder()


def problem_body(problem: Problem) -> bytes:
    """Return the encoded document of a problem, for the current request."""
    record = current_record.get()
    request_id, trace_id = (record.request_id, record.trace_id) if record else ("", "")
    return _encoder.encode(
        ProblemDocument(
            type=f"urn:cito:problem:{problem.slug}",
            title=problem.title,
            status=problem.status,
            detail=problem.detail,
            instance=f"urn:cito:request:{request_id}?=trace={trace_id}",
            request_id=request_id,
            errors=problem.errors,
        )
    )


def problem_headers(problem: Problem) -> dict[str, str]:
    """Return the headers that a problem asks for."""
    headers = {"cache-control": "no-store"}
    if isinstance(problem, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if problem.retry_after_seconds is not None:
        headers["retry-after"] = str(problem.retry_after_seconds)
    return headers


async def send_problem(send: Send, problem: Problem) -> None:
    """Answer with a problem from outside Litestar's routing."""
    body = problem_body(problem)
    headers = [(name.encode(), value.encode()) for name, value in problem_headers(problem).items()]
    headers += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def as_problem(error: Exception, scope: Scope | None = None) -> Problem:
    """Return the problem that an exception stands for; a bug is logged, without its values, and becomes a 500."""
    if isinstance(error, Problem):
        if error.status == Problem.status:  # a statement that PostgreSQL refused is a bug as well
            _log_bug(error)
        return error
    if isinstance(error, ValidationException):
        return invalid_request(_litestar_errors(error, scope))
    if isinstance(error, msgspec.ValidationError):
        return invalid_request((field_error(str(error)),))
    if isinstance(error, InternalServerException) and (broken := _body_error(error)) is not None:
        return invalid_request((broken,))
    if isinstance(error, HTTPException):
        return _from_status(error)
    if isinstance(error, UnicodeDecodeError | RecursionError) and _raised_by_decoder(error):
        return errors.Malformed("the body is not valid JSON, or nested too deeply")
    _log_bug(error)
    return Problem()


def _body_error(error: InternalServerException) -> FieldError | None:
    """Return the broken rule of a body whose field has the name of a dependency: Litestar takes it for a bug."""
    cause = error.__cause__
    found = field_error(str(cause)) if isinstance(cause, msgspec.ValidationError) else None
    if found is None or not found.field.startswith(_BODY):
        return None
    return msgspec.structs.replace(found, field=found.field.removeprefix(_BODY))


def _raised_by_decoder(error: Exception) -> bool:
    """Tell a body that cannot be decoded from a bug of ours that raises the same exception."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].name == decode_json.__name__


def _from_status(error: HTTPException) -> Problem:
    if error.status_code == errors.Malformed.status:
        return errors.Malformed(
            "the body is not valid JSON" if error.__cause__ else "the request is malformed"
        )
    if error.status_code not in _BY_STATUS:
        _log_bug(error)
    return _BY_STATUS.get(error.status_code, Problem)()


def _litestar_errors(error: ValidationException, scope: Scope | None) -> tuple[FieldError, ...]:
    """Return the broken rules of a request that did not fit its handler's signature."""
    found = error.extra if isinstance(error.extra, list) else []
    missing = _MISSING.match(error.detail)
    broken = [FieldError(missing[1], "required", "this parameter is required")] if missing else []
    for item in found:
        key = str(item.get("key", "")).removeprefix(_BODY)
        if scope is not None and item.get("source") != "body":
            key = public_name(scope, key)
        broken.append(field_error(str(item.get("message", "invalid")), "" if key == "data" else key))
    return tuple(broken)


def _log_bug(error: Exception) -> None:
    """Log where an unexpected exception came from; its text may hold values, so only its type is written."""
    record = current_record.get()
    if record is not None:
        record.error = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames[-6:]))
    _log.error(
        "request %s failed: %s in %s", record.request_id if record else "-", type(error).__name__, where
    )


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for every exception."""
    problem = as_problem(error, cast("Scope", request.scope))
    headers = problem_headers(problem)
    if isinstance(problem, errors.MethodNotAllowed):
        headers["allow"] = ", ".join(_allowed_methods(request))
    return Response(problem_body(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def _allowed_methods(request: Request[Any, Any, Any]) -> list[str]:
    """Return the methods that a path does have (RFC 9110 wants them in a 405; Litestar does not say)."""
    allowed = []
    for method in HttpMethod:
        try:
            request.app.asgi_router.handle_routing(path=request.scope["path"], method=method)
        except HTTPException:
            continue
        allowed.append(method.value)
    return allowed


# Litestar looks handlers up by status before it looks by class: 500 and `Exception` cover what has neither.
PROBLEM_HANDLERS: ExceptionHandlersMap = {
    Exception: answer_problem,
    HTTPException: answer_problem,
    500: answer_problem,
}
