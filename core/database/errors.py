"""What PostgreSQL refuses, as problems: by SQLSTATE, never with a value, a text or a detail of the server."""

from __future__ import annotations

from cito.core.errors import Conflict, Forbidden, Invalid, Problem, Unavailable


class DatabaseProblem(Exception):  # noqa: N818 - each kind of it is a Problem
    """PostgreSQL's refusal, reduced to what holds no data. Mixed into the problem that a caller sees.

    Attributes:
        sqlstate: five characters, PostgreSQL appendix A; empty when the connection was lost.
        constraint: the violated constraint's name, or empty.
        query: the named query.
    """

    sqlstate: str = ""
    constraint: str = ""
    query: str = ""


class UniqueViolation(DatabaseProblem, Conflict):
    """The row exists already; `constraint` says by which key."""


class ForeignKeyViolation(DatabaseProblem, Conflict):
    """The row refers to one that is not there, or others refer to it."""


class ValueRefused(DatabaseProblem, Invalid):
    """A value breaks a check, is missing, out of range or of the wrong form."""


class NotAllowed(DatabaseProblem, Forbidden):
    """Row-level security or a missing grant refused it."""


class Contention(DatabaseProblem, Unavailable):
    """A deadlock or a lock that was not to be had; the transaction may be tried again as a whole."""


class TimedOut(DatabaseProblem, Unavailable):
    """The statement ran into its time limit."""


class ConnectionLost(DatabaseProblem, Unavailable):
    """The server went away: whether a write reached it is not known."""


class NoAnswer(ConnectionLost):
    """The server fell silent and its time is over: not tried again."""


class PoolFull(DatabaseProblem, Unavailable):
    """No connection within the deadline, or too many callers wait already."""


class QueryFailed(DatabaseProblem, Problem):
    """A defect of ours: bad SQL, a missing table; the log and `cito doctor` name it."""


_EXACT: dict[str, type[DatabaseProblem]] = {
    "23505": UniqueViolation,
    "23P01": UniqueViolation,
    "23503": ForeignKeyViolation,
    "42501": NotAllowed,
    "40001": Contention,
    "40P01": Contention,
    "55P03": Contention,
    "57014": TimedOut,
}
_CLASSES: dict[str, type[DatabaseProblem]] = {
    "08": ConnectionLost,
    "22": ValueRefused,
    "23": ValueRefused,
    "53": ConnectionLost,
    "57": ConnectionLost,
}
_SENTENCES: dict[type[DatabaseProblem], str] = {
    UniqueViolation: "this already exists",
    ForeignKeyViolation: "this refers to something that is not there, or is still referred to",
    ValueRefused: "a value breaks a rule of the data",
    NotAllowed: "not allowed by the data's own rules",
    Contention: "someone else is changing the same data; try again",
    TimedOut: "the database took too long",
    ConnectionLost: "the database is not available",
    NoAnswer: "the database is not available",
    PoolFull: "the database is busy",
    QueryFailed: "the query failed",
}


def refusal(sqlstate: str, query: str, constraint: str = "") -> DatabaseProblem:
    """Return the problem for an SQLSTATE, ready to be raised."""
    kind = _EXACT.get(sqlstate) or _CLASSES.get(sqlstate[:2], QueryFailed)
    return _make(kind, sqlstate, query, constraint)


def connection_lost(query: str) -> DatabaseProblem:
    """Return the problem of a connection that ended before the answer."""
    return _make(ConnectionLost, "", query, "")


def no_answer(query: str) -> DatabaseProblem:
    """Return the problem of a connection that stayed open without an answer."""
    return _make(NoAnswer, "", query, "")


def pool_full(query: str) -> DatabaseProblem:
    """Return the problem of a pool without a free connection."""
    return _make(PoolFull, "", query, "")


def _make(kind: type[DatabaseProblem], sqlstate: str, query: str, constraint: str) -> DatabaseProblem:
    again = 1 if issubclass(kind, Unavailable) else None
    assert issubclass(kind, Problem)
    error = kind(_SENTENCES[kind], retry_after_seconds=again)
    error.sqlstate, error.constraint, error.query = sqlstate, constraint, query
    return error
