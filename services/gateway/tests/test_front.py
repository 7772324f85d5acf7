"""What a client meets first: identity, problems, limits, headers, documents."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import grpc
import orjson
import pytest
from fastapi import FastAPI
from google.api import annotations_pb2

from bayline.workshop.v1.job_pb2 import Job
from eventstore.store import Stream, Unread
from gateway.live.hub import LiveStreamBehind
from gateway.main import OWN, PEERS
from gateway.operations import mount_probes
from gateway.problems import catalogue
from kernel.errors import Conflict, DomainError, NotFound, RuleViolated, Unavailable
from runtime.admin import Probes
from testkit.asgi import Call, FakeHandler, request
from testkit.tokens import Issuer

JOB = "/v1/jobs/0190a5d2-7c1e-7b3a-9f00-000000000001"
KEY = "a-key-of-mine"
TRIAGE = {"priority": "PRIORITY_EMERGENCY", "reason": "REPAIR_REASON_BREAKDOWN"}

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
UNREAD = Unread(4, "x.SomethingNew", NOON, NOON, UUID(int=2), b"")


class JobStateForbids(RuleViolated):
    pass


class JobNotFound(NotFound):
    pass


class StaleVersion(Conflict):
    pass


class FactsNotYetKnown(Unavailable):
    pass


async def test_a_command_reaches_its_service_with_key_version_and_token(
    call: Call, service: FakeHandler
) -> None:
    service.answers["TriageJob"] = Job(name="jobs/1", number="J-1042", etag="7")

    answer = await call("POST", f"{JOB}:triage", TRIAGE, idempotency_key=KEY, if_match='"6"')

    assert answer.status == 200
    assert answer.json["number"] == "J-1042"
    assert answer.headers["etag"] == '"7"'
    assert answer.headers["bayline-position"] == "sealed"
    [(method, request, metadata)] = service.asked
    assert (method, request.request_id, request.etag) == ("TriageJob", KEY, "6")
    assert metadata["authorization"].startswith("Bearer ")
    assert metadata["bayline-correlation-id"] == answer.headers["bayline-correlation-id"]


async def test_nobody_gets_in_without_a_token(call: Call, service: FakeHandler) -> None:
    answer = await call("GET", JOB, token="")

    assert answer.status == 401
    assert answer.json["reason"] == "TOKEN_MISSING"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert service.asked == []


async def test_a_role_that_could_never_do_it_is_refused_before_the_service(
    call: Call, service: FakeHandler, issuer: Issuer
) -> None:
    driver = issuer.token(roles=["driver"])

    answer = await call("POST", f"{JOB}:triage", TRIAGE, token=driver, idempotency_key=KEY)

    assert (answer.status, answer.json["reason"]) == (403, "PERMISSION_DENIED")
    assert service.asked == []


async def test_a_refusal_says_what_where_and_why_in_one_document(
    call: Call, service: FakeHandler
) -> None:
    service.answers["TriageJob"] = JobStateForbids(
        "job J-1042 is closed", state="CLOSED", job_id="jobs/1"
    )

    answer = await call("POST", f"{JOB}:triage", TRIAGE, idempotency_key=KEY)

    assert answer.status == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "https://bayline.test/problems/job-state-forbids",
        "title": "The job's state does not allow this now",
        "status": 409,
        "detail": "job J-1042 is closed",
        "reason": "JOB_STATE_FORBIDS",
        "instance": f"{JOB}:triage",
        "correlation_id": answer.headers["bayline-correlation-id"],
        "state": "CLOSED",
        "jobId": "jobs/1",
    }


async def test_a_stale_version_is_412_only_to_whoever_sent_one(
    call: Call, service: FakeHandler
) -> None:
    service.answers["TriageJob"] = StaleVersion("the job is at version 9")

    asked = await call("POST", f"{JOB}:triage", TRIAGE, idempotency_key=KEY, if_match='"6"')
    not_asked = await call("POST", f"{JOB}:triage", TRIAGE, idempotency_key=KEY)

    assert (asked.status, asked.json["status"]) == (412, 412)
    assert not_asked.status == 409


async def test_who_should_come_back_later_is_told_when(call: Call, service: FakeHandler) -> None:
    service.answers["GetJob"] = FactsNotYetKnown("the vehicle is not known yet")

    answer = await call("GET", JOB)

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def a_refusal(stream: Stream[None]) -> DomainError:
    with pytest.raises(DomainError) as refusal:
        stream.require_whole()
    return refusal.value


async def test_a_newer_release_is_waited_for_longer(call: Call, service: FakeHandler) -> None:
    service.answers["TriageJob"] = a_refusal(Stream(UUID(int=1), (), unread=(UNREAD,)))

    answer = await call("POST", f"{JOB}:triage", TRIAGE, idempotency_key=KEY)

    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    assert answer.json["reason"] == "WRITTEN_BY_A_NEWER_RELEASE"
    assert answer.json["eventType"] == "x.SomethingNew"


async def test_damage_is_a_problem_of_its_own_that_says_which_event(
    call: Call, service: FakeHandler
) -> None:
    service.answers["GetJob"] = a_refusal(
        Stream(UUID(int=1), (), unread=(replace(UNREAD, damage="cut off"),))
    )

    answer = await call("GET", JOB)

    assert (answer.status, answer.json["reason"]) == (500, "EVENT_UNREADABLE")
    assert (answer.json["version"], answer.json["eventType"]) == ("4", "x.SomethingNew")
    assert "event 4" in answer.json["detail"]
    assert "retry-after" not in answer.headers


async def test_a_mistake_of_ours_shows_nothing_but_a_correlation_id(
    call: Call, service: FakeHandler
) -> None:
    service.answers["GetJob"] = ZeroDivisionError("secret")

    answer = await call("GET", JOB)

    assert answer.status == 500
    assert answer.json["reason"] == "INTERNAL"
    assert b"secret" not in answer.raw
    assert answer.json["correlation_id"]


async def test_a_peer_that_is_gone_is_unavailable_not_a_bug(
    call: Call, service: FakeHandler
) -> None:
    service.answers["GetJob"] = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), details="refused"
    )

    answer = await call("GET", JOB)

    assert (answer.status, answer.json["reason"]) == (503, "UNAVAILABLE")


@pytest.mark.parametrize(
    ("error", "reason"),
    [(LiveStreamBehind("too slow"), "LIVE_STREAM_BEHIND"), (ZeroDivisionError("x"), "INTERNAL")],
)
async def test_a_stream_that_breaks_ends_with_a_problem_that_support_can_find(
    call: Call, service: FakeHandler, error: Exception, reason: str
) -> None:
    service.breaks["StreamJobs"] = error

    answer = await call("GET", "/v1/jobs:stream", accept="application/x-ndjson")

    problem = orjson.loads(answer.raw.splitlines()[-1])["problem"]
    assert problem["reason"] == reason
    assert problem["correlation_id"] == answer.headers["bayline-correlation-id"]


async def test_wrong_fields_are_named_one_by_one(call: Call, service: FakeHandler) -> None:
    body = {"priority": "URGENT", "reasn": "REPAIR_REASON_BREAKDOWN"}

    answer = await call("POST", f"{JOB}:triage", body, idempotency_key=KEY)

    assert (answer.status, answer.json["reason"]) == (422, "INVALID_BODY")
    assert {error["pointer"] for error in answer.json["errors"]} == {"/priority", "/reasn"}
    assert service.asked == []


async def test_a_command_without_a_key_is_refused(call: Call) -> None:
    answer = await call("POST", f"{JOB}:triage", TRIAGE)

    assert (answer.status, answer.json["reason"]) == (400, "IDEMPOTENCY_KEY_REQUIRED")


async def test_a_body_too_large_is_refused_by_its_declared_length(call: Call) -> None:
    answer = await call("POST", "/v1/jobs", b"x", idempotency_key=KEY, content_length="10485760")

    assert (answer.status, answer.json["reason"]) == (413, "BODY_TOO_LARGE")


async def test_a_body_too_large_is_refused_though_its_length_was_a_lie(call: Call) -> None:
    answer = await call("POST", "/v1/jobs", b"x" * 5_000, idempotency_key=KEY, content_length="5")

    assert (answer.status, answer.json["reason"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("verb", "path", "status", "reason"),
    [("GET", "/v1/nothing", 404, "ROUTE_NOT_FOUND"), ("DELETE", JOB, 405, "METHOD_NOT_ALLOWED")],
)
async def test_what_is_not_part_of_the_api_is_a_problem_too(
    call: Call, verb: str, path: str, status: int, reason: str
) -> None:
    answer = await call(verb, path)

    assert (answer.status, answer.json["reason"]) == (status, reason)


@pytest.mark.parametrize("path", [JOB, "/openapi.json", "/docs", "/v1/nothing", "/livez"])
async def test_every_answer_carries_the_security_headers(call: Call, path: str) -> None:
    answer = await call("GET", path)

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_answers_about_tenants_are_kept_in_no_cache(call: Call) -> None:
    assert (await call("GET", JOB)).headers["cache-control"] == "no-store"


async def test_a_client_may_name_its_own_correlation_id_but_not_inject_one(call: Call) -> None:
    named = await call("GET", JOB, bayline_correlation_id="trip-42")
    injected = await call("GET", JOB, bayline_correlation_id="a b\tc")

    assert named.headers["bayline-correlation-id"] == "trip-42"
    assert injected.headers["bayline-correlation-id"] != "a b\tc"


async def test_browsers_of_known_origins_may_call_and_others_may_not(call: Call) -> None:
    known = await call("GET", JOB, origin="http://localhost:5173")
    other = await call("GET", JOB, origin="https://evil.test")

    assert known.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "access-control-allow-origin" not in other.headers


async def test_the_documents_need_no_token_and_no_internet(call: Call) -> None:
    page = await call("GET", "/docs", token="")
    script = await call("GET", "/docs/swagger-ui-bundle.js", token="")

    assert page.status == script.status == 200
    assert b"https://" not in page.raw
    assert len(script.raw) > 100_000
    assert (await call("GET", "/docs/main.py", token="")).status == 404


async def test_the_openapi_document_lists_exactly_the_routes_of_the_contract(call: Call) -> None:
    document = (await call("GET", "/openapi.json", token="")).json

    bound = {
        method.full_name
        for service in (*PEERS.values(), OWN)
        for method in service.methods
        if method.GetOptions().HasExtension(annotations_pb2.http)
    }
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert document["openapi"] == "3.1.0"
    assert len(operations) == len(bound)


async def test_every_problem_type_leads_to_a_page_that_says_what_to_do(call: Call) -> None:
    for entry in catalogue().values():
        page = await call("GET", f"/problems/{entry.slug}", token="")
        assert page.status == 200
        assert entry.reason in page.raw.decode()
        assert entry.remedy
    assert (await call("GET", "/problems/no-such-thing", token="")).status == 404


async def test_health_answers_without_a_token(call: Call) -> None:
    assert (await call("GET", "/livez", token="")).json == {"alive": True}
    assert (await call("GET", "/readyz", token="")).json == {
        "ready": True,
        "failing": [],
        "degraded": [],
    }


async def test_anybody_learns_what_is_not_ready_and_only_operators_why() -> None:
    async def away() -> str:
        return "10.0.0.7:9092 does not answer"

    probes, app = Probes("gateway", "test"), FastAPI()
    probes.checks["live-tail"] = probes.standing["relay"] = away
    mount_probes(app, probes)

    answer = await request(app, "GET", "/readyz", {})

    assert answer.status == 503
    assert answer.json == {"ready": False, "failing": ["live-tail"], "degraded": ["relay"]}


async def test_metrics_are_for_operators_and_not_on_the_public_port(call: Call) -> None:
    assert (await call("GET", "/metrics", token="")).status == 404


async def test_a_problem_names_its_address_as_a_uri(call: Call) -> None:
    answer = await call("GET", "/v1/Ã:x")

    assert (answer.status, answer.json["instance"]) == (404, "/v1/%C3%83:x")


@pytest.mark.parametrize("start", ["/v1/", "/"])
async def test_a_refusal_does_not_send_a_long_address_back(call: Call, start: str) -> None:
    answer = await call("GET", start + "x" * 20_000, token="")

    assert answer.status in (401, 404)
    assert len(answer.raw) < 2_000


async def test_what_if_match_is_refused_with_is_declared(call: Call) -> None:
    document = (await call("GET", "/openapi.json")).json

    triage = document["paths"]["/v1/jobs/{job}:triage"]["post"]["responses"]

    assert "STALE_VERSION" in triage["412"]["description"]


async def test_what_the_door_refuses_is_declared_at_every_operation(call: Call) -> None:
    document = (await call("GET", "/openapi.json", token="")).json
    operations = {
        each["operationId"]: each for path in document["paths"].values() for each in path.values()
    }

    def told(operation: str, status: str) -> str:
        return str(operations[operation]["responses"][status]["description"])

    for name in operations:
        assert "HOST_UNKNOWN" in told(name, "421")
        assert "HEADER_REPEATED" in told(name, "400")
        assert "CONTENT_ENCODING_UNSUPPORTED" in told(name, "415")
        assert "BODY_TOO_LARGE" in told(name, "413")
    for name in ("streamJobs", "readStream", "exportStream"):
        assert "TOO_MANY_AT_ONCE" in told(name, "429")
    assert "BODY_TOO_SLOW" in told("requestJob", "408")
    for reason in ("BODY_INCOMPLETE", "BODY_MISSING", "NAME_REPEATED"):
        assert reason in told("requestJob", "400")
    assert "BODY_MISSING" not in told("getJob", "400")


@pytest.mark.parametrize("body", [{}, {"labourRateMinor": None}])
async def test_a_number_that_is_required_is_not_taken_for_0(
    call: Call, service: FakeHandler, issuer: Issuer, body: object
) -> None:
    site = "/v1/sites/0190a5d2-7c1e-7b3a-9f00-000000000001"
    admin = issuer.token(roles=["admin"])

    refused = await call("POST", f"{site}:setLabourRate", body, token=admin, idempotency_key=KEY)
    zero = {"labourRateMinor": "0"}
    taken = await call("POST", f"{site}:setLabourRate", zero, token=admin, idempotency_key=KEY)

    told = [{"pointer": "/labourRateMinor", "detail": "is required"}]
    assert (refused.status, refused.json["errors"]) == (422, told)
    assert (taken.status, len(service.asked)) == (200, 1)
