"""How fast an analyst gets a topic as a file, through the gateway."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from devstack.stack import Stack
from testkit.commands import bayline
from tests.load.report import Row

LOG = "bayline.workshop.v1.JobEvent"
TENANT = "acme"
COUNT = "SELECT count(*) FROM es.event WHERE log = %s AND tenant = %s"
COPY = "COPY (SELECT * FROM es.event WHERE log = %s AND tenant = %s ORDER BY recorded_at) TO STDOUT"
FORMATS = ("ndjson", "parquet")


async def exported(stack: Stack) -> list[Row]:
    """Of one tenant: what is in the stores by now."""
    with TemporaryDirectory(prefix="bayline-export-") as folder:
        count, bare = _copied(stack, Path(folder, "bare"))
        return [
            Row(
                f"export to {form}",
                count / await _seconds(stack, Path(folder, f"events.{form}")),
                "rows/s",
                bare,
                "bare COPY to a file",
            )
            for form in FORMATS
        ]


async def _seconds(stack: Stack, file: Path) -> float:
    begun = time.monotonic()
    said = await bayline(stack, "streams", "export", LOG, str(file), "--tenant", TENANT)
    if said.code:
        raise SystemExit(said.err or said.out)
    return time.monotonic() - begun


def _copied(stack: Stack, file: Path) -> tuple[int, float]:
    """How many rows there are, and how many a second PostgreSQL alone gives."""
    with (
        psycopg.connect(stack.parts.environments.postgres.dsn("workshop")) as connection,
        file.open("wb") as stream,
    ):
        ((count,),) = connection.execute(COUNT, (LOG, TENANT)).fetchall()
        begun = time.monotonic()
        with connection.cursor().copy(COPY, (LOG, TENANT)) as copy:
            for piece in copy:
                stream.write(piece)
        return count, count / (time.monotonic() - begun)
