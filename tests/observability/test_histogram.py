from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from cito.observability.histogram import Histogram, bounds_with

BOUNDS = bounds_with([45.0])
durations = st.lists(st.integers(10_000, 20_000_000_000), min_size=1, max_size=300)


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value, BOUNDS)
    return histogram


@given(durations, st.sampled_from([0.5, 0.95, 0.99]))
def test_quantile_lies_within_the_bucket_of_the_true_one(values: list[int], share: float) -> None:
    found = filled(values).quantile(share, BOUNDS)
    exact = sorted(values)[max(0, -(-len(values) * round(share * 100) // 100) - 1)]
    assert exact / 1.51 <= found <= exact * 1.51  # the widest step between bounds is 1.5


def test_percentiles_of_a_dense_spread_are_within_ten_percent() -> None:
    values = [round(1_000_000 * 1.002**i) for i in range(3_000)]
    histogram = filled(values)
    for share in (0.5, 0.95, 0.99):
        exact = statistics.quantiles(values, n=1000)[round(share * 1000) - 1]
        assert abs(histogram.quantile(share, BOUNDS) - exact) <= 0.1 * exact


@given(durations, durations)
def test_merging_is_counting_together(one: list[int], other: list[int]) -> None:
    merged = filled(one)
    merged.merge(filled(other))
    assert merged == filled([*one, *other])


@given(durations)
def test_the_share_above_a_declared_target_is_exact(values: list[int]) -> None:
    assert filled(values).above(45_000_000, BOUNDS) == sum(value > 45_000_000 for value in values)
    assert filled(values).above(10_000_000_000_000, BOUNDS) == 0


def test_an_empty_histogram_says_nothing() -> None:
    assert Histogram().quantile(0.95, BOUNDS) == 0.0
