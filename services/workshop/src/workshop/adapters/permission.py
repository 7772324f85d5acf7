"""What a caller may see of jobs, and what it is offered to do with one."""

from collections.abc import Iterable

from bayline.workshop.v1 import workshop_service_pb2 as pb
from runtime.asking import CallerAsks
from runtime.policy import Thing
from workshop.application.queries import Visible
from workshop.domain.job.allowed import ALLOWED
from workshop.domain.job.state import Job

SERVICE: str = pb.DESCRIPTOR.services_by_name["WorkshopService"].full_name
GET_JOB = f"{SERVICE}/GetJob"
ACTIONS = {each.verb: f"{SERVICE}/{kind.__name__}" for kind, each in ALLOWED.items() if each.verb}


def offered(by: CallerAsks, job: Job, verbs: Iterable[str]) -> list[str]:
    """Those of the job's actions that this caller may ask for, naming himself or herself."""
    thing = Thing(job.site, by.technician or job.technician or "", job.requester)
    return [verb for verb in verbs if by.may(ACTIONS[verb], thing)]


def visible(by: CallerAsks) -> Visible:
    """The jobs that GetJob would show: of one's sites, or only those one asked for."""
    of_sites = any(by.may(GET_JOB, Thing(site)) for site in by.caller.sites)
    own = by.may(GET_JOB, Thing(requester=by.subject))
    return Visible(by.sites if of_sites else frozenset(), by.subject if own else "")
