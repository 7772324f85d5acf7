"""A keyring for the services of a test: its contract, its policies, and keys that only live as long."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from bayline.keyring.v1.key_service_pb2_grpc import add_KeyServiceServicer_to_server
from eventstore.keyring import InMemoryKeyring, SubjectKeys
from kernel.clock import SystemClock
from kernel.ids import Uuid7
from keyring.adapters.keys import KeyServicer
from runtime.calls import Calls
from runtime.context import Means
from runtime.grpc import Server
from runtime.identity import TokenVerifier, fetch_by
from runtime.policy import Policies
from runtime.positions import Seals
from runtime.settings import Grpc, Identity

KEYS = InMemoryKeyring()  # a service that is started again finds those it has made
ANYWHERE = Grpc(port=0)
POLICIES = "bayline/keyring/v1/policies.cedar"


@asynccontextmanager
async def a_keyring(
    identity: Identity, keys: SubjectKeys = KEYS, at: Grpc = ANYWHERE
) -> AsyncIterator[str]:
    """Where it answers whoever has a token of this issuer."""
    async with aiohttp.ClientSession() as session:
        clock = SystemClock()
        verifier = TokenVerifier(identity, fetch_by(session, identity.jwks_url), clock)
        means = Means(clock, Seals([bytes(32)]), bytes(32))
        server = Server(Calls("keyring", verifier, Policies.load(POLICIES), means, Uuid7()))
        server.add(add_KeyServiceServicer_to_server, KeyServicer(keys))
        port = await server.start(at)
        try:
            yield f"{at.host}:{port}"
        finally:
            await server.stop(0)
