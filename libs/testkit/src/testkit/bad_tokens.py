"""Tokens that nobody may get in with: each breaks one rule, and is good but for that."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable

from joserfc import jwk, jwt

from testkit.tokens import Issuer

Forge = Callable[[Issuer], str]


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(issuer: Issuer, alg: str) -> str:
    return f"{_part({'alg': alg, 'kid': issuer.kid})}.{_part(issuer.claims())}."


def signed_with_public_key(issuer: Issuer) -> str:
    """The classic confusion: the public key, which everyone has, used as a shared secret."""
    body = f"{_part({'alg': 'HS256', 'kid': issuer.kid})}.{_part(issuer.claims())}"
    mac = hmac.digest(issuer.keys[0].as_pem(private=False), body.encode(), hashlib.sha256)
    return f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def with_payload_of_another(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{_part(issuer.claims(tenant='other'))}.{signature}"


def by_stranger(issuer: Issuer, **header: object) -> str:
    return Issuer().sign(issuer.claims(), **header)


def by_curve(issuer: Issuer) -> str:
    key = jwk.ECKey.generate_key("P-256", {"kid": issuer.kid})
    return jwt.encode({"alg": "ES256", "kid": issuer.kid}, issuer.claims(), key)


def by_pss(issuer: Issuer) -> str:
    header = {"alg": "PS256", "kid": issuer.kid}
    return jwt.encode(header, issuer.claims(), issuer.keys[0], algorithms=["PS256"])


def nested(issuer: Issuer) -> str:
    """A good token as the payload of another."""
    return issuer.sign_text(_header(issuer, cty="JWT"), issuer.token())


def with_claim_twice(issuer: Issuer, name: str, first: object) -> str:
    """A reader that takes the first of two and one that takes the last see different callers."""
    claims = json.dumps(issuer.claims())
    return issuer.sign_text(
        _header(issuer), f"{{{json.dumps(name)}: {json.dumps(first)}, {claims[1:]}"
    )


def with_header_twice(issuer: Issuer, name: str, first: object) -> str:
    header = _header(issuer)
    twice = f"{{{json.dumps(name)}: {json.dumps(first)}, {header[1:]}"
    return issuer.sign_text(twice, json.dumps(issuer.claims()))


def _header(issuer: Issuer, **more: object) -> str:
    return json.dumps({"alg": "RS256", "typ": "JWT", "kid": issuer.kid, **more})


BAD_TOKENS: dict[str, Forge] = {
    "no algorithm": lambda issuer: unsigned(issuer, "none"),
    "no algorithm, spelt otherwise": lambda issuer: unsigned(issuer, "nOnE"),
    "signature cut off": lambda issuer: issuer.token().rpartition(".")[0] + ".",
    "two parts": lambda issuer: issuer.token().rpartition(".")[0],
    "five parts": lambda issuer: f"{issuer.token()}.a.b",
    "public key as secret": signed_with_public_key,
    "another algorithm of the family": by_pss,
    "another curve under a known key id": by_curve,
    "payload of another": with_payload_of_another,
    "signature changed": lambda issuer: issuer.token()[:-8] + "AAAAAAAA",
    "a stranger's key under a known key id": lambda issuer: by_stranger(issuer, kid=issuer.kid),
    "unknown key id": lambda issuer: by_stranger(issuer, kid="key-99"),
    "no key id": lambda issuer: by_stranger(issuer, kid=""),
    "key id that is a path": lambda issuer: by_stranger(issuer, kid="../../etc/passwd"),
    "key id that is a number": lambda issuer: issuer.sign(issuer.claims(), kid=1),
    "key set by address": lambda issuer: by_stranger(
        issuer, kid=issuer.kid, jku="http://evil.test/k"
    ),
    "good key, key set by address": lambda issuer: issuer.sign(
        issuer.claims(), jku="http://evil.test/k"
    ),
    "certificate by address": lambda issuer: by_stranger(
        issuer, kid=issuer.kid, x5u="http://evil.test/c"
    ),
    "key in the header": lambda issuer: by_stranger(
        issuer, kid=issuer.kid, jwk=Issuer().keys[0].as_dict(private=False)
    ),
    "critical extension": lambda issuer: issuer.sign(issuer.claims(), crit=["exp"], exp=1),
    "another kind of token": lambda issuer: issuer.sign(issuer.claims(), typ="logout+jwt"),
    "encrypted by its own word": lambda issuer: issuer.sign(issuer.claims(), typ="JWE"),
    "a token within a token": nested,
    "an algorithm and another": lambda issuer: with_header_twice(issuer, "alg", "none"),
    "a key id and another": lambda issuer: with_header_twice(issuer, "kid", "key-99"),
    "a tenant and another": lambda issuer: with_claim_twice(issuer, "tenant", "other"),
    "an expiry and another": lambda issuer: with_claim_twice(issuer, "exp", 1),
    "roles and others, deeper": lambda issuer: issuer.sign_text(
        _header(issuer), json.dumps(issuer.claims(org=0)).replace("0}", '{"id": 1, "id": 2}}')
    ),
    "payload not encoded": lambda issuer: issuer.sign(issuer.claims(), b64=False),
    "payload compressed": lambda issuer: issuer.sign(issuer.claims(), zip="DEF"),
    "certificate in the header": lambda issuer: by_stranger(issuer, kid=issuer.kid, x5c=["MIIB"]),
    "key id that is a query": lambda issuer: by_stranger(issuer, kid="' OR 1=1 --"),
    "key id that is an object": lambda issuer: issuer.sign(issuer.claims(), kid={"a": 1}),
    "expiry beyond any number": lambda issuer: issuer.sign_text(
        _header(issuer), json.dumps(issuer.claims(exp=1)).replace('"exp": 1', '"exp": 1e999')
    ),
    "claims nested without end": lambda issuer: issuer.sign_text(
        _header(issuer), '{"a":' * 2000 + "1" + "}" * 2000
    ),
    "roles nested in roles": lambda issuer: issuer.token(roles=[["admin"]]),
    "tenant that is a number": lambda issuer: issuer.token(tenant=7),
    "another issuer": lambda issuer: issuer.token(iss="https://evil.test"),
    "no issuer": lambda issuer: issuer.token(iss=None),
    "issuer with a slash more": lambda issuer: issuer.token(iss=issuer.issuer + "/"),
    "another audience": lambda issuer: issuer.token(aud="other"),
    "audiences without ours": lambda issuer: issuer.token(aud=["a", "b"]),
    "no audience": lambda issuer: issuer.token(aud=None),
    "expired": lambda issuer: issuer.token(seconds=-60),
    "expired a little more than clocks differ": lambda issuer: issuer.token(seconds=-6),
    "no expiry": lambda issuer: issuer.token(exp=None),
    "expiry as text": lambda issuer: issuer.token(exp="2099-01-01"),
    "expiry as a truth": lambda issuer: issuer.token(exp=True),
    "expiry at infinity": lambda issuer: issuer.sign(issuer.claims(exp=float("inf"))),
    "expiry after the last year": lambda issuer: issuer.token(exp=253_402_300_800),
    "expiry with four hundred digits": lambda issuer: issuer.token(exp=10**400),
    "expiry before there were any": lambda issuer: issuer.token(exp=-1),
    "validity before there was any": lambda issuer: issuer.token(nbf=-1),
    "not yet valid": lambda issuer: issuer.token(nbf=time.time() + 120),
    "validity as text": lambda issuer: issuer.token(nbf="now"),
    "nobody": lambda issuer: issuer.token(sub=None),
    "empty subject": lambda issuer: issuer.token(subject=""),
    "subject that is a list": lambda issuer: issuer.token(sub=["user-1"]),
    "subject with a zero": lambda issuer: issuer.token(subject="user\0-1"),
    "subject with a line break": lambda issuer: issuer.token(subject="user-1\nadmin"),
    "subject with half a character": lambda issuer: issuer.token(subject="user-\ud800"),
    "technician with a zero": lambda issuer: issuer.token(technician="t\0"),
    "workload with a zero": lambda issuer: issuer.token(workload="vehicle\0"),
    "role with a zero": lambda issuer: issuer.token(roles=["admin\0"]),
    "site with a zero": lambda issuer: issuer.token(sites=["*", "\0"]),
    "no tenant": lambda issuer: issuer.token(tenant=""),
    "empty tenant": lambda issuer: issuer.sign(issuer.claims(tenant="") | {"tenant": ""}),
    "tenant that is a list": lambda issuer: issuer.sign(issuer.claims() | {"tenant": ["acme"]}),
    "tenant that is a path": lambda issuer: issuer.token(tenant="acme/../other"),
    "tenant with a line break": lambda issuer: issuer.token(tenant="acme\n"),
    "tenant that is everything": lambda issuer: issuer.token(tenant="*"),
    "roles as one text": lambda issuer: issuer.sign(issuer.claims() | {"roles": "admin"}),
    "roles with a number": lambda issuer: issuer.sign(issuer.claims() | {"roles": ["admin", 1]}),
    "sites as an object": lambda issuer: issuer.sign(issuer.claims() | {"sites": {"*": True}}),
    "workload as a truth": lambda issuer: issuer.sign(issuer.claims() | {"workload": True}),
    "claims that are a list": lambda issuer: (
        f"{_part({'alg': 'RS256', 'kid': issuer.kid})}.{_part([])}.AA"
    ),
    "longer than any token": lambda issuer: issuer.token(padding="x" * 9000),
    "junk": lambda issuer: "junk",
    "junk with dots": lambda issuer: "a.b.c",
    "no text at all": lambda issuer: "\x00.\xff.\u20ac",
    "dots": lambda issuer: "..",
    "empty": lambda issuer: "",
}
