"""What a service does with a thing that another release wrote to: subclass it, and give it one."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from kernel.errors import Damaged, Unavailable
from runtime.errors import Problem
from testkit.desk import Desk, new_id
from testkit.unread import NEWER, SPOILED, append_unread

PARKED = "SELECT count(*) FROM consumer.parked WHERE tenant = %s"


@dataclass(frozen=True, slots=True)
class Thing:
    """A resource of `log`; how it is made, asked for, changed and listed, and by whom.

    `bring` has the read models know of it. `stream` is said where no name has it. `later` is an
    event that never comes first.
    """

    desk: Desk
    log: str
    make: Callable[[], Awaitable[Any]]
    get: str
    change: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""
    lists: tuple[str, str] = ("", "")
    bring: Callable[[], Awaitable[None]] | None = None
    stream: UUID | None = None
    later: bytes = b""

    async def written(self, made: Any, data: bytes) -> int:
        """Another release appends to it; returns the version."""
        stream = self.stream or made.name.rpartition("/")[2]
        return await append_unread(
            self.desk.running.app, self.log, self.desk.tenant, stream, data=data
        )

    async def parked(self) -> int:
        async with self.desk.running.projector.connection() as connection:
            found = await connection.execute(PARKED, (self.desk.tenant,))
            ((count,),) = await found.fetchall()
        return int(count)

    async def shown(self, made: Any) -> Any:
        return (await self.desk.ask(self.get, by=self.by, **self._name(made))).message

    async def not_shown(self, made: Any) -> Problem:
        return await self.desk.refusal(self.get, by=self.by, **self._name(made))

    async def changed(self, made: Any, request: str) -> Any:
        asked = {**self._name(made), **self.fields, "request_id": request}
        return (await self.desk.ask(self.change, by=self.by, **asked)).message

    async def not_changed(self, made: Any, request: str) -> Problem:
        asked = {**self._name(made), **self.fields, "request_id": request}
        return await self.desk.refusal(self.change, by=self.by, **asked)

    async def listed(self) -> tuple[set[str], set[str]]:
        """The names of the rows, and those that are named beside them."""
        rpc, rows = self.lists
        page = (await self.desk.ask(rpc, by=self.by)).message
        return {row.name for row in getattr(page, rows)}, set(getattr(page, "unread", ()))

    def _name(self, made: Any) -> dict[str, str]:
        return {} if self.stream else {"name": made.name}


class UnreadContract:
    """Needs a fixture `thing`."""

    async def test_it_is_shown_without_what_a_newer_release_wrote_and_says_so(
        self, thing: Thing
    ) -> None:
        made = await thing.make()
        version = await thing.written(made, NEWER)

        shown = await thing.shown(made)

        assert (made.unread_events, shown.unread_events) == (0, 1)
        assert shown.etag == str(version)
        assert not getattr(shown, "allowed_actions", ())
        assert _bare(shown) == _bare(made)

    async def test_each_event_that_is_not_in_it_is_counted(self, thing: Thing) -> None:
        made = await thing.make()
        await thing.written(made, NEWER)
        version = await thing.written(made, NEWER)

        shown = await thing.shown(made)

        assert (shown.unread_events, shown.etag) == (2, str(version))

    async def test_it_cannot_be_changed_here_and_nothing_is_used_up(self, thing: Thing) -> None:
        made, request = await thing.make(), new_id()
        version = await thing.written(made, NEWER)

        for _ in range(2):
            refused = await thing.not_changed(made, request)
            assert (refused.kind, refused.reason) == (Unavailable, "WRITTEN_BY_A_NEWER_RELEASE")
            assert refused.facts["version"] == str(version)
            assert refused.facts["retry_after_seconds"] == "10"
        assert (await thing.shown(made)).etag == str(version)

    async def test_a_key_used_before_still_answers(self, thing: Thing) -> None:
        made, request = await thing.make(), new_id()
        first = await thing.changed(made, request)
        await thing.written(made, NEWER)

        assert await thing.changed(made, request) == first

    async def test_damage_is_named_and_it_is_neither_shown_nor_changed(self, thing: Thing) -> None:
        made = await thing.make()
        version = await thing.written(made, SPOILED)

        for refused in (await thing.not_shown(made), await thing.not_changed(made, new_id())):
            assert (refused.kind, refused.reason) == (Damaged, "EVENT_UNREADABLE")
            assert refused.facts["version"] == str(version)

    async def test_lists_go_on(self, thing: Thing) -> None:
        if thing.bring is None:
            return
        fine, newer, damaged = [await thing.make() for _ in range(3)]
        await thing.bring()
        await thing.written(newer, NEWER)
        await thing.written(damaged, SPOILED)
        await thing.bring()

        rows, beside = await thing.listed()

        assert rows | beside == {fine.name, newer.name, damaged.name}
        assert {fine.name, newer.name} <= rows

    async def test_one_that_a_newer_release_began_is_in_no_list_and_parks_nothing(
        self, thing: Thing
    ) -> None:
        if thing.bring is None:
            return
        begun, place = new_id(), (thing.desk.running.app, thing.log, thing.desk.tenant)
        await append_unread(*place, begun)
        await append_unread(*place, begun, data=thing.later)
        await thing.bring()

        assert (await thing.listed(), await thing.parked()) == ((set(), set()), 0)


def _bare(resource: Any) -> Any:
    """Without what stands around the state."""
    bare = type(resource)()
    bare.CopyFrom(resource)
    for name in {"etag", "unread_events", "allowed_actions"} & set(bare.DESCRIPTOR.fields_by_name):
        bare.ClearField(name)
    return bare
