from __future__ import annotations

from pathlib import Path

from cito.core.audit.entry import Entry
from cito.core.audit.journal import Journal
from cito.core.audit.sync import BACKLOG_BYTES, backlog, open_journals


def event(number: int) -> Entry:
    return Entry(
        number, "staff-1", "nurse", None, "read", "success", "patients", None, (), "r" * 100, "", None
    )


def test_what_waits_to_be_shipped_is_told_once_it_is_much(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(event(1))
    assert backlog(tmp_path) is None
    for number in range(BACKLOG_BYTES // 100):
        journal.write(event(number))
    assert "MB of audit events wait" in str(backlog(tmp_path))
    for _, segment in open_journals(tmp_path):
        segment.note_shipped(segment.end_behind(segment.shipped))
        segment.close()
    assert backlog(tmp_path) is None


def test_no_folder_is_no_backlog(tmp_path: Path) -> None:
    assert backlog(tmp_path / "none") is None
