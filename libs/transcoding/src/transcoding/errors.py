"""What is wrong with a request before any service has seen it."""

from typing import ClassVar

from kernel.errors import InvalidArgument


class RequestRefused(InvalidArgument):
    """The HTTP request is not one of the contract; `status` is its HTTP status."""

    status: ClassVar[int] = 400


class IdempotencyKeyRequired(RequestRefused):
    """A command came without the key that makes it safe to send again."""


class InvalidHeader(RequestRefused):
    """A header's value is not one it may have; the fact `header` names it."""


class InvalidParameter(RequestRefused):
    """The path or the query has unknown, repeated or mistyped parameters."""


class MalformedJson(RequestRefused):
    """The body is not JSON."""


class NameRepeated(RequestRefused):
    """A name stands twice in an object: one reader would take the first, another the last."""


class BodyMissing(RequestRefused):
    """There is no body, and the method needs one."""


class UnsupportedMediaType(RequestRefused):
    """The body is not declared as JSON."""

    status = 415


class InvalidBody(RequestRefused):
    """The body is JSON, but not what the schema says."""

    status = 422
