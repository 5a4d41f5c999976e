from __future__ import annotations

import re

from cito.core.telemetry import What
from cito.observability import catalog as c
from cito.observability.exporters.prometheus import expose, exposed_bounds
from cito.observability.histogram import bounds_with
from cito.observability.metrics import MAX_SERIES, Metrics

from .conftest import Made

BOUNDS = bounds_with([45.0])
EXPOSED = exposed_bounds(BOUNDS, frozenset({45.0}))


def test_a_record_becomes_requests_queries_cache_reads_and_waits(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    for _ in range(3):
        metrics.fold(
            made(
                "get_medication",
                ms=12,
                events=[
                    (What.CACHE, "medication", 0, 9, "miss"),
                    (What.POOL_WAIT, "find_medication", 1, 1),
                    (What.QUERY, "find_medication", 2, 5),
                ],
            )
        )
    done = metrics.cut(100.0)
    labels = ("get_medication", "/api/get_medication", "GET", 200, "")
    assert done.labelled(c.REQUESTS)[labels].count == 3
    assert done.labelled(c.REQUESTS)[labels].total == 36_000_000
    assert done.labelled(c.QUERIES)["find_medication", ""].most == 5_000_000
    assert done.labelled(c.CACHE)["medication", "none", "miss"].count == 3
    assert done.labelled(c.POOL_WAIT)[()].count == 3


def test_ten_thousand_ids_and_a_thousand_unknown_paths_make_no_new_series(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    for number in range(10_000):
        known = made("get_patient")
        known.request_id = str(number)
        metrics.fold(known)
    for number in range(1_000):
        unknown = made("", status=404)
        unknown.route = f"/unknown/{number}"  # even if a path got this far, it is no label
        metrics.fold(unknown)
    assert len(metrics.cut(1.0).labelled(c.REQUESTS)) == 2


def test_series_are_capped_and_the_rest_is_counted_together(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    for number in range(MAX_SERIES + 500):
        metrics.fold(made("get_patient", events=[(What.TRACK, f"wrongly.{number}", 0, 1)]))
        if number % 400 == 0:
            metrics.cut(float(number))
    metrics.cut(2.0)
    tracked = metrics.total.labelled(c.TRACKED)
    assert len(tracked) == MAX_SERIES + 1
    assert sum(histogram.count for histogram in tracked.values()) == MAX_SERIES + 500


def test_counts_survive_the_cut(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    metrics.fold(made("a"))
    metrics.cut(1.0)
    metrics.fold(made("a"))
    second = metrics.cut(2.0)
    assert second.seconds == 1.0
    assert next(iter(second.labelled(c.REQUESTS).values())).count == 1
    assert next(iter(metrics.total.labelled(c.REQUESTS).values())).count == 2


def test_exposition_has_cumulative_buckets_exemplars_units_and_an_end(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    metrics.fold(made("a", ms=40))
    slow = made("a", ms=900, sampled=True)
    metrics.fold(slow)
    metrics.count(c.SLOW_QUERIES, ("find",), 2)
    metrics.cut(1.0)
    text = expose({3: metrics.total}, BOUNDS, EXPOSED)
    name = "http_server_request_duration_seconds"
    assert f"# TYPE {name} histogram\n# UNIT {name} seconds\n# HELP {name} " in text
    assert re.search(rf'{name}_bucket{{cito_operation="a",.*worker="3",le="0.045"}} 1\n', text)
    assert re.search(rf'le="1.0"}} 2 # {{trace_id="{slow.trace_id}"}} 0.9 \d', text)
    assert re.search(rf'{name}_bucket{{[^}}]*le="\+Inf"}} 2\n', text)
    assert re.search(rf"{name}_sum{{[^}}]*}} 0.940000000\n", text)
    assert 'cito_db_slow_queries_total{db_operation_name="find",worker="3"} 2\n' in text
    assert text.endswith("# EOF\n")


def test_the_older_text_format_has_no_exemplars(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    metrics.fold(made("a", sampled=True))
    metrics.cut(1.0)
    text = expose({0: metrics.total}, BOUNDS, EXPOSED, openmetrics=False)
    assert "trace_id" not in text
    assert "# EOF" not in text


def test_the_live_stream_is_no_request_to_judge(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    metrics.fold(made("performance_live", ms=60_000))
    assert metrics.cut(1.0).labelled(c.REQUESTS) == {}


def test_an_event_without_a_length_is_counted(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    for length in (0, 2, 0):
        metrics.fold(made("a", events=[(What.CACHE, "medication", 0, length, "local")]))
    histogram = metrics.cut(1.0).labelled(c.CACHE)["medication", "local", "hit"]
    assert (histogram.count, histogram.least, histogram.most, sum(histogram.buckets.values())) == (
        3,
        0,
        2_000_000,
        3,
    )
