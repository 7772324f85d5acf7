import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import aiohttp
import grpc
import pytest

from runtime.grpc import Server
from runtime.policy import Policies, PoliciesIncomplete
from runtime.service import Service
from runtime.supervision import MOST_BUGS
from testkit.tokens import Issuer
from testkit.topics import eventually

Message: TypeAlias = Any  # compiled while the tests run: no checker can know it

DEADLINE = 15.0


class SlowScales:
    Watch = Peek = None  # not called here

    def __init__(self, pb: ModuleType) -> None:
        self.pb = pb
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def Weigh(self, request: Message, _: object) -> Message:  # noqa: N802 -- gRPC's name
        self.begun.set()
        await self.go_on.wait()
        return self.pb.Weight(grams=7)


class Diligent:
    """A task that finishes what it has begun when told to stop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.finished = False

    async def run(self) -> None:
        await self.stopping.wait()
        self.finished = True

    def stop(self) -> None:
        self.stopping.set()


class Endless:
    begun = cancelled = False

    async def run(self) -> None:
        self.begun = True
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Doomed:
    async def run(self) -> None:
        raise OSError("the broker is gone")


async def test_what_runs_is_finished_before_the_process_ends(
    service: Service, pb: ModuleType, pb_grpc: ModuleType, issuer: Issuer
) -> None:
    scales = SlowScales(pb)
    service.grpc(pb_grpc.add_ProbeServiceServicer_to_server, scales)
    await service.start()
    request = pb.WeighRequest(
        short_title="crate", kind=1, marks=["a", "b"], main_part=pb.Part(part_number="p1")
    )

    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        stub = pb_grpc.ProbeServiceStub(channel)
        metadata = (("authorization", f"Bearer {issuer.token()}"),)
        running = asyncio.ensure_future(stub.Weigh(request, metadata=metadata))
        await scales.begun.wait()
        stopping = asyncio.create_task(service.__aexit__())
        await asyncio.wait_for(_refused(service.port), DEADLINE)
        assert not stopping.done()
        scales.go_on.set()
        answer = await running
        await stopping

    assert answer.grams == 7


async def _refused(port: int) -> None:
    """Returns once nothing listens there any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        writer.close()
        await asyncio.sleep(0)


async def test_tasks_finish_or_are_cancelled_and_what_was_entered_first_closes_last(
    service: Service,
) -> None:
    closed: list[str] = []

    class Resource:
        def __init__(self, name: str) -> None:
            self.name = name

        async def __aenter__(self) -> str:
            return self.name

        async def __aexit__(self, *_: object) -> None:
            closed.append(self.name)

    diligent, endless = Diligent(), Endless()
    assert await service.enter(Resource("pool")) == "pool"
    await service.enter(Resource("producer"))
    service.run(diligent)
    service.run(endless)
    await service.start()
    await eventually(lambda: endless.begun)

    await service.__aexit__()

    assert (diligent.finished, endless.cancelled) == (True, True)
    assert closed == ["producer", "pool"]


async def test_a_task_that_dies_of_the_same_bug_again_and_again_ends_the_service(
    service: Service,
) -> None:
    service.run(Doomed())
    await service.start()

    assert await asyncio.wait_for(service.ended(), DEADLINE) is False


async def test_a_service_with_a_method_nobody_may_call_does_not_start(
    service: Service, pb: ModuleType, pb_grpc: ModuleType
) -> None:
    service.policies = Policies("")
    service.grpc(pb_grpc.add_ProbeServiceServicer_to_server, SlowScales(pb))

    with pytest.raises(PoliciesIncomplete, match="ProbeService/Weigh"):
        await service.start()


async def test_a_busy_port_is_named(service: Service, pb: ModuleType, pb_grpc: ModuleType) -> None:
    service.grpc(pb_grpc.add_ProbeServiceServicer_to_server, SlowScales(pb))
    await service.start()

    with pytest.raises(OSError, match=rf"127\.0\.0\.1:{service.port} is taken"):
        await Server(service._calls).start(
            service.settings.grpc.model_copy(update={"port": service.port})  # type: ignore[attr-defined]  # event-sourced
        )


async def test_operators_see_what_is_not_ready(service: Service) -> None:
    async def broken() -> None:
        raise ConnectionError("no route")

    async def lagging() -> str:
        return "12 s behind"

    async def fine() -> None:
        return None

    address = f"http://127.0.0.1:{service.admin_port}"
    async with aiohttp.ClientSession() as session:
        assert [
            await _status(session, f"{address}/{path}") for path in ("livez", "startupz", "readyz")
        ] == [200, 503, 503]
        await service.start()
        assert [await _status(session, f"{address}/{path}") for path in ("startupz", "readyz")] == [
            200,
            200,
        ]

        service.ready("database", broken)
        service.ready("projection", lagging)
        service.ready("broker", fine)
        async with session.get(f"{address}/readyz") as answer:
            body = await answer.json()

        assert answer.status == 503
        assert body["failing"] == {
            "database": "ConnectionError: no route",
            "projection": "12 s behind",
        }
        assert body["degraded"] == {}
        async with session.get(f"{address}/version") as answer:
            assert (await answer.json())["service"] == "probe"
        assert await _status(session, f"{address}/metrics") == 200


async def test_what_requests_do_not_need_is_told_and_costs_nobody_a_process_that_works(
    service: Service,
) -> None:
    async def away() -> str:
        return "the broker does not answer"

    service.degraded("kafka", away)
    await service.start()

    address = f"http://127.0.0.1:{service.admin_port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        assert answer.status == 200
        assert await answer.json() == {
            "ready": True,
            "failing": {},
            "degraded": {"kafka": "the broker does not answer"},
        }


async def _status(session: aiohttp.ClientSession, address: str) -> int:
    async with session.get(address) as answer:
        return answer.status


async def test_a_peer_without_an_address_is_named(service: Service) -> None:
    with pytest.raises(SystemExit, match="PROBE__PEERS__VEHICLE: field required"):
        service.peer("vehicle")


PROGRAM = """
import asyncio, sys
from runtime.service import Service, run
from runtime.settings import ServiceSettings

class Settings(ServiceSettings, env_prefix="TINY__"):
    pass

class Task:
    async def run(self):
        print("running", flush=True)
        if sys.argv[1] == "dies":
            raise OSError("the broker is gone")
        await asyncio.Event().wait()

async def main(settings: Settings, service: Service) -> None:
    if sys.argv[1] == "cannot start":
        raise OSError("127.0.0.1:8201 is taken")
    service.run(Task())

run(main, Settings)
"""
ENVIRONMENT = {
    "TINY__ADMIN__PORT": "0",
    "TINY__CURSOR_KEY": "A" * 43 + "=",
    "TINY__IDENTITY__ISSUER": "x",
    "TINY__IDENTITY__JWKS_URL": "x",
    "TINY__IDENTITY__AUDIENCE": "x",
    "TINY__WORKLOAD__TOKEN_URL": "x",
    "TINY__WORKLOAD__CLIENT_ID": "x",
    "TINY__WORKLOAD__CLIENT_SECRET": "x",
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(PROGRAM)
    return path


def started(program: Path, how: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603 -- our own program
        [sys.executable, str(program), how],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def processes() -> Iterator[list["subprocess.Popen[str]"]]:
    made: list[subprocess.Popen[str]] = []
    yield made
    for process in made:
        process.kill()
        process.communicate()


def test_a_process_whose_task_dies_again_and_again_dies_and_says_why_once(program: Path) -> None:
    process = started(program, "dies", ENVIRONMENT)

    out, err = process.communicate(timeout=DEADLINE)

    assert (process.returncode, err) == (1, "")
    assert [
        line for line in out.splitlines() if '"task_died"' in line and "the broker is gone" in line
    ]
    assert out.count("running") == MOST_BUGS
    assert (out.count("task_died"), out.count("task_given_up")) == (1, 1)


def test_a_process_that_cannot_start_says_why(program: Path) -> None:
    process = started(program, "cannot start", ENVIRONMENT)

    out, err = process.communicate(timeout=DEADLINE)

    assert (process.returncode, err) == (1, "")
    assert "127.0.0.1:8201 is taken" in out


def test_a_process_without_its_settings_names_them_and_nothing_else(program: Path) -> None:
    process = started(program, "", ENVIRONMENT | {"TINY__ADMIN__PORT": ""})

    out, err = process.communicate(timeout=DEADLINE)

    assert process.returncode == 1
    assert err.startswith("TINY__ADMIN__PORT: ")
    assert "Traceback" not in out + err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_asked_to_end_does_so_in_time(
    number: signal.Signals, program: Path, processes: list["subprocess.Popen[str]"]
) -> None:
    process = started(program, "", ENVIRONMENT)
    processes.append(process)
    assert process.stdout is not None
    while "running" not in process.stdout.readline():
        assert process.poll() is None

    asked = time.monotonic()
    process.send_signal(number)
    process.wait(DEADLINE)

    assert process.returncode == 0
    assert time.monotonic() - asked < 10


def test_a_process_forgets_the_keys_of_its_issuer_when_told_and_goes_on(
    program: Path, processes: list["subprocess.Popen[str]"]
) -> None:
    process = started(program, "", ENVIRONMENT)
    processes.append(process)
    assert process.stdout is not None
    while "running" not in process.stdout.readline():
        assert process.poll() is None

    process.send_signal(signal.SIGHUP)
    while "issuer_keys_forgotten" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)

    assert process.wait(DEADLINE) == 0
