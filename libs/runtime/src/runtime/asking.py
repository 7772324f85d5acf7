"""Who asks for what in this call: the policies, asked about one caller."""

from collections.abc import Collection
from dataclasses import dataclass

from runtime import context
from runtime.identity import Caller
from runtime.policy import Policies, Thing

EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class CallerAsks:
    """The caller of a call, asking for its method (`action`)."""

    policies: Policies
    caller: Caller
    action: str

    @property
    def tenant(self) -> str:
        return self.caller.tenant

    @property
    def subject(self) -> str:
        return self.caller.subject

    @property
    def technician(self) -> str:
        """Empty for whoever is none."""
        return self.caller.technician

    @property
    def roles(self) -> Collection[str]:
        return self.caller.roles

    @property
    def sites(self) -> frozenset[str] | None:
        """None for all."""
        return None if EVERYWHERE in self.caller.sites else self.caller.sites

    def require(self, *, site: str = "", assignee: str = "", requester: str = "") -> None:
        self.policies.require(
            self.caller, self.action, site=site, assignee=assignee, requester=requester
        )

    def may(self, action: str, thing: Thing) -> bool:
        """Whether the caller might as well ask for another method."""
        return self.policies.allows(self.caller, action, thing)


def asking(policies: Policies) -> CallerAsks:
    call = context.call()
    return CallerAsks(policies, context.caller(), call.method.removeprefix("/"))
