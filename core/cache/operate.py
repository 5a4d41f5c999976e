"""The operators' side: reports of all processes, invalidation by hand, warming, and the rules of an ACL user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from cito.core.cache.engine import Cache
from cito.core.cache.keys import Names
from cito.core.cache.loads import Readers
from cito.core.cache.report import RelayReport, Report, decode, decode_relay
from cito.core.cache.shared import SharedTier

_CHUNK = 100
# What the engine, its scripts, the feed, the relay, the limits and the operators' reports (`scan`: names alone) say.
_COMMANDS = (
    *("get", "mget", "set", "del", "incrby", "pexpire", "pttl", "time", "ping", "hello", "eval", "evalsha"),
    "scan",
    "dbsize",
    *("client|tracking", "client|setname", "client|id", "select", "info"),
    *("ssubscribe", "spublish", "pubsub|shardchannels"),
)

Progress = Callable[[str, int, int], None]


async def reports(shared: SharedTier, names: Names) -> tuple[list[Report], RelayReport | None]:
    """Return the reports of all living processes and of the relay.

    Raises:
        SharedAway: the shared tier is away.
    """
    found = await shared.kept(names.process_prefix)
    relay = found.pop(names.relay_report, None)
    return [decode(value) for value in found.values()], decode_relay(relay) if relay else None


async def warm(cache: Cache, readers: Readers, clinics: Sequence[UUID], progress: Progress) -> dict[str, int]:
    """Load what families declare as worth it; returns how many entries, by family.

    Args:
        cache: connected to the shared tier.
        readers: the database.
        clinics: for families that belong to one.
        progress: called with family, done and total.

    Raises:
        Problem: what a loader raised.
    """
    warmed: dict[str, int] = {}
    for plan in cache.plans.values():
        if plan.family.warm is None:
            continue
        places: Iterable[UUID | None] = clinics if plan.family.scoped else (None,)
        done = 0
        for clinic in places:
            keys: Sequence[Any] = await plan.family.warm(readers.reader(clinic, primary=True))
            for at in range(0, len(keys), _CHUNK):
                chunk = keys[at : at + _CHUNK]
                await cache.get_many(plan.family, chunk, clinic)
                done += len(chunk)
                progress(plan.name, done, max(done, len(keys)))
        warmed[plan.name] = done
    return warmed


def acl_rules(names: Names) -> str:
    """Return the rules of a server user that may do what Cito does and nothing else (`ACL SETUSER name ...`)."""
    prefix = names.prefix.decode()
    commands = " ".join(f"+{command}" for command in _COMMANDS)
    channels = f"&{names.node_prefix.decode()}* &{names.answer_prefix.decode()}*"
    return f"reset on ~{prefix}* resetchannels {channels} {commands}"
