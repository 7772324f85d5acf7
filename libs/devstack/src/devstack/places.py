"""What the command line takes from its environment: where the stack lives and where it listens."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

CHECKOUT = Path(__file__).resolve().parents[4]
BUILD = CHECKOUT / "build"
PASSED_ON = ("OTEL_", "BAYLINE_FAILPOINT", "PATH", "LANG", "SSL_CERT_FILE")


class Places(BaseSettings, frozen=True):
    """A second stack beside the first has another home and another offset of all its ports."""

    bayline_home: Path = CHECKOUT / ".bayline"
    bayline_port_offset: int = Field(default=0, ge=0, le=56_000)


def environment(*prefixes: str) -> Mapping[str, str]:
    """What a process inherits: telemetry, failpoints, and settings that begin with a prefix."""
    given = os.environ  # noqa: TID251 -- the settings of devstack itself
    return {
        name: value for name, value in given.items() if name.startswith((*PASSED_ON, *prefixes))
    }
