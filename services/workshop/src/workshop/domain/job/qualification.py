"""Whether a technician may do the work."""

from collections.abc import Iterable
from datetime import datetime

from workshop.domain.errors import TechnicianInactive, TechnicianNotCertified, TechnicianNotFound
from workshop.domain.job.facts import TechnicianFacts
from workshop.domain.job.state import Line
from workshop.domain.values import TechnicianId


def refuse_absent(technician: TechnicianId, facts: TechnicianFacts) -> None:
    if not facts.known:
        raise TechnicianNotFound(
            "there is no such technician", technician=f"technicians/{technician}"
        )
    if not facts.active:
        raise TechnicianInactive(
            "the technician works here no longer", technician=f"technicians/{technician}"
        )


def refuse_unqualified(
    technician: TechnicianId, facts: TechnicianFacts, lines: Iterable[Line], at: datetime
) -> None:
    """Every certification that the lines need must hold at the moment of the start."""
    refuse_absent(technician, facts)
    held = {each.code for each in facts.certifications if each.holds(at)}
    missing = sorted({line.certification for line in lines} - held - {""})
    if missing:
        raise TechnicianNotCertified(
            f"the technician holds no valid {', '.join(missing)}",
            technician=f"technicians/{technician}",
            certifications=",".join(missing),
        )
