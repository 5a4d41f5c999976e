from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from cito.core.logs import change_level, set_up_logs
from cito.core.telemetry import Record, current_record

CANARY = "Zyxwvut-canary"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = io.StringIO()
    set_up_logs("info", stream)
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.getLogger("cito").setLevel(logging.NOTSET)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_the_ids_of_its_request(stream: io.StringIO) -> None:
    record = Record("http", "get_patient")
    record.request_id, record.trace_id, record.span_id = "r-1", "a" * 32, "b" * 16
    token = current_record.set(record)
    logging.getLogger("cito.plugins.patients").info("merged", extra={"rows": 2})
    current_record.reset(token)
    (line,) = lines(stream)
    assert line | {"time": ""} == {
        "time": "",
        "level": "info",
        "logger": "cito.plugins.patients",
        "message": "merged",
        "requestId": "r-1",
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "operation": "get_patient",
        "rows": 2,
    }


def test_an_exception_shows_its_class_and_way_but_not_its_text(stream: io.StringIO) -> None:
    def inner() -> None:
        raise ValueError(f"Key (mrn)=({CANARY}) already exists")

    try:
        inner()
    except ValueError:
        logging.getLogger("cito.core").exception("a job failed")
    (line,) = lines(stream)
    assert line["error"] == "builtins.ValueError"
    assert str(line["stack"][-1]).endswith(" inner")
    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("error in %r: %s", (CANARY, CANARY)),
        (f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{CANARY}')>", ()),
        (f"duplicate key value, Key (mrn)=({CANARY})", ()),
        (f"connection to '{CANARY}' refused", ()),
        ("mail to zyxwvut-CANARY@example.org bounced", ()),
    ],
)
def test_what_others_log_is_blanked(stream: io.StringIO, message: str, arguments: tuple[str, ...]) -> None:
    logging.getLogger("psycopg.pool").warning(message, *arguments)
    assert len(lines(stream)) == 1
    assert CANARY.lower() not in stream.getvalue().lower()


def test_the_level_changes_while_running(stream: io.StringIO) -> None:
    log = logging.getLogger("cito.cache")
    log.debug("not yet")
    change_level("debug")
    log.debug("now")
    change_level("error")
    log.warning("no more")
    assert [line["message"] for line in lines(stream)] == ["now"]
    with pytest.raises(ValueError, match="one of debug, info, warning, error"):
        change_level("verbose")


def test_others_are_heard_from_warning_up(stream: io.StringIO) -> None:
    logging.getLogger("somebody.else").info("noise")
    logging.getLogger("somebody.else").warning("needed")
    assert [line["message"] for line in lines(stream)] == ["needed"]
