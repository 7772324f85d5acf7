"""What a caller may do, see and be offered: the policies, asked about one caller."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bayline.workshop.v1 import workshop_service_pb2 as pb
from runtime import context
from runtime.identity import Caller
from runtime.policy import Policies, Thing
from workshop.application.queries import Visible
from workshop.domain.job.allowed import ALLOWED
from workshop.domain.job.state import Job
from workshop.domain.values import TechnicianId

SERVICE: str = pb.DESCRIPTOR.services_by_name["WorkshopService"].full_name
GET_JOB = f"{SERVICE}/GetJob"
ACTIONS = {each.verb: f"{SERVICE}/{kind.__name__}" for kind, each in ALLOWED.items() if each.verb}
EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class CallerAsks:
    """The caller of this call, asking for this method."""

    policies: Policies
    caller: Caller
    action: str

    @property
    def subject(self) -> str:
        return self.caller.subject

    @property
    def technician(self) -> TechnicianId | None:
        return TechnicianId(self.caller.technician) if self.caller.technician else None

    @property
    def roles(self) -> Collection[str]:
        return self.caller.roles

    def require(self, *, site: str = "", assignee: str = "", requester: str = "") -> None:
        self.policies.require(
            self.caller, self.action, site=site, assignee=assignee, requester=requester
        )

    def offered(self, job: Job, verbs: Iterable[str]) -> list[str]:
        """Those of the job's actions that this caller may ask for, naming himself or herself."""
        assignee = self.caller.technician or job.technician or ""
        thing = Thing(job.site, assignee, job.requester)
        return [verb for verb in verbs if self.policies.allows(self.caller, ACTIONS[verb], thing)]

    @property
    def sites(self) -> frozenset[str] | None:
        return None if EVERYWHERE in self.caller.sites else self.caller.sites

    @property
    def visible(self) -> Visible:
        """The jobs that GetJob would show: of one's sites, or only those one asked for."""
        caller = self.caller
        of_sites = any(self._sees(Thing(site)) for site in caller.sites)
        own = self._sees(Thing(requester=caller.subject))
        return Visible(self.sites if of_sites else frozenset(), caller.subject if own else "")

    def _sees(self, thing: Thing) -> bool:
        return self.policies.allows(self.caller, GET_JOB, thing)


def asking(policies: Policies) -> CallerAsks:
    call = context.call()
    return CallerAsks(policies, context.caller(), call.method.removeprefix("/"))
