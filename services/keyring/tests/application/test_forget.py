from datetime import UTC, datetime
from hashlib import sha256

import pytest

from eventstore.keyring import InMemoryKeyring
from eventstore.memory import InMemoryEventStore
from eventstore.store import Metadata
from kernel.clock import FixedClock
from kernel.ids import SequentialIds
from keyring.application.commands import SubjectCommands, stream_of
from keyring.domain.errors import SubjectNotFound
from keyring.domain.subject import (
    ForgetSubject,
    Forgotten,
    SubjectEvent,
    SubjectForgotten,
    SubjectName,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TENANT, OTHER = "acme", "globex"


class Office:
    def __init__(self) -> None:
        self.ids, self.keys = SequentialIds(), InMemoryKeyring()
        self.store = InMemoryEventStore[SubjectEvent](log="subjects", clock=FixedClock(NOON))
        self.commands = SubjectCommands(self.store, self.keys)

    def metadata(self, tenant: str = TENANT) -> Metadata:
        key = str(self.ids.new())
        digest = sha256(key.encode()).digest()
        return Metadata(tenant, "admin", key, digest, key, key, occurred_at=NOON)


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def ada(office: Office) -> SubjectName:
    return SubjectName(f"technicians/{office.ids.new()}")


async def test_a_person_with_a_key_is_forgotten_once(office: Office, ada: SubjectName) -> None:
    await office.keys.create(TENANT, ada)

    first = await office.commands.forget(ForgetSubject(ada, "DPO-117"), office.metadata())
    again = await office.commands.forget(ForgetSubject(ada, "DPO-118"), office.metadata())

    stream = await office.store.read(TENANT, stream_of(ada))
    assert [each.event for each in stream.events] == [SubjectForgotten(ada, "DPO-117")]
    assert first.state == again.state == Forgotten(ada, "DPO-117")


async def test_the_key_of_another_tenant_is_no_reason_to_forget(
    office: Office, ada: SubjectName
) -> None:
    await office.keys.create(OTHER, ada)

    with pytest.raises(SubjectNotFound):
        await office.commands.forget(ForgetSubject(ada, ""), office.metadata())
