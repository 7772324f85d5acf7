"""Thousands of requests that the API's document allows, and as many that it does not.

Whatever is asked, by whomever: no answer is our fault, and none is other than the document says.
`FUZZ_CASES` and `FUZZ_SEED` say how many and which.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeAlias

import aiohttp
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydantic_settings import BaseSettings, SettingsConfigDict
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from devstack import topology
from devstack.ports import HOST
from devstack.stack import Stack
from devstack.tokens import ROLES
from gateway import openapi, problems
from gateway.main import OWN, PEERS
from gateway.settings import Login
from kernel.ids import Uuid7
from testkit.bad_tokens import BAD_TOKENS
from testkit.tokens import Issuer
from tests.security.fortress import NAME, Fortress
from transcoding.descriptors import Json, singular

Operation: TypeAlias = Any  # generic in its schema's own parts
Case: TypeAlias = Any

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FACTS = {"Problem"}
"""Schemas whose documents may say more than they declare: a problem carries its facts."""


class Fuzz(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FUZZ_")
    cases: int = 2_000
    seed: int = 1


def _document() -> dict[str, Any]:
    document = openapi.build((*PEERS.values(), OWN), problems.catalogue(), Login())
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema and name not in FACTS:
            schema["additionalProperties"] = False
    return document


def _is_stream(operation: Operation) -> bool:
    raw = operation.definition.raw["responses"]["200"].get("content", {})
    return "text/event-stream" in raw or "application/x-ndjson" in raw


SCHEMA: Any = schemathesis.openapi.from_dict(_document())
FOUND = [each.ok() for each in SCHEMA.get_all_operations()]
OPERATIONS = [each for each in FOUND if not _is_stream(each)]


@pytest.fixture(scope="module")
def target(whole_stack: Stack) -> Fortress:
    """A tenant of its own: what is done to its things is nobody else's business."""
    made = Fortress(whole_stack, f"fuzz-{Uuid7().new().hex[-8:]}")

    async def built() -> None:
        async with aiohttp.ClientSession() as session:
            await made.build(session)

    asyncio.run(built())
    return made


@pytest.fixture(scope="module")
def authorizations(target: Fortress) -> list[str]:
    """Half of them good for everything; then good for little, of another tenant, bad, none."""
    everything = target.token(target.person(*ROLES))
    others = [
        target.token(target.person("driver")),
        target.token(target.person(*ROLES, sites=("elsewhere",))),
        target.token(target.person(*ROLES, tenant="stranger")),
        target.workload_token("vehicle"),
        "",
        *(
            token
            for token in (forge(Issuer()) for forge in BAD_TOKENS.values())
            if token.isascii() and token.isprintable()
        ),
    ]
    return [everything] * len(others) + others


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.label)
def test_every_answer_is_one_that_the_document_declares(
    operation: Operation, target: Fortress, authorizations: list[str]
) -> None:
    fuzz = Fuzz()
    each = max(2, -(-fuzz.cases // (2 * len(OPERATIONS))))
    base = f"http://{HOST}:{topology.GATEWAY.port + target.environments.offset}"
    good = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    bad = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    with requests.Session() as session:
        for cases in (good, bad):
            _drive(cases, each, fuzz.seed, authorizations, target, base, session)


def _drive(
    cases: st.SearchStrategy[Case],
    count: int,
    number: int,
    authorizations: list[str],
    target: Fortress,
    base: str,
    session: requests.Session,
) -> None:
    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, token=st.sampled_from(authorizations), real=st.booleans())
    def driven(case: Case, token: str, *, real: bool) -> None:
        if real:
            _speak_of_real_things(case, target.known.names)
        headers = {name: value for name, value in case.headers.items() if name != "Authorization"}
        case.headers.clear()
        case.headers.update(headers | ({"Authorization": f"Bearer {token}"} if token else {}))
        answer = case.call(base_url=base, session=session, timeout=20)
        case.validate_response(answer, checks=CHECKS)

    driven()


def _speak_of_real_things(case: Case, names: Mapping[str, str]) -> None:
    """Made-up names are of nobody; real ones reach what stands behind them."""
    ids = {singular(collection): name.partition("/")[2] for collection, name in names.items()}
    for name in set(case.path_parameters) & set(ids):
        case.path_parameters[name] = ids[name]
    if isinstance(case.body, dict | list):
        case.body = _with_names(case.body, names)


def _with_names(value: Json, names: Mapping[str, str]) -> Json:
    if isinstance(value, dict):
        return {name: _with_names(each, names) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_names(each, names) for each in value]
    if isinstance(value, str) and (found := NAME.fullmatch(value)):
        return names.get(found[1], value)
    return value
