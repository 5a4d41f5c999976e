from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from cito.core.declarations import Grant, Job, Target
from cito.core.hookspecs import Plugin, hookimpl
from cito.core.registry import Enabled, RefusedError, assemble, load_registry


def enabled(*plugins: Plugin) -> list[Enabled]:
    return [Enabled(plugin, "test", "1") for plugin in plugins]


def refused(*plugins: Plugin) -> str:
    with pytest.raises(RefusedError) as error:
        assemble(enabled(*plugins))
    return str(error.value)


class First(Plugin):
    name = "first"

    @hookimpl
    def register_grants(self) -> Iterable[Grant]:
        return [Grant(scope="first:read", roles=("nurse", "doctor"))]


class Second(Plugin):
    name = "second"
    requires = ("first",)

    @hookimpl
    def register_grants(self) -> Iterable[Grant]:
        return [Grant(scope="second:read", roles=("nurse",))]

    @hookimpl
    def request_finished(self, record: Any) -> None:
        record.seen = True


def test_required_plugins_come_first_and_declarations_keep_their_owner() -> None:
    registry = assemble(enabled(Second(), First()))
    assert [one.name for one in registry.plugins] == ["first", "second"]
    assert [(owned.plugin, owned.value.scope) for owned in registry.grants] == [
        ("first", "first:read"),
        ("second", "second:read"),
    ]
    assert registry.scopes == {
        "nurse": frozenset({"first:read", "second:read"}),
        "doctor": frozenset({"first:read"}),
    }


def test_events_are_frozen_into_a_tuple_of_those_who_listen() -> None:
    registry = assemble(enabled(First(), Second()))
    assert len(registry.request_subscribers) == 1
    assert registry.job_subscribers == ()


def test_a_missing_requirement_is_refused() -> None:
    assert "plugin second: requires first, which is not enabled" in refused(Second())


def test_a_circle_is_refused() -> None:
    class Left(Plugin):
        name = "left"
        requires = ("right",)

    class Right(Plugin):
        name = "right"
        requires = ("left",)

    assert "require each other" in refused(Left(), Right())


def test_two_plugins_of_one_name_are_refused() -> None:
    assert "plugin first: enabled twice" in refused(First(), First())


def test_an_override_without_its_marker_is_refused() -> None:
    class Forgot(Plugin):
        name = "forgot"

        def register_targets(self) -> Iterable[Target]:
            return ()

    assert "plugin forgot: register_targets lacks @hookimpl" in refused(Forgot())


def test_a_marked_method_without_a_hook_is_refused() -> None:
    class Misspelt(Plugin):
        name = "misspelt"

        @hookimpl
        def register_target(self) -> Iterable[Target]:
            return ()

    assert "plugin misspelt: register_target is marked @hookimpl, but there is no such hook" in refused(
        Misspelt()
    )


def test_a_name_that_is_no_slug_is_refused() -> None:
    class Loud(Plugin):
        name = "Loud Plugin"

    class Nameless(Plugin):
        pass

    said = refused(Loud(), Nameless())
    assert "a name is lower-case letters" in said
    assert "set the class attribute `name`" in said


def test_a_wrong_type_in_an_answer_is_refused() -> None:
    class Wrong(Plugin):
        name = "wrong"

        @hookimpl
        def register_jobs(self) -> Iterable[Job]:
            return [Target(operation="x", p95_ms=1)]  # type: ignore[list-item]  # the mistake under test

    assert "plugin wrong: register_jobs returned a Target; return Job only" in refused(Wrong())


def test_a_declaration_that_refuses_itself_is_named() -> None:
    class Bad(Plugin):
        name = "bad"

        @hookimpl
        def register_grants(self) -> Iterable[Grant]:
            return [Grant(scope="everything", roles=())]

    assert "plugin bad: register_grants: grant 'everything': a scope is written resource:action" in refused(
        Bad()
    )


def test_a_plugin_that_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(RefusedError, match="plugin dentistry: not installed; installed are: "):
        load_registry(["dentistry"])
