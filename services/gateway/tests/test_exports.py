"""Exports: the same cursor gives the same bytes, as lines and in columns."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import duckdb
import orjson
import pytest

from bayline.event.v1.event_log_service_pb2 import FoldedStream
from bayline.gateway.v1.gateway_service_pb2 import ExportFormat, ExportStreamRequest
from bayline.type.v1.values_pb2 import Money
from bayline.workshop.v1.job_pb2 import Job, JobState, Line
from gateway.live import columns, rows
from gateway.live.cursor import Cursor
from gateway.live.exports import Exports, TableHasNoBeginning
from gateway.live.source import Source
from gateway.live.streams import JOBS
from gateway.main import RECORDS
from runtime.positions import CursorUnreadable
from runtime.validation import RequestInvalid
from services.gateway.tests.test_streams import MONDAY, SEALS, FakeSource, an_event, unreadable

PARQUET = ExportFormat.EXPORT_FORMAT_PARQUET
JOB = Job(
    name="jobs/1",
    etag="7",
    state=JobState.JOB_STATE_CLOSED,
    complaint="[sealed]",
    estimate=Money(minor=129_50, currency="EUR"),
    lines=[Line(line=1, net=Money(minor=129_50, currency="EUR"))],
)


@dataclass
class Topic(FakeSource):
    """Whose jobs are these, whatever the cursor."""

    jobs: Sequence[Job] = ()
    problems: Sequence[str] = ()
    asked: list[Sequence[int]] = field(default_factory=list)

    async def folded(
        self, topic: str, tenant: str, until: Sequence[int]
    ) -> AsyncIterator[FoldedStream]:
        self.asked.append(until)
        rows = [
            FoldedStream(stream=str(number), data=job.SerializeToString())
            for number, job in enumerate(self.jobs)
        ]
        rows += [
            FoldedStream(stream=f"problem-{number}", problem=problem)
            for number, problem in enumerate(self.problems)
        ]
        for folded in rows:
            folded.version = 7
            folded.changed_at.FromDatetime(MONDAY)
            yield folded

    async def cursor(self, tenant: str = "acme") -> str:
        return Cursor.at(JOBS, await self.heads(JOBS)).sealed(SEALS, tenant)

    async def export(self, **asked: Any) -> bytes:
        exports = Exports(cast("Source", self), SEALS)
        request = ExportStreamRequest(topic=JOBS, **asked)
        bodies = [body async for body in exports.export(request, "acme")]
        assert {body.content_type for body in bodies} == {
            "application/vnd.apache.parquet"
            if request.format == PARQUET
            else "application/x-ndjson"
        }
        return b"".join(body.data for body in bodies)


def in_columns(file: Path, content: bytes, query: str = "*") -> list[tuple[Any, ...]]:
    file.write_bytes(content)
    return duckdb.read_parquet(str(file)).project(query).fetchall()


@pytest.fixture
def topic() -> Topic:
    events = [an_event(3, 1), an_event(4, 1), an_event(3, 2), an_event(5, 1, tenant="globex")]
    return Topic(events=events, jobs=[JOB])


@pytest.mark.parametrize("asked", [{}, {"format": PARQUET}, {"as_table": True, "format": PARQUET}])
async def test_two_exports_of_one_cursor_have_the_same_bytes_whatever_happens_in_between(
    topic: Topic, asked: dict[str, Any]
) -> None:
    until = await topic.cursor()

    first = await topic.export(until=until, **asked)
    topic.events += [an_event(3, 3), an_event(9, 1)]
    second = await topic.export(until=until, **asked)

    assert first == second
    if not asked.get("as_table"):
        assert await topic.export(until=await topic.cursor(), **asked) != first


async def test_lines_tell_the_tenants_events_with_what_was_said_left_sealed(topic: Topic) -> None:
    lines = (await topic.export(until=await topic.cursor())).splitlines()

    events = [orjson.loads(line) for line in lines]
    assert [event["eventId"] for event in events] == ["acme-3-1", "acme-4-1", "acme-3-2"]
    assert list(events[0]) == list(columns.OF_EVENTS)
    assert events[0]["data"]["note"] == {
        "subject": "jobs/1",
        "keyId": "k",
        "nonce": "",
        "ciphertext": "",
    }


async def test_an_event_that_cannot_be_read_is_told_all_the_same(
    topic: Topic, tmp_path: Path
) -> None:
    topic.events = [an_event(3, 1), *unreadable()]
    until = await topic.cursor()

    lines = [orjson.loads(line) for line in (await topic.export(until=until)).splitlines()]
    content = await topic.export(until=until, format=PARQUET)

    told = [(line["eventId"], line["unread"], bool(line["data"])) for line in lines]
    assert sorted(told) == [
        ("acme-3-1", "UNREAD_UNSPECIFIED", True),
        ("acme-4-1", "UNREAD_NEWER_RELEASE", False),
        ("acme-5-1", "UNREAD_DAMAGED", False),
        ("acme-6-1", "UNREAD_DAMAGED", False),
        ("acme-7-1", "UNREAD_DAMAGED", False),
        ("acme-8-1", "UNREAD_UNSPECIFIED", True),
    ]
    columns = in_columns(tmp_path / "events.parquet", content, "eventId, unread, type")
    assert columns == [(line["eventId"], line["unread"], line["type"]) for line in lines]


async def test_a_stream_that_cannot_be_folded_is_a_row_with_its_problem(
    topic: Topic, tmp_path: Path
) -> None:
    topic.problems = ["EVENT_UNREADABLE: event 4 of the stream cannot be read"]
    until = await topic.cursor()

    lines = [
        orjson.loads(line) for line in (await topic.export(until=until, as_table=True)).splitlines()
    ]
    content = await topic.export(until=until, as_table=True, format=PARQUET)

    assert [(line["stream"], line["problem"], line.get("state")) for line in lines] == [
        ("0", "", "JOB_STATE_CLOSED"),
        ("problem-0", *topic.problems, None),
    ]
    found = in_columns(tmp_path / "jobs.parquet", content, "stream, problem, state, version")
    assert found == [
        ("0", "", "JOB_STATE_CLOSED", 7),
        ("problem-0", *topic.problems, None, 7),
    ]


async def test_columns_hold_what_the_lines_say(topic: Topic, tmp_path: Path) -> None:
    until = await topic.cursor()

    lines = await topic.export(until=until)
    content = await topic.export(until=until, format=PARQUET)

    found = in_columns(tmp_path / "events.parquet", content, "eventId, version, data")
    events = [orjson.loads(line) for line in lines.splitlines()]
    assert [(each, version, orjson.loads(data)) for each, version, data in found] == [
        (event["eventId"], event["version"], event["data"]) for event in events
    ]


async def test_a_table_has_a_typed_column_for_each_field_of_what_a_stream_folds_to(
    topic: Topic, tmp_path: Path
) -> None:
    until = await topic.cursor()

    content = await topic.export(until=until, as_table=True, format=PARQUET)

    query = "name, version, state, complaint, estimate.minor + 1, lines[1].net.currency"
    assert in_columns(tmp_path / "jobs.parquet", content, query) == [
        ("jobs/1", 7, "JOB_STATE_CLOSED", "[sealed]", 12_951, "EUR")
    ]
    assert topic.asked == [(await topic.heads(JOBS)).heads]


async def test_a_table_of_nothing_has_its_columns_all_the_same(
    topic: Topic, tmp_path: Path
) -> None:
    topic.jobs = ()

    content = await topic.export(until=await topic.cursor(), as_table=True, format=PARQUET)

    assert in_columns(tmp_path / "jobs.parquet", content, "name, invoice.gross.minor") == []


async def test_an_export_goes_on_after_another_and_both_are_the_whole(topic: Topic) -> None:
    before = await topic.cursor()
    first = await topic.export(until=before)
    topic.events += [an_event(4, 2)]
    now = await topic.cursor()

    second = await topic.export(after=before, until=now)

    assert sorted((first + second).splitlines()) == sorted(
        (await topic.export(until=now)).splitlines()
    )


async def test_an_export_needs_an_end_of_its_own_tenant_and_topic(topic: Topic) -> None:
    with pytest.raises(RequestInvalid):
        await topic.export()
    with pytest.raises(CursorUnreadable):
        await topic.export(until=await topic.cursor(tenant="globex"))


@pytest.mark.parametrize("beginning", ["after", "from"])
async def test_a_table_has_no_beginning(topic: Topic, beginning: str) -> None:
    until = await topic.cursor()
    given: dict[str, Any] = {"after": until} if beginning == "after" else {"from": MONDAY}

    with pytest.raises(TableHasNoBeginning):
        await topic.export(until=until, as_table=True, **given)


def test_every_topic_folds_to_a_resource_with_columns_of_its_own() -> None:
    for records in RECORDS.values():
        for record in records:
            resource = rows.resource_of(record.full_name)
            assert not columns.OF_STREAMS.keys() & {each.json_name for each in resource.fields}
