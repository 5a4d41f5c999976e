"""Work counted, not timed: instructions of the interpreter, and calls of Python and of C."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def instructions_of(work: Callable[[], object]) -> int:
    """Return how many instructions of the interpreter a piece of work runs."""
    counted = 0

    def note(frame: FrameType, event: str, _: object) -> Any:
        nonlocal counted
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        counted += event == "opcode"
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        work()
    finally:
        sys.settrace(before)
    return counted


def calls_of(work: Callable[[], object]) -> tuple[int, int]:
    """Return how many functions of Python and of C a piece of work calls."""
    counts = {"call": 0, "c_call": 0}

    def note(_: FrameType, event: str, __: object) -> None:
        if event in counts:
            counts[event] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counts["call"], counts["c_call"]
