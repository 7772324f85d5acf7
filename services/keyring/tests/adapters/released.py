"""One of each event ever released. An event may get more samples, but none is ever changed."""

from collections.abc import Mapping, Sequence

from keyring.domain.subject import SubjectEvent, SubjectForgotten, SubjectName

ADA = SubjectName("technicians/0190a5d2-7c1e-7b3a-9f00-000000000004")

EVENTS: Mapping[type[SubjectEvent], Sequence[SubjectEvent]] = {
    SubjectForgotten: [SubjectForgotten(ADA, "DPO-2026-117"), SubjectForgotten(ADA, "")],
}
