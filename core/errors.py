"""Everything that can go wrong as an answer: RFC 9457 problem documents. The only place that knows statuses.

A problem names the field and the rule, never a value, an SQL text or a stack trace.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One broken rule: the field's path in the request (`contact.email`), the rule's code, a sentence."""

    field: str
    rule: str
    message: str


class Problem(Exception):  # noqa: N818 - the RFC's word
    """Base of all problems. `detail` is one sentence for a person, free of data.

    Attributes:
        status: the HTTP status.
        slug: last part of the problem's `type` URI.
        title: constant for the type.
        errors: broken rules, one for each field.
        retry_after_seconds: becomes `Retry-After`.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds


class Malformed(Problem):
    """The body is not JSON."""

    status, slug, title = 400, "malformed", "Malformed JSON"


class Unauthenticated(Problem):
    """No token, or one that does not hold; never says which."""

    status, slug, title = 401, "unauthenticated", "Authentication required"


class Forbidden(Problem):
    """The role lacks the scope, or the token names no clinic."""

    status, slug, title = 403, "forbidden", "Not allowed"


class NotFound(Problem):
    """Not there, or not this clinic's: the answer is the same."""

    status, slug, title = 404, "not-found", "Not found"


class MethodNotAllowed(Problem):
    """The path exists, but not with this method."""

    status, slug, title = 405, "method-not-allowed", "Method not allowed"


class Conflict(Problem):
    """The change contradicts what is stored: a duplicate, an empty stock."""

    status, slug, title = 409, "conflict", "Conflict"


class PreconditionFailed(Problem):
    """`If-Match` names another version than the stored one."""

    status, slug, title = 412, "precondition-failed", "Changed by someone else"


class TooLarge(Problem):
    """The body is over the limit."""

    status, slug, title = 413, "too-large", "Request too large"


class UnsupportedMedia(Problem):
    """The body is not application/json."""

    status, slug, title = 415, "unsupported-media", "Unsupported media type"


class Invalid(Problem):
    """Well-formed, but rules are broken; `errors` names each field and rule."""

    status, slug, title = 422, "invalid", "Invalid request"


class PreconditionRequired(Problem):
    """A change of an existing record needs `If-Match`."""

    status, slug, title = 428, "precondition-required", "If-Match required"


class TooManyRequests(Problem):
    """Over the rate limit; `Retry-After` says when to come back."""

    status, slug, title = 429, "too-many-requests", "Too many requests"


class Unavailable(Problem):
    """A part that this answer needs is away or full; `Retry-After` says when to come back."""

    status, slug, title = 503, "unavailable", "Temporarily unavailable"


def invalid(field: str, rule: str, message: str) -> Invalid:
    """Return the problem of one broken rule."""
    return Invalid(f"{field}: {message}", errors=(FieldError(field, rule, message),))
