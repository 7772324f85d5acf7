"""Forgetting: whether there is anything to forget is a fact of the keys."""

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from eventstore.decider import Answer, Facts, execute
from eventstore.store import EventStore, Metadata
from keyring.application.ports import Keys
from keyring.domain.subject import SUBJECT, ForgetSubject, State, SubjectEvent, SubjectName


@dataclass(frozen=True, slots=True)
class SubjectCommands:
    store: EventStore[SubjectEvent]
    keys: Keys

    async def forget(self, command: ForgetSubject, metadata: Metadata) -> Answer[State]:
        return await execute(
            SUBJECT,
            command,
            stream_id=stream_of(command.subject),
            store=self.store,
            facts=partial(self._has_key, metadata.tenant, command.subject),
            metadata=metadata,
        )

    async def _has_key(self, tenant: str, subject: SubjectName, _: State) -> Facts[bool]:
        return Facts(subject in await self.keys.unwrap(tenant, {subject}))


def stream_of(subject: SubjectName) -> UUID:
    """That of the thing itself: ids are never given twice, not even to things of another kind."""
    return UUID(subject.rpartition("/")[2])
