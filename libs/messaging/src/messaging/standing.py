"""How a consumer stands, as its database says: halted, what it parked, whether it needs a rebuild."""

import asyncio
from datetime import datetime

from messaging.cursor import Pool
from messaging.telemetry import HALTED, PARKED_NOW, REBUILD_NEEDED
from messaging.trouble import Spell

LOOK_SECONDS = 2.0

STANDING = """
SELECT s.state = 'halted', s.reason, s.rebuild_needed,
  (SELECT count(*) FROM consumer.parked p WHERE p.name = s.name),
  (SELECT max(c.at) FROM consumer.cursor c WHERE c.name = s.name AND c.pos > 0)
FROM consumer.status s WHERE s.name = %s"""


class Standing:
    """Looked at beside the work, so that it is known though Kafka is away; else as it was last."""

    def __init__(self, pool: Pool, name: str) -> None:
        self._pool, self._name = pool, name
        self._spell = Spell("standing_unknown", consumer=name)
        self.halted, self.reason = False, ""
        self.rebuild_needed = self.parked = 0
        self.moved_at: datetime | None = None
        HALTED.watch(name, lambda: self.halted)
        PARKED_NOW.watch(name, lambda: self.parked)
        REBUILD_NEEDED.watch(name, lambda: self.rebuild_needed)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
                self._spell.calm()
            except Exception as error:  # noqa: BLE001 -- whatever it was: as it was last, and look again
                self._spell.met(error)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        async with self._pool.connection() as connection:
            found = await (await connection.execute(STANDING, (self._name,))).fetchone()
        if found:
            self.halted, self.reason, self.rebuild_needed, self.parked, self.moved_at = found
