from __future__ import annotations

from pathlib import Path

import pytest

from cito.observability import catalog as c
from cito.observability import slots
from cito.observability.histogram import bounds_with
from cito.observability.metrics import Metrics, Slice
from cito.observability.node import Node

from .conftest import Made

BOUNDS = bounds_with([])
NOW = 1_800_000_000.0


def counted(made: Made, operation: str, times: int, now: float) -> Slice:
    metrics = Metrics(BOUNDS)
    metrics.cut(now - 0.5)
    for _ in range(times):
        metrics.fold(made(operation))
    metrics.set(c.MEMORY, (), 100.0)
    return metrics.cut(now)


def requests(window: Slice) -> int:
    return sum(histogram.count for histogram in window.labelled(c.REQUESTS).values())


def test_every_process_sees_what_all_have_counted(tmp_path: Path, made: Made) -> None:
    one, other = Node(tmp_path, BOUNDS), Node(tmp_path, BOUNDS)
    assert (one.number, other.number) == (0, 1)
    one.publish(counted(made, "a", 3, NOW))
    other.publish(counted(made, "a", 4, NOW))
    for node in (one, other):
        node.collect()
        node.collect()  # reading twice counts once
        window = node.window(60, NOW + 1)
        assert requests(window) == 7
        assert window.gauges[c.MEMORY][()] == 200.0


def test_the_word_of_who_led_before_is_not_added_to_that_of_who_leads_now(tmp_path: Path) -> None:
    one, other = Node(tmp_path, BOUNDS), Node(tmp_path, BOUNDS)
    for node, at, share in ((one, NOW - 3, 0.5), (other, NOW, 0.6)):
        metrics = Metrics(BOUNDS)
        metrics.cut(at - 0.5)
        metrics.set(c.FIGURES, ("cache", "memory_share"), share)
        metrics.set(c.FIGURES, ("local_cache", "entries"), 7)
        metrics.set(c.ALERTS, ("cache_cpu",), 1)
        node.publish(metrics.cut(at))
    one.collect()
    figures = one.gauges(NOW)[c.FIGURES]
    assert figures["cache", "memory_share"] == 0.6
    assert figures["local_cache", "entries"] == 14  # each process has its own
    assert one.gauges(NOW)[c.ALERTS] == {("cache_cpu",): 1}


def test_the_gauges_of_a_process_that_is_gone_are_not_exposed_for_ever(tmp_path: Path, made: Made) -> None:
    node = Node(tmp_path, BOUNDS)
    node.publish(counted(made, "a", 3, NOW))
    for seconds, gauges in ((5, {c.MEMORY: {(): 100.0}}), (60, {})):
        total = node.totals(NOW + seconds)[0]
        assert (requests(total), total.gauges) == (3, gauges)


def test_windows_forget_and_totals_do_not(tmp_path: Path, made: Made) -> None:
    node = Node(tmp_path, BOUNDS)
    node.publish(counted(made, "a", 3, NOW - 400))
    node.publish(counted(made, "a", 5, NOW - 20))
    assert [requests(node.window(s, NOW)) for s in (10, 60, 300, 900, 3600)] == [0, 5, 5, 8, 8]
    assert requests(node.slots()[0].total) == 8
    assert node.gauges(NOW) == {}  # stated too long ago


def test_a_restarted_process_keeps_the_recent_past_and_counts_from_zero(tmp_path: Path, made: Made) -> None:
    before = Node(tmp_path, BOUNDS)
    before.publish(counted(made, "a", 3, NOW))
    watcher = Node(tmp_path, BOUNDS)
    watcher.collect()
    before.close()
    after = Node(tmp_path, BOUNDS)
    assert after.number == before.number
    after.publish(counted(made, "a", 2, NOW + 1))
    watcher.collect()
    for node in (after, watcher):
        assert requests(node.window(60, NOW + 2)) == 5
        assert requests(node.slots()[0].total) == 2


def test_a_file_written_again_is_read_again(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "MAX_BYTES", 2_000)
    one, other = Node(tmp_path, BOUNDS), Node(tmp_path, BOUNDS)
    for number in range(100):
        one.publish(counted(made, "a", 1, NOW + number / 2))
        if number % 7 == 0:
            other.collect()
    other.collect()
    assert requests(other.slots()[0].total) == 100
    assert requests(other.window(300, NOW + 60)) == 100
    assert requests(other.window(60, NOW + 50)) == 100


def test_a_frame_half_written_waits_for_its_rest(tmp_path: Path, made: Made) -> None:
    one, other = Node(tmp_path, BOUNDS), Node(tmp_path, BOUNDS)
    other.collect()
    path = tmp_path / "0.log"
    before = path.read_bytes()
    one.publish(counted(made, "a", 1, NOW))
    whole = path.read_bytes()
    path.write_bytes(before)
    with path.open("ab") as file:
        file.write(whole[len(before) : -5])
        file.flush()
        other.collect()
        assert requests(other.slots()[0].total) == 0
        file.write(whole[-5:])
    other.collect()
    assert requests(other.slots()[0].total) == 1


def test_counts_of_other_bounds_are_moved_into_ours(tmp_path: Path, made: Made) -> None:
    bounds = bounds_with([0.7, 47.0])
    one, other = Node(tmp_path, BOUNDS), Node(tmp_path, bounds)
    one.publish(counted(made, "a", 3, NOW))  # 1 ms each
    other.collect()
    window = other.window(60, NOW + 1)
    assert requests(window) == 3
    (histogram,) = window.labelled(c.REQUESTS).values()
    assert histogram.above(700_000, bounds) == 3
    assert histogram.above(1_000_000, bounds) == 0


def test_one_process_leads_and_another_takes_over(tmp_path: Path) -> None:
    one, other = Node(tmp_path, BOUNDS), Node(tmp_path, BOUNDS)
    assert one.leads()
    assert not other.leads()
    one.close()
    assert other.leads()
