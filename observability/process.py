"""Figures of the process itself: resident memory, CPU time, how late the event loop wakes."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Return the resident memory of this process; its peak where the system has no /proc."""
    try:
        return int(_STATM.read_bytes().split(maxsplit=2)[1]) * _PAGE_BYTES
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cpu_seconds() -> tuple[float, float]:
    """Return the CPU seconds that this process has used so far: user, system."""
    times = os.times()
    return times.user, times.system
