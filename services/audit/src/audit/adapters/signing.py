"""The notary at work: every second it signs what is new; trouble is waited out, a damaged log told."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from audit.application.notary import Notary
from kernel.backoff import Backoff
from messaging.trouble import Spell, passing

PERIOD_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(slots=True)
class Signing:
    notary: Notary
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _told: dict[str, str] = field(default_factory=dict)

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        backoff, trouble = Backoff(PERIOD_SECONDS), Spell("checkpoint_held_up")
        while not self._stopped.is_set():
            pause = PERIOD_SECONDS
            try:
                await self.notary.sign()
                await self.notary.anchor()
                backoff.reset()
                trouble.calm()
            except Exception as error:
                if not (passing(error) or isinstance(error, OSError)):
                    raise
                trouble.met(error)
                pause = backoff.next()
            self._tell()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopped.wait()

    async def complaint(self) -> str:
        """Why a log gets no checkpoint any more; empty while all do."""
        return "; ".join(f"the log of {tenant}: {why}" for tenant, why in self._told.items())

    def _tell(self) -> None:
        refused = dict(self.notary.refused)
        for tenant in refused.keys() - self._told.keys():
            log.error("log_damaged", tenant=tenant, reason=refused[tenant])
        self._told = refused
