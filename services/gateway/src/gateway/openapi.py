"""The OpenAPI document of this gateway: the contract, its problems, and how to sign in."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from gateway.problems import Entry
from gateway.settings import Login
from transcoding.openapi import document

ANY_CALL = (
    "TOKEN_MISSING",
    "TOKEN_INVALID",
    "TOKEN_EXPIRED",
    "PERMISSION_DENIED",
    "RATE_LIMITED",
    "REQUEST_INVALID",
    "HEADER_REPEATED",
    "HOST_UNKNOWN",
    "CONTENT_ENCODING_UNSUPPORTED",
    "BODY_TOO_LARGE",
    "POSITION_UNREADABLE",
    "FACTS_NOT_YET_KNOWN",
    "UNAVAILABLE",
    "WRITTEN_BY_A_NEWER_RELEASE",
    "DEADLINE_EXCEEDED",
    "EVENT_UNREADABLE",
    "INTERNAL",
)
ANY_COMMAND = (
    "KEY_REUSED",
    "STALE_VERSION",
    "STREAM_CONTENDED",
    "OCCURRED_IN_THE_FUTURE",
    "EVENT_TOO_LARGE",
    "STREAM_TOO_LONG",
    "BODY_INCOMPLETE",
    "BODY_TOO_SLOW",
)


def build(
    services: Iterable[ServiceDescriptor], entries: Mapping[str, Entry], login: Login
) -> dict[str, Any]:
    """The same contract gives the same bytes."""
    known = {reason: (entry.status, entry.title) for reason, entry in entries.items()}
    found = document(
        services,
        "Bayline",
        version("bayline-gateway"),
        known,
        common=ANY_CALL,
        of_commands=ANY_COMMAND,
    )
    if login.client_id:
        components = found["components"]
        components["securitySchemes"] = {"login": _sign_in(login), **components["securitySchemes"]}
        found["security"].append({"login": []})
    return found


def _sign_in(login: Login) -> dict[str, Any]:
    flow = {"authorizationUrl": login.authorize_url, "tokenUrl": login.token_url, "scopes": {}}
    return {
        "type": "oauth2",
        "description": "Sign in by the browser; a client secret is not needed.",
        "flows": {"authorizationCode": flow},
    }
