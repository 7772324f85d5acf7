"""Service history."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from kernel.money import Money
from kernel.units import Distance

JobId = NewType("JobId", str)


@dataclass(frozen=True, slots=True)
class Visit:
    """`state` is where the job stands, or stood when it was reopened, in the workshop's words."""

    job: JobId
    number: str
    state: str
    requested_at: datetime
    released_at: datetime | None = None
    meter_in: Distance | None = None
    codes: tuple[str, ...] = ()
    net: Money | None = None
