"""What a topic held at a cursor, as lines or in columns: the same cursor gives the same bytes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import Descriptor

from bayline.gateway.v1.gateway_service_pb2 import ExportFormat, ExportStreamRequest
from gateway.live import columns, parquet, rows
from gateway.live.cursor import Cursor
from gateway.live.source import Source
from kernel.errors import InvalidArgument
from runtime.positions import Seals
from runtime.validation import check

CHUNK = 1 << 18
LINES = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"

Bytes: TypeAlias = AsyncIterator[bytes]


class TableHasNoBeginning(InvalidArgument):
    pass


@dataclass(frozen=True, slots=True)
class Exports:
    source: Source
    seals: Seals

    async def export(self, request: ExportStreamRequest, tenant: str) -> AsyncIterator[HttpBody]:
        check(request)
        lines, types = await self._lines(request, tenant)
        in_columns = request.format == ExportFormat.EXPORT_FORMAT_PARQUET
        bodies = as_columns(lines, types) if in_columns else as_lines(lines)
        async for body in bodies:
            yield body

    async def _lines(
        self, request: ExportStreamRequest, tenant: str
    ) -> tuple[Bytes, Mapping[str, str]]:
        """The rows, and what type each of their fields has as a column."""
        heads = await self.source.heads(request.topic)
        until = Cursor.opened(request.until, self.seals, tenant, request.topic, heads)
        if not request.as_table:
            after = Cursor.beginning(request.topic, heads)
            if request.after:
                after = Cursor.opened(request.after, self.seals, tenant, request.topic, heads)
            return self._events(request, tenant, after, until), columns.OF_EVENTS
        if request.after or request.HasField("from"):
            raise TableHasNoBeginning("a table is what all events up to a cursor add up to")
        resource = rows.resource_of(request.topic)
        return self._streams(resource, tenant, until), columns.of_table(resource)

    async def _events(
        self, request: ExportStreamRequest, tenant: str, after: Cursor, until: Cursor
    ) -> Bytes:
        since = getattr(request, "from") if request.HasField("from") else None
        events = self.source.between(
            request.topic, tenant, after.positions, until.positions, recorded_from=since
        )
        async for event in events:
            yield rows.of_event(event)

    async def _streams(self, resource: Descriptor, tenant: str, until: Cursor) -> Bytes:
        async for folded in self.source.folded(until.topic, tenant, until.positions):
            yield rows.of_stream(resource, folded)


async def as_lines(lines: Bytes) -> AsyncIterator[HttpBody]:
    async for chunk in _chunks(lines):
        yield HttpBody(content_type=LINES, data=chunk)


async def as_columns(lines: Bytes, types: Mapping[str, str]) -> AsyncIterator[HttpBody]:
    """A Parquet file ends with its index: the first byte is sent when the last row is known."""
    with TemporaryDirectory(prefix="bayline-export-") as folder:
        source, target = Path(folder, "lines.ndjson"), Path(folder, "columns.parquet")
        async for chunk in _chunks(lines):
            await asyncio.to_thread(parquet.append, source, chunk)
        await asyncio.to_thread(parquet.convert, source, target, types)
        for block in parquet.blocks(target):
            yield HttpBody(content_type=PARQUET, data=block)


async def _chunks(lines: Bytes) -> Bytes:
    """Many lines at a time, and one chunk at least."""
    waiting: list[bytes] = []
    size = 0
    async for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)
