"""Who may: Cedar policies, deny by default, decided once per question."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import product
from typing import Any, Self

import cedarpy

from kernel.errors import Forbidden
from runtime.identity import Caller

DECISIONS = 65_536


class PermissionDenied(Forbidden):
    pass


class PoliciesIncomplete(Exception):
    """Methods nobody may call, or policies for methods that do not exist: a mistake either way."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What a policy may look at in the object; empty where the object has none."""

    site: str = ""
    assignee: str = ""
    requester: str = ""
    about: str = ""  # of what services ask each other: a log, or a kind of subject


class Policies:
    """Policies of one service. Each decision is kept: it depends on nothing but the question."""

    def __init__(self, text: str) -> None:
        self._policies = cedarpy.PolicySet.from_str(text)
        self.actions = frozenset(_actions(json.loads(cedarpy.policies_to_json_str(text))))
        self.allows = lru_cache(DECISIONS)(self._decide)
        self.could = lru_cache(DECISIONS)(self._decide_for_some_thing)

    @classmethod
    def load(cls, *paths: str) -> Self:
        """From the contracts: `bayline/workshop/v1/policies.cedar`."""
        texts = (files("bayline").joinpath(path.removeprefix("bayline/")) for path in paths)
        return cls("\n".join(text.read_text() for text in texts))

    def check_names(self, actions: Iterable[str]) -> None:
        """Every method of a service is named in a policy, and no policy names one it has not."""
        methods = frozenset(actions)
        services = {_service_of(method) for method in methods}
        named = frozenset(action for action in self.actions if _service_of(action) in services)
        if unheard := sorted(methods - named):
            raise PoliciesIncomplete(f"no policy names {', '.join(unheard)}")
        if unknown := sorted(named - methods):
            raise PoliciesIncomplete(f"policies name what is not there: {', '.join(unknown)}")

    def require(
        self,
        caller: Caller,
        action: str,
        *,
        site: str = "",
        assignee: str = "",
        requester: str = "",
    ) -> None:
        if not self.allows(caller, action, Thing(site, assignee, requester)):
            raise refusal(action)

    def _decide(self, caller: Caller, action: str, thing: Thing) -> bool:
        request = {
            "principal": {"type": "User", "id": caller.subject},
            "action": {"type": "Action", "id": action},
            "resource": {"type": "Thing", "id": "it"},
        }
        return cedarpy.is_authorized(request, self._policies, _entities(caller, thing)).allowed

    def _decide_for_some_thing(self, caller: Caller, action: str) -> bool:
        """Is there an object this caller might do it to? Asked before there is an object."""
        sites = ("", next(iter(sorted(caller.sites - {"*"})), ""))
        assignees = ("", caller.subject, caller.technician)
        requesters = ("", caller.subject)
        things = {Thing(*parts) for parts in product(sites, assignees, requesters)}
        return any(self.allows(caller, action, thing) for thing in things)


def refusal(action: str) -> PermissionDenied:
    method = action.rpartition("/")[2]
    return PermissionDenied(f"your roles and sites do not allow {method} here", action=method)


def _service_of(action: str) -> str:
    return action.partition("/")[0]


def _entities(caller: Caller, thing: Thing) -> list[dict[str, Any]]:
    user = {
        "id": caller.subject,
        "roles": sorted(caller.roles),
        "sites": sorted(caller.sites),
        "technician": caller.technician,
        "workload": caller.workload,
    }
    it = asdict(thing)
    return [
        {"uid": {"type": "User", "id": caller.subject}, "attrs": user, "parents": []},
        {"uid": {"type": "Thing", "id": "it"}, "attrs": it, "parents": []},
    ]


def _actions(policies: dict[str, Any]) -> Iterator[str]:
    """Only named actions count: a policy for all actions is a policy for none in particular."""
    for policy in policies["staticPolicies"].values():
        scope = policy["action"]
        for entity in scope.get("entities", [scope["entity"]] if "entity" in scope else []):
            yield entity["id"]
