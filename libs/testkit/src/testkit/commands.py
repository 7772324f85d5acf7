"""The `bayline` command as a person types it, in a stack of the tests' own."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.stack import Stack

BAYLINE = Path(sys.executable).parent / "bayline"


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def bayline(stack: Stack, *arguments: str) -> Said:
    place = {
        "BAYLINE_HOME": str(stack.parts.home),
        "BAYLINE_PORT_OFFSET": str(stack.parts.environments.offset),
    }
    process = await asyncio.create_subprocess_exec(
        BAYLINE,
        *arguments,
        env={**os.environ, **place},  # noqa: TID251 -- what a person's shell passes on
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Said(process.returncode or 0, out.decode(), err.decode())
