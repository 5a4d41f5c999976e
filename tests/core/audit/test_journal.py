from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from uuid import UUID

import pytest

from cito.core.audit.entry import CLOSED, OPENED, decode_entry
from cito.core.audit.journal import Journal, JournalFullError
from cito.core.audit.segment import FIRST, SUFFIX, Segment
from cito.core.audit.sync import Syncer

from .conftest import NOVEMBER, entry


def journals(folder: Path) -> list[Segment]:
    """The segments in the order in which they were opened: each names the one before."""
    found = [Segment.open(path) for path in folder.glob(f"*{SUFFIX}")]
    after = {decode_entry(next(one.read(FIRST))[0]).resource_id: one for one in found}
    known = {str(one.chain) for one in found}
    current = next(one for before, one in after.items() if before not in known)
    ordered = [current]
    while (current := after.get(str(current.chain))) is not None:
        ordered.append(current)
    return ordered


def contents(segment: Segment) -> list[str]:
    found = [decode_entry(payload) for payload, _ in segment.read(FIRST)]
    return [one.action if one.actor == "cito" else str(one.resource_id) for one in found]


def test_what_was_written_is_read_back_whole(folder: Path) -> None:
    journal = Journal(folder, now_ns=lambda: NOVEMBER)
    written = [entry(number, patients=number) for number in range(5)]
    for one in written:
        journal.write(one)
    journal.close()
    [segment] = journals(folder)
    read = [decode_entry(payload) for payload, _ in segment.read(FIRST)]
    assert read[1:-1] == written
    assert (read[0].action, read[-1].action) == (OPENED, CLOSED)
    assert segment.path.stat().st_mode & 0o777 == 0o600


def test_a_full_segment_is_followed_by_another_that_names_it(folder: Path) -> None:
    journal = Journal(folder, segment_bytes=4_096, now_ns=lambda: NOVEMBER)
    for number in range(40):
        journal.write(entry(number))
    segments = journals(folder)
    assert len(segments) > 3
    assert [name for one in segments for name in contents(one) if name.startswith("thing")] == [
        f"thing-{number}" for number in range(40)
    ]
    openings = [decode_entry(next(one.read(FIRST))[0]) for one in segments]
    assert [one.resource_id for one in openings] == [None, *(str(one.chain) for one in segments[:-1])]
    assert all(contents(one)[-1] == "chain.closed" for one in segments[:-1])


def test_a_new_month_begins_a_new_chain(folder: Path) -> None:
    december = 1_796_083_200_000_000_000
    journal = Journal(folder, now_ns=lambda: NOVEMBER)
    journal.write(entry(at_ns=december - 1))
    journal.write(entry(at_ns=december))
    first, second = journals(folder)
    assert contents(first) == ["chain.opened", "thing-0", "chain.closed"]
    assert contents(second) == ["chain.opened", "thing-0"]


def test_very_many_patients_become_several_records(folder: Path) -> None:
    journal = Journal(folder)
    one = entry(patients=2_500)
    journal.write(one)
    [segment] = journals(folder)
    read = [decode_entry(payload) for payload, _ in segment.read(FIRST)][1:]
    assert [len(part.patients) for part in read] == [1_000, 1_000, 500]
    assert tuple(patient for part in read for patient in part.patients) == one.patients


def test_a_disk_without_room_refuses_and_recovers(tiny_disk: Path) -> None:
    now = [NOVEMBER]
    journal = Journal(tiny_disk / "audit", segment_bytes=256 * 1024, now_ns=lambda: now[0])
    written = 0
    with pytest.raises(JournalFullError):
        for written in range(10_000):
            now[0] += 1_000_000
            journal.write(entry(written, at_ns=now[0]))
    assert written > 1_000
    segments = journals(tiny_disk / "audit")
    assert sum(len(contents(one)) for one in segments) > written
    for segment in segments:
        segment.close()
    for path in list((tiny_disk / "audit").glob(f"*{SUFFIX}"))[:2]:
        path.unlink()  # as the shipper does
    now[0] += 1_000_000_000
    journal.write(entry(written, at_ns=now[0]))


def test_a_torn_record_ends_the_journal(folder: Path) -> None:
    journal = Journal(folder)
    for number in range(3):
        journal.write(entry(number))
    [segment] = journals(folder)
    ends = [end for _, end in segment.read(FIRST)]
    segment.map[ends[-1] - 5] ^= 1
    assert [end for _, end in segment.read(FIRST)] == ends[:-1]


def _write_until_killed(folder: str, acknowledge: int) -> None:
    journal = Journal(Path(folder), segment_bytes=65_536)
    number = 0
    while True:
        journal.write(entry(number))
        os.write(acknowledge, b"%d\n" % number)
        number += 1


def test_kill_9_loses_no_acknowledged_event(folder: Path) -> None:
    for delay_seconds in (0.01, 0.05, 0.2):
        reading, writing = os.pipe()
        process = multiprocessing.get_context("fork").Process(
            target=_write_until_killed, args=(str(folder), writing)
        )
        process.start()
        os.close(writing)
        first = os.read(reading, 4_096)  # it writes by now; to be forked can take longer than the delay
        time.sleep(delay_seconds)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        with os.fdopen(reading, "rb") as pipe:
            acknowledged = (first + pipe.read()).splitlines()
        found = {name for one in journals(folder) for name in contents(one)}
        assert {f"thing-{int(number)}" for number in acknowledged if number} <= found


def test_only_a_dead_writers_journal_can_be_taken_over(folder: Path) -> None:
    journal = Journal(folder)
    journal.write(entry())
    [segment] = journals(folder)
    assert not segment.take_over()
    journal.close()
    assert segment.take_over()


def test_syncing_follows_what_was_written(folder: Path) -> None:
    journal = Journal(folder)
    journal.write(entry())
    syncer = Syncer(folder)
    assert syncer.sync_once() == 1
    assert syncer.sync_once() == 0
    journal.write(entry(1))
    assert syncer.sync_once() == 1
    syncer.close()


def test_a_file_that_is_no_journal_is_refused(folder: Path) -> None:
    folder.mkdir()
    path = folder / f"{UUID(int=7)}{SUFFIX}"
    path.write_bytes(bytes(4_096))
    with pytest.raises(ValueError, match="no audit journal"):
        Segment.open(path)
