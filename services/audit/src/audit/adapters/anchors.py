"""Where checkpoints stand besides the database: a file that only grows, and a topic."""

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaProducer, ConsumerRecord

from audit.application.notary import Note
from audit.application.verifying import Kept
from audit.domain.checkpoint import Checkpoint, NoteWrong, Verifier, opened
from bayline.audit.v1.checkpoint_pb2 import Checkpoint as Message
from eventstore.conversion import timestamp_of
from kernel.clock import Clock
from messaging.kafka import KafkaSettings, last_records, producer

TOPIC = Message.DESCRIPTOR.full_name
ALL = 1 << 40


class AnchorUnreadable(Exception):
    """A line of the file is none that a notary wrote."""


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    tenant: str
    note: str


def lines(file: Path) -> Iterator[Line]:
    """Raises `AnchorUnreadable`."""
    with file.open() as written:
        for number, text in enumerate(written, 1):
            try:
                found = json.loads(text)
                yield Line(number, found["tenant"], found["note"])
            except (ValueError, KeyError, TypeError) as error:
                raise AnchorUnreadable(f"line {number} of {file} is no checkpoint") from error


def kept_in(file: Path) -> Iterator[tuple[str, Kept]]:
    """Tenant and note of each line. Raises `AnchorUnreadable`."""
    for line in lines(file):
        yield line.tenant, Kept(f"line {line.number} of {file.name}", line.note)


async def kept_on_topic(settings: KafkaSettings) -> list[tuple[str, Kept]]:
    """Tenant and note of each record."""
    return [
        (record.key.decode(), Kept(_place(record), Message.FromString(record.value).note))
        for record in await last_records(settings, TOPIC, each=ALL)
    ]


def _place(record: ConsumerRecord) -> str:
    return f"the topic's partition {record.partition}, offset {record.offset}"


@dataclass(slots=True)
class FileAnchor:
    """One line of JSON for each checkpoint. Belongs where the database's owner cannot write."""

    file: Path
    clock: Clock
    kind: str = "file"
    _latest: dict[str, Checkpoint] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path, verifier: Verifier, clock: Clock) -> "FileAnchor":
        """Raises `AnchorUnreadable` when the newest of a tenant is not signed by this key."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        newest = {line.tenant: line for line in lines(file)}
        anchor = cls(file, clock)
        for tenant, line in newest.items():
            anchor._latest[tenant] = _opened(line, file, verifier)
        return anchor

    def latest(self, tenant: str) -> Checkpoint | None:
        return self._latest.get(tenant)

    async def keep(self, notes: Sequence[Note]) -> Sequence[str]:
        receipts = await asyncio.to_thread(self._append, notes)
        self._latest |= {note.tenant: note.checkpoint for note in notes}
        return receipts

    def _append(self, notes: Sequence[Note]) -> Sequence[str]:
        at, places = self.clock.now().isoformat(), []
        with self.file.open("ab") as written:
            for note in notes:
                places.append(f"{self.file.name}, byte {written.tell()}")
                line = json.dumps({"tenant": note.tenant, "at": at, "note": note.text})
                written.write(f"{line}\n".encode())
            written.flush()
            os.fsync(written.fileno())
        return places


def _opened(line: Line, file: Path, verifier: Verifier) -> Checkpoint:
    try:
        return opened(line.note, verifier)
    except NoteWrong as error:
        raise AnchorUnreadable(f"line {line.number} of {file}: {error}") from error


@dataclass(slots=True)
class TopicAnchor:
    """A record for each checkpoint, keyed by tenant; whoever reads the topic is a witness."""

    settings: KafkaSettings
    clock: Clock
    kind: str = "topic"
    _kafka: AIOKafkaProducer | None = None
    _session: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    async def keep(self, notes: Sequence[Note]) -> Sequence[str]:
        """Over one connection as long as it is good; after an error over a new one."""
        try:
            return await self._kept(notes)
        except BaseException:
            await self._leave()
            raise

    async def _kept(self, notes: Sequence[Note]) -> Sequence[str]:
        if self._kafka is None:
            self._kafka = await self._session.enter_async_context(producer(self.settings))
        sent = [await self._send(self._kafka, note) for note in notes]
        places = [await each for each in sent]
        return [f"partition {place.partition}, offset {place.offset}" for place in places]

    async def _leave(self) -> None:
        self._kafka = None
        await self._session.aclose()

    async def _send(self, kafka: AIOKafkaProducer, note: Note) -> Any:
        checkpoint, at = note.checkpoint, timestamp_of(self.clock.now())
        message = Message(size=checkpoint.size, root=checkpoint.root, note=note.text, at=at)
        key, value = note.tenant.encode(), message.SerializeToString()
        return await kafka.send(TOPIC, value, key=key, headers=_headers(note))


def _headers(note: Note) -> list[tuple[str, bytes]]:
    named = {
        "content-type": "application/protobuf",
        "ce_specversion": "1.0",
        "ce_id": f"{note.checkpoint.origin}/{note.checkpoint.size}",
        "ce_source": "/audit",
        "ce_type": TOPIC,
        "ce_tenant": note.tenant,
    }
    return [(name, text.encode()) for name, text in named.items()]
