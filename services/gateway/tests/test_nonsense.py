"""Whatever a client sends, in bytes or in fields: it is answered, and the mistake is never ours."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.main import OWN, PEERS
from testkit.asgi import Call
from transcoding.contract import bindings

ROUTES = [(each.verb, each.path) for each in bindings((*PEERS.values(), OWN))]
VARIABLE = re.compile(r"\{[^}]*\}")
HEADERS = (
    "accept",
    "bayline_after",
    "bayline_correlation_id",
    "content_encoding",
    "content_length",
    "content_type",
    "idempotency_key",
    "if_match",
    "if_none_match",
    "last_event_id",
    "traceparent",
    "transfer_encoding",
)
latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=20)
moments = st.sampled_from(
    ["9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]
)
names = st.sampled_from(["from", "asOf", "pageSize", "filter.site", "x", "occurredAt", "lines"])
values = latin | moments | st.sampled_from(["%00", "%ff", "%ed%a0%80", "9" * 400, "-1", "1e999"])
queries = st.lists(st.tuples(names, values), max_size=4)
documents: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | latin | moments,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("authorized", [True, False])
@given(
    route=st.sampled_from(ROUTES),
    name=latin.filter(bool),
    query=queries,
    headers=st.dictionaries(st.sampled_from(HEADERS), latin, max_size=3),
    body=documents | st.binary(max_size=30),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_nonsense_is_never_our_mistake(
    call: Call, authorized: bool, route: tuple[str, str], name: str, **sent: Any
) -> None:
    verb, path = route
    query = "&".join(f"{key}={value}" for key, value in sent["query"])
    address = VARIABLE.sub(lambda _: name, path)
    token = None if authorized else ""

    answer = await call(verb, f"{address}?{query}", sent["body"], token=token, **sent["headers"])

    assert answer.status < 500, answer.raw
