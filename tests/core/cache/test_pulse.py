"""The evidence of freshness: two steps of the heartbeat, on one clock, and never from what was overtaken."""

from __future__ import annotations

from itertools import product

from cito.core.cache.pulse import Pulse

EPOCH = b"e" * 16
OTHER = b"f" * 16
UNKNOWN = float("-inf")


def beat(counter: int, epoch: bytes = EPOCH) -> bytes:
    return epoch + b"%d" % counter


def test_one_step_proves_nothing_two_prove_the_first_question() -> None:
    pulse = Pulse()
    pulse.seen(beat(5), 10.0, 10.1)
    pulse.seen(beat(6), 11.0, 11.1)
    assert pulse.as_of == UNKNOWN
    pulse.seen(beat(7), 12.0, 12.1)
    assert pulse.as_of == 10.0
    pulse.seen(beat(7), 13.0, 13.1)
    assert pulse.as_of == 10.0
    pulse.seen(beat(9), 14.0, 14.1)
    assert pulse.as_of == 13.0


def test_a_heartbeat_that_stands_still_proves_nothing() -> None:
    pulse = Pulse()
    for at in range(100):
        pulse.seen(beat(5), at, at + 0.1)
    assert pulse.as_of == UNKNOWN


def test_a_heartbeat_that_falls_starts_the_evidence_anew_beyond_where_it_was() -> None:
    pulse = Pulse()
    for at in range(10):
        pulse.seen(beat(at), at, at + 0.1)
    # Back to a replica, on, and on to another one that knows more.
    for at, counter in enumerate((3, 4, 5, 9), 10):
        pulse.seen(beat(counter), at, at + 0.1)
        assert pulse.as_of == UNKNOWN
    pulse.seen(beat(10), 14.0, 14.1)
    assert pulse.as_of == UNKNOWN
    pulse.seen(beat(11), 15.0, 15.1)
    assert pulse.as_of == 13.0


def test_another_epoch_knows_of_no_fall() -> None:
    pulse = Pulse()
    for at, heartbeat in enumerate((beat(9), beat(3), beat(1, OTHER), beat(2, OTHER), beat(3, OTHER))):
        pulse.seen(heartbeat, at, at + 0.1)
    assert pulse.as_of == 2.0


def test_an_answer_that_was_overtaken_is_no_fall() -> None:
    pulse = Pulse()
    pulse.seen(beat(1), 1.0, 1.1)
    pulse.seen(beat(3), 2.0, 2.2)
    pulse.seen(beat(2), 1.9, 2.3)
    assert pulse.as_of == 1.0
    pulse.seen(beat(9, OTHER), 3.0, 3.1)
    pulse.seen(beat(4), 2.9, 3.2)
    assert pulse.epoch == OTHER


def test_another_epoch_or_none_starts_anew_and_says_so() -> None:
    pulse = Pulse()
    assert pulse.seen(beat(1), 1.0, 1.1)
    assert not pulse.seen(beat(3), 2.0, 2.1)
    assert pulse.seen(beat(4, OTHER), 3.0, 3.1)
    assert pulse.as_of == UNKNOWN
    assert pulse.seen(None, 4.0, 4.1)
    assert pulse.as_of == UNKNOWN
    pulse.seen(None, 5.0, 5.1)
    assert pulse.seen(beat(9), 6.0, 6.1)


def test_every_interleaving_of_a_relay_that_stops_between_poll_and_beat() -> None:
    """A commit at each moment, a relay that may stop before each of its beats, a reader that asks at any moments.

    Time runs 0..N; the relay's step k polls at one moment and beats at a later one, the next step polls after that.
    Whatever the reader concludes (`as_of`), every commit before it must have been polled, hence bumped.
    """
    moments = 9
    checked = 0
    for polls in product(range(moments), repeat=3):
        for beats in product(range(moments), repeat=3):
            order = [moment for pair in zip(polls, beats, strict=True) for moment in pair]
            if order != sorted(order) or len(set(order)) < len(order):
                continue
            for asks in ((0, 2, 4, 6, 8), (1, 3, 5, 7), (0, 8), (2, 5, 8), (0, 1, 2, 3, 4, 5, 6, 7, 8)):
                pulse = Pulse()
                for at in asks:
                    counter = sum(1 for moment in beats if moment <= at)
                    pulse.seen(beat(counter), at, at)
                    bumped_up_to = max(
                        (p for p, b in zip(polls, beats, strict=True) if b <= at), default=UNKNOWN
                    )
                    assert pulse.as_of <= bumped_up_to
                    checked += pulse.as_of > UNKNOWN
    assert checked > 100
