"""The kinds of refusal. An error is a class: its name is its reason, its kind decides the status."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field: `pointer` is a JSON pointer into the request (`/lines/0/quantity`)."""

    pointer: str
    detail: str


class DomainError(Exception):
    """A truth that stands in the way. Subclass a kind below, not this class.

    `message` is for people: lower case, no full stop. `facts` are for programs: ids and values,
    never a person's data. `reason` is the class name in SCREAMING_SNAKE_CASE, and is stable.
    """

    reason: ClassVar[str] = "DOMAIN_ERROR"

    def __init_subclass__(cls) -> None:
        cls.reason = re.sub(
            r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__
        ).upper()

    def __init__(
        self, message: str, /, *, violations: Iterable[Violation] = (), **facts: str
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        self.facts = facts


class InvalidArgument(DomainError):
    """The request itself is wrong, whatever the state."""


class NotFound(DomainError):
    """There is no such thing for this tenant."""


class AlreadyExists(DomainError):
    """What should be made is there already."""


class RuleViolated(DomainError):
    """The state does not allow it now."""


class Conflict(DomainError):
    """Somebody else was faster: the stream has moved on."""


class Forbidden(DomainError):
    """The caller may not do this."""


class Unauthenticated(DomainError):
    """The caller did not prove who it is."""


class QuotaExhausted(DomainError):
    """Too much, too fast; worth trying again later."""


class Unavailable(DomainError):
    """Something we depend on is down or behind; worth trying again soon."""


class Outdated(Unavailable):
    """This release is behind another one: worth trying again where that one answers, not before."""


class Damaged(DomainError):
    """What is stored cannot be read; trying again cannot help, a person has to mend it."""
