"""What events do to a read model: rows and cursors in one transaction, or parked and passed by."""

from collections.abc import Sequence

import structlog

from kernel.clock import Clock, SystemClock
from messaging.cursor import (
    Batch,
    Displaced,
    Diverged,
    Pool,
    Step,
    Transaction,
    advancing,
    transaction,
)
from messaging.envelope import Envelope
from messaging.failpoint import hit
from messaging.generations import aim, schemas_of
from messaging.parking import (
    WAITS_FOR_ITS_STREAM,
    Projection,
    StreamKey,
    lock_parked,
    park,
    park_strange,
    parks,
    stream_of,
)
from messaging.positions import announce
from messaging.status import passed_over
from messaging.telemetry import DELAY, PARKED, UNKNOWN, consuming
from messaging.trouble import passing, told

TRIES = 3

log = structlog.get_logger()


class Effects:
    def __init__(
        self, pool: Pool, name: str, projection: Projection, clock: Clock | None = None
    ) -> None:
        self._pool, self._name, self._projection = pool, name, projection
        self._clock = clock or SystemClock()
        self._labels = {"bayline.consumer": name}
        self._parks: bool | None = None
        self._layout, self._schemas = -1, [""]
        for counter in (PARKED, UNKNOWN):
            counter.add(0, self._labels)  # so that the first one is seen as a rise

    def placed(self) -> None:
        """Partitions changed hands: whoever had them may have parked some of their streams."""
        self._parks = None

    async def apply(self, batch: Batch) -> None:
        """All of it in one transaction; if one event spoils that, one by one to find it.

        An error that passes by itself comes out, and then part of the batch may be done: the
        cursors in the database say which.
        """
        if not (batch.moves or batch.strange):
            return
        with consuming(self._name, [step.envelope for step in batch.steps]):
            try:
                await self._together(batch)
            except Exception as error:
                if isinstance(error, Displaced) or passing(error):
                    raise
                await self._one_by_one(batch)
        self._report([step.envelope for step in batch.steps])
        announce(self._name)

    async def _together(self, batch: Batch) -> None:
        async with transaction(self._pool) as tx:
            async with advancing(tx, self._name, batch.moves.values(), self._schemas[0]):
                await self._know_generations(tx, batch)
                for record, why in batch.strange:
                    await park_strange(tx, self._name, record, told(why))
                await self._project(tx, batch.steps)
            await hit("consumer.before_commit")
        await hit("consumer.after_commit")

    async def _know_generations(self, tx: Transaction, batch: Batch) -> None:
        """The cursors are held now, so none comes or goes before this transaction ends."""
        layouts = {old.layout for old, _ in batch.moves.values()} - {self._layout}
        if layouts:
            self._schemas = await schemas_of(tx, self._name) or [""]
            self._layout = max(layouts)
            if self._schemas[0]:
                await aim(tx, self._schemas[0])

    async def _one_by_one(self, batch: Batch) -> None:
        await self._together(Batch(strange=batch.strange))
        for step in batch.steps:
            await self._alone(step)

    async def _alone(self, step: Step) -> None:
        single = Batch([step], {step.old.place: (step.old, step.new)})
        for attempt in range(1, TRIES + 1):
            try:
                return await self._together(single)
            except Exception as error:
                if isinstance(error, Displaced) or passing(error):
                    raise
                if attempt == TRIES:
                    await self._park(step, error)
        return None

    async def _park(self, step: Step, error: Exception) -> None:
        self._parks = True
        async with transaction(self._pool) as tx, advancing(tx, self._name, [(step.old, step.new)]):
            await park(tx, self._name, step.envelope, step.new.kafka_offset, told(error))
        PARKED.add(1, self._labels)
        log.error(
            "event_parked",
            consumer=self._name,
            event_id=step.envelope.event_id,
            message_type=step.envelope.type,
            stream_id=step.envelope.stream,
            exc_info=error,
        )

    async def _held(self, tx: Transaction, steps: Sequence[Step]) -> set[StreamKey]:
        """Nothing is asked while nothing is parked: only this process parks in its partitions."""
        streams = {stream_of(step.envelope) for step in steps}
        if self._parks is None:
            self._parks = await parks(tx, self._name)
        return await lock_parked(tx, self._name, streams) if streams and self._parks else set()

    async def _project(self, tx: Transaction, steps: Sequence[Step]) -> None:
        held = await self._held(tx, steps)
        ready = [step.envelope for step in steps if stream_of(step.envelope) not in held]
        contents = [(envelope, self._projection.decode(envelope)) for envelope in ready]
        known = [(envelope, content) for envelope, content in contents if content is not None]
        if known:
            await self._apply(tx, known)
        if len(known) < len(contents):
            await passed_over(tx, self._name, len(contents) - len(known))
        for step in steps:
            if stream_of(step.envelope) in held:
                offset = step.new.kafka_offset
                await park(tx, self._name, step.envelope, offset, WAITS_FOR_ITS_STREAM)

    async def _apply(self, tx: Transaction, known: Sequence[tuple[Envelope, object]]) -> None:
        await self._projection.apply(tx, known)
        for schema in self._schemas[1:]:
            await aim(tx, schema)
            await self._projection.apply(tx, known)

    def _report(self, envelopes: Sequence[Envelope]) -> None:
        now = self._clock.now()
        for envelope in envelopes:
            DELAY.record(max(0.0, (now - envelope.recorded_at).total_seconds()), self._labels)


class Unparked(Effects):
    """All of a batch or nothing: what cannot be applied stops the consumer, and nothing is parked.

    A record that no relay published halts it, as an event of another chain does. Once a person
    has looked and resumed it, it goes on from the store, past that record.
    """

    async def apply(self, batch: Batch) -> None:
        for record, why in batch.strange:
            where = f"{record.topic}, partition {record.partition}, offset {record.offset}"
            raise Diverged(
                f"{why}, at {where}", log=record.topic, epoch=_epoch(batch, record.topic)
            )
        if not batch.moves:
            return
        with consuming(self._name, [step.envelope for step in batch.steps]):
            await self._together(batch)
        self._report([step.envelope for step in batch.steps])
        announce(self._name)

    async def _project(self, tx: Transaction, steps: Sequence[Step]) -> None:
        if steps:
            events = [(step.envelope, self._projection.decode(step.envelope)) for step in steps]
            await self._projection.apply(tx, events)


def _epoch(batch: Batch, log: str) -> str:
    """As far as it is known."""
    return next((new.epoch for _, new in batch.moves.values() if new.log == log), "")
