"""What the verifier refuses no process accepts, the gateway included."""

import pytest
from joserfc.jwk import RSAKey

from devstack import topology
from testkit.bad_tokens import BAD_TOKENS
from testkit.tokens import Issuer
from tests.security.fortress import Attack, Fortress, doors
from transcoding.descriptors import method_rules

READS = [
    door
    for door in doors()
    if not (method_rules(door.method).command or method_rules(door.method).internal)
]
FIRST = {door.process: door for door in reversed(READS)}


@pytest.fixture(scope="session")
def issuer(fortress: Fortress) -> Issuer:
    """The stack's own, with its key: a token of it is good unless something is wrong with it."""
    signer = fortress.signer
    key = RSAKey.import_key(signer.pem, {"kid": str(signer.key.kid)})
    return Issuer(signer.issuer, topology.AUDIENCE, [key])


def _sendable(token: str) -> bool:
    return token.isascii() and token.isprintable()


@pytest.mark.parametrize("process", FIRST)
async def test_a_good_token_of_the_same_issuer_is_let_in(
    attack: Attack, issuer: Issuer, process: str
) -> None:
    token = issuer.token(tenant=attack.fortress.tenant, roles=["admin", "service_manager"])

    assert (await attack.ask(FIRST[process], token)).code != "UNAUTHENTICATED"


@pytest.mark.parametrize("process", FIRST)
async def test_no_process_takes_a_bad_token(attack: Attack, issuer: Issuer, process: str) -> None:
    tokens = {name: forge(issuer) for name, forge in BAD_TOKENS.items()}
    sendable = {name: token for name, token in tokens.items() if _sendable(token)}

    outcomes = {
        name: (await attack.ask(FIRST[process], token)).code for name, token in sendable.items()
    }

    assert len(outcomes) > 60
    assert {name: code for name, code in outcomes.items() if code != "UNAUTHENTICATED"} == {}
