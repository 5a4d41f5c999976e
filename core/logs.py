"""Structured logs: one JSON object a line on stderr, correlated with request and trace, free of patient data.

Our own loggers (`cito.*`) write constants and declared names, so their messages are kept. Others may put data
into messages and exceptions: of theirs the template is kept without its arguments, one line, literals blanked.
Of an exception only its class and the places it passed through are written, never its text: PostgreSQL's
(`Key (mrn)=(...)`) quotes rows.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from cito.core.telemetry import current_record

LEVELS = ("debug", "info", "warning", "error")
OURS = "cito"
_MOST_FOREIGN = 200  # characters of a message that is not ours
_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"|\([^()]*\)|\d{3,}|\S+@\S+")
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_encode = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """Turns a log record into one line of JSON: time, level, logger, message, ids, error, stack, fields.

    `extra={"job": name}` adds fields of our own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        ours = record.name.partition(".")[0] == OURS
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage() if ours else blanked(str(record.msg)),
        }
        request = current_record.get()
        if request is not None:
            line["requestId"] = request.request_id
            line["traceId"] = request.trace_id
            line["spanId"] = request.span_id
            if request.operation:
                line["operation"] = request.operation
        if ours:
            line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and record.exc_info[1] is not None:
            line |= described(record.exc_info[1])
        return _encode(line).decode()


def blanked(message: str) -> str:
    """Return the first line of a foreign message with what may be data replaced by `?`."""
    first = message.partition("\n")[0]
    return _LITERAL.sub("?", first)[:_MOST_FOREIGN]


def described(error: BaseException) -> dict[str, Any]:
    """Return an exception's class and stack, `file:line function`, innermost last; not its text."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{'/'.join(frame.filename.split('/')[-3:])}:{frame.lineno} {frame.name}" for frame in frames[-20:]
    ]
    kind = type(error)
    return {"error": f"{kind.__module__}.{kind.__qualname__}", "stack": places}


def set_up_logs(level: str = "info", stream: TextIO | None = None) -> logging.Handler:
    """Send all logs of this process to `stream` (None: stderr) as JSON, replacing what was set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)  # of others, only what needs attention
    change_level(level)
    return handler


def change_level(level: str, logger: str = OURS) -> None:
    """Change the level of a logger and its children while running.

    Raises:
        ValueError: no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"level: one of {', '.join(LEVELS)}")
    logging.getLogger(logger).setLevel(level.upper())
