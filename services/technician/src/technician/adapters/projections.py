"""How events reach the read models: rows that are folds of streams."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from assembly.folding import Key, Row
from assembly.rows import Columns, FoldedRows, Shape, Transaction, plain, replace
from eventstore import mapping
from kernel.personal import Personal, Sealed
from messaging.envelope import Envelope, Undecodable
from technician.adapters import codec
from technician.application.work import Clock, JobEvent, JobWork, evolve
from technician.domain.technician import TECHNICIAN, State, Technician, TechnicianEvent
from technician.domain.values import Certification, SiteId, TechnicianId


class Roster(FoldedRows[TechnicianEvent, State]):
    """Names stay sealed: a row is folded from events as they are stored."""

    def __init__(self) -> None:
        self.name = "technician.roster"
        self._evolve, self._initial, self._shape = TECHNICIAN.evolve, TECHNICIAN.initial, ROSTER

    def decode(self, envelope: Envelope) -> object | None:
        try:
            return codec.EVENTS.decode(envelope.type, envelope.data, envelope.version)
        except mapping.UnknownCase:
            return None
        except mapping.Undecodable as error:
            raise Undecodable(str(error)) from error


class WorkloadRows(FoldedRows[JobEvent, JobWork]):
    """A row for each job, and its clocks beside it."""

    async def saved(
        self, tx: Transaction, before: Mapping[Key, Row[JobWork]], after: Mapping[Key, Row[JobWork]]
    ) -> None:
        await super().saved(tx, before, after)
        changed = {
            key: [plain(clock) for clock in row.value.clocks]
            for key, row in after.items()
            if row.value.clocks != (before[key].value.clocks if key in before else ())
        }
        await replace(tx, "clock", "job", changed)


def workloads() -> WorkloadRows:
    return WorkloadRows("technician.workload", codec.JOB_EVENTS, evolve, JobWork(), WORK)


def technician_of(row: Columns) -> Technician:
    return Technician(
        display_name=_personal(row["display_name"]),
        site=SiteId(row["site"]),
        personnel_number=row["personnel_number"],
        certifications=tuple(_certification(each) for each in row["certifications"]),
        active=row["active"],
    )


def _row(technician: State) -> Columns:
    assert isinstance(technician, Technician)
    row: Columns = plain(technician)
    return {**row, "display_name": _sealed(technician.display_name)}


def _certification(held: Mapping[str, Any]) -> Certification:
    times = {name: _moment(held[name]) for name in ("expires_at", "revoked_at")}
    return Certification(held["code"], datetime.fromisoformat(held["valid_from"]), **times)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _sealed(words: Personal) -> Columns:
    """Ciphertext, and what binds it to its place; nothing in the clear."""
    assert words.sealed is not None
    return {
        "subject": words.subject,
        **plain(words.sealed),
        "nonce": base64.b64encode(words.sealed.nonce).decode(),
        "ciphertext": base64.b64encode(words.sealed.ciphertext).decode(),
    }


def _personal(row: Columns) -> Personal:
    sealed = Sealed(
        version=row["version"],
        field=row["field"],
        key_id=row["key_id"],
        nonce=base64.b64decode(row["nonce"]),
        ciphertext=base64.b64decode(row["ciphertext"]),
    )
    return Personal(row["subject"], sealed=sealed)


def _clock(row: Columns) -> Clock:
    return Clock(
        labour=row["labour"],
        technician=TechnicianId(row["technician"]),
        started_at=datetime.fromisoformat(row["started_at"]),
        stopped_at=_moment(row["stopped_at"]),
    )


ROSTER: Shape[State] = Shape("technician", to_row=_row, of_row=technician_of)
WORK: Shape[JobWork] = Shape(
    "job",
    to_row=plain,
    of_row=lambda row: JobWork(
        technician=TechnicianId(row["technician"]) if row["technician"] else None,
        is_open=row["is_open"],
        completions=row["completions"],
        clocks=tuple(_clock(each) for each in row["clocks"]),
    ),
)
