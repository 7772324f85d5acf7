"""One of each event ever released. An event may get more samples, but none is ever changed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from kernel.personal import Personal
from technician.domain.technician import (
    CertificationGranted,
    CertificationRevoked,
    TechnicianEvent,
    TechnicianLeft,
    TechnicianMoved,
    TechnicianRegistered,
    TechnicianRenamed,
)
from technician.domain.values import SiteId

AT = datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=UTC)
LATER = datetime(2028, 1, 1, tzinfo=UTC)
SITE = SiteId("0190a5d2-7c1e-7b3a-9f00-000000000002")
SUBJECT = "technicians/0190a5d2-7c1e-7b3a-9f00-000000000004"
NAME, WHY = Personal(SUBJECT, "Zoë Müller"), Personal(SUBJECT, "Course was not finished")

EVENTS: Mapping[type[TechnicianEvent], Sequence[TechnicianEvent]] = {
    TechnicianRegistered: [TechnicianRegistered(NAME, SITE, "T-0042")],
    TechnicianRenamed: [TechnicianRenamed(NAME)],
    TechnicianMoved: [TechnicianMoved(SITE)],
    CertificationGranted: [
        CertificationGranted("BRAKES", AT, LATER),
        CertificationGranted("HV", AT, None),
    ],
    CertificationRevoked: [CertificationRevoked("BRAKES", AT, WHY)],
    TechnicianLeft: [TechnicianLeft()],
}
