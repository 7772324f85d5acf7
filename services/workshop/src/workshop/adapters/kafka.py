"""Which events this service listens to, and what happens then."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from assembly.service import Subscription
from eventstore.store import EventStore
from kernel.errors import Unavailable
from messaging.envelope import Envelope
from messaging.positions import covered
from runtime.database import Pool
from workshop.adapters import codec
from workshop.adapters.projections import JobRows, fleet, roster, site_list
from workshop.application.facts import CertificationRevoked
from workshop.application.policies import Cause, CertificationPolicy
from workshop.domain.job.events import JobEvent, LabourStarted, WorkStarted
from workshop.domain.values import JobId, TechnicianId

JOBS = codec.JOB_EVENTS.log
SITES = codec.SITE_EVENTS.log
FLEET = codec.FLEET_EVENTS.log
ROSTER = codec.ROSTER_EVENTS.log
FLEET_FACTS, ROSTER_FACTS = fleet().name, roster().name
PROJECTED_BY = {JOBS: JobRows.name, ROSTER: ROSTER_FACTS}
PROJECTION_SECONDS = 5.0


class ProjectionBehind(Unavailable):
    """A policy looks at what is projected, and what it reacts to is not projected yet."""


def read_models(jobs: EventStore[JobEvent]) -> list[Subscription]:
    return [
        Subscription([JOBS], JobRows(jobs)),
        Subscription([SITES], site_list()),
        Subscription([FLEET], fleet()),
        Subscription([ROSTER], roster()),
    ]


def certifications(pool: Pool, policy: CertificationPolicy) -> Subscription:
    return Subscription([ROSTER, JOBS], CertificationReactions(pool, policy))


@dataclass(frozen=True, slots=True)
class CertificationReactions:
    """Revocations and starts, each looked at once it is projected itself.

    The commands are sent before the cursor moves, with keys of their own: sent twice, they are
    answered as before.
    """

    pool: Pool
    policy: CertificationPolicy
    name: ClassVar[str] = "workshop.certifications"

    def decode(self, envelope: Envelope) -> object | None:
        events = codec.ROSTER_EVENTS if envelope.topic == ROSTER else codec.STARTS
        return events.decode(envelope.data)

    async def apply(
        self, tx: AsyncConnection[TupleRow], batch: Sequence[tuple[Envelope, Any]]
    ) -> None:
        for envelope, event in batch:
            if isinstance(event, CertificationRevoked | WorkStarted | LabourStarted):
                await self._projected(envelope)
                await self._react(envelope, event)

    async def _react(
        self, envelope: Envelope, event: CertificationRevoked | WorkStarted | LabourStarted
    ) -> None:
        cause = Cause(
            envelope.tenant, envelope.event_id, envelope.correlation_id, envelope.traceparent
        )
        if isinstance(event, CertificationRevoked):
            await self.policy.revoked(TechnicianId(envelope.stream), cause)
        else:
            await self.policy.started(JobId(envelope.stream), event.technician, cause)

    async def _projected(self, envelope: Envelope) -> None:
        place = (envelope.topic, envelope.shard, envelope.pos)
        name = PROJECTED_BY[envelope.topic]
        deadline = asyncio.get_running_loop().time() + PROJECTION_SECONDS
        if not await covered(self.pool, name, [place], deadline):
            raise ProjectionBehind(f"{name} has not come to {place}")
