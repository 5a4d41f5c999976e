"""Forking is tried in a process of its own: one without threads, as the supervisor is."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal, subprocess, sys, time
from cito.core.forked import Forked

signal.signal(signal.SIGTERM, lambda *_: print("the parent's handler"))


def refuses():
    raise SystemExit(3)


def fails():
    raise RuntimeError("what went wrong")


def pauses():
    os.write(ready, b"x")
    signal.pause()


def alone():
    assert os.getsid(0) == os.getpid()


print(*(Forked(work).wait(20) for work in (alone, refuses, fails)))
for end in (Forked.terminate, Forked.kill):
    waiting, ready = os.pipe()
    child = Forked(pauses)
    os.read(waiting, 1)
    try:
        child.wait(0.05)
    except subprocess.TimeoutExpired:
        print("runs", child.poll())
    end(child)
    print(child.wait(20), child.poll(), child.returncode)
    child.terminate()  # what has ended is told nothing more
"""


def test_a_child_works_ends_and_is_told_to() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0 3 1", "runs None", "-15 -15 -15", "runs None", "-9 -9 -9"]
    assert "RuntimeError: what went wrong" in done.stderr
