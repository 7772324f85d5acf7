"""An audit log of its own for each test, in a real database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.migrate import migrate
from services.audit.tests.adapters.archive import Archive
from testkit.seen import a_pool
from testkit.servers import NewDatabase
from testkit.topics import WrittenLog


@pytest.fixture
async def archive(database: NewDatabase, tmp_path: Path) -> AsyncIterator[Archive]:
    """Empty."""
    made = await asyncio.to_thread(database, "audit")
    await asyncio.to_thread(migrate, made.superuser_dsn, "audit")
    async with a_pool(made.projector_dsn) as pool:
        written = WrittenLog("bayline.workshop.v1.JobEvent")
        yield Archive(made, pool, tmp_path / "anchor" / "checkpoints.ndjson", written)


@pytest.fixture
async def signed_archive(archive: Archive) -> Archive:
    """40 records of acme, signed at 13, 30 and 40; 8 of globex among them."""
    for count, of_globex in ((13, 3), (17, 0), (10, 5)):
        await archive.sequence(archive.happened(count) + archive.happened(of_globex, "globex"))
        await archive.sign()
    return archive
