"""A process: what it enters, serves and runs; how it starts, dies and stops."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import cached_property
from typing import Any, Self, TypeVar

import aiohttp
import structlog
import uvloop
from grpc.aio import Channel
from pydantic import SecretStr

from kernel.clock import Clock, SystemClock
from kernel.ids import IdGenerator, Uuid7
from runtime import database, logs, usage
from runtime.admin import Check, Probes, served
from runtime.calls import Calls, Wait
from runtime.context import Means
from runtime.grpc import Add, Server, Servicer, channel
from runtime.identity import TokenVerifier, fetch_by
from runtime.policy import Policies
from runtime.positions import Seals
from runtime.settings import ServiceSettings, SettingsT, StoringSettings, load
from runtime.supervision import Supervised, Task
from runtime.telemetry import Telemetry
from runtime.usage import LoopLag
from runtime.workload import WorkloadTokens

EVENT_LOG_POLICIES = "bayline/event/v1/policies.cedar"
DRAIN_SECONDS = 4.0
TASK_SECONDS = 4.0
CLOSE_SECONDS = 1.5
COLLECT_AFTER = 10_000

Entered = TypeVar("Entered")
log = structlog.get_logger()


class Service:
    """One per process. What is entered first is closed last."""

    def __init__(self, settings: ServiceSettings, *, traces: bool = False) -> None:
        self.name = settings.service()
        self.traces = traces  # whether spans go anywhere; where they do not, none are made
        self.settings = settings
        self.clock: Clock = SystemClock()
        self.ids: IdGenerator = Uuid7()
        self.seals = Seals([key.get_secret_value() for key in settings.cursor_key])
        self.probes = Probes(self.name, settings.telemetry.build)
        self.port = 0  # of gRPC, once started
        self.admin_port = 0
        self._stack = AsyncExitStack()
        self._tasks = [Supervised(LoopLag())]
        self._running: dict[asyncio.Task[None], Supervised] = {}
        self._ended = asyncio.Event()
        self._failed = False

    async def enter(self, manager: AbstractAsyncContextManager[Entered]) -> Entered:
        return await self._stack.enter_async_context(manager)

    async def pool(
        self, dsn: SecretStr, name: str, *, limits: str = database.LIMITS
    ) -> database.Pool:
        """A pool whose database must answer for the service to be ready."""
        pool = await self.enter(database.pool(dsn, limits=limits))
        self._stack.enter_context(usage.observed(name, pool))

        async def answers() -> None:
            async with pool.connection(timeout=1) as connection:
                await connection.execute("SELECT 1")

        self.ready(name, answers)
        return pool

    def grpc(self, add_to_server: Add[Servicer], servicer: Servicer) -> None:
        self._grpc.add(add_to_server, servicer)

    def run(self, task: Task) -> None:
        """Runs it once everything is built. If it dies it is begun again, while requests go on."""
        supervised = Supervised(task)
        self._tasks.append(supervised)
        self.degraded(supervised.name, supervised.health)

    def ready(self, name: str, check: Check) -> None:
        """`check` raises, or returns what is wrong, while the service cannot do its work."""
        self.probes.checks[name] = check

    def degraded(self, name: str, check: Check) -> None:
        """`check` does so while something stands still that requests do not need at once."""
        self.probes.standing[name] = check

    def waits(self, wait: Wait) -> None:
        """How to wait, until a deadline of the loop's clock, for what a caller has seen (`bayline-after`)."""
        self._calls.waits.append(wait)

    def channel(self, peer: str) -> Channel:
        """To a peer by name, for calls that carry their caller's own token."""
        return self._channel(peer, None)

    def peer(self, peer: str) -> Channel:
        """To a peer by name, for calls this service makes on its own."""
        return self._channel(peer, self.tokens)

    @cached_property
    def policies(self) -> Policies:
        return Policies.load(f"bayline/{self.name}/v1/policies.cedar", EVENT_LOG_POLICIES)

    @cached_property
    def http(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession()
        self._stack.push_async_callback(session.close)
        return session

    @cached_property
    def verifier(self) -> TokenVerifier:
        identity = self.settings.identity
        return TokenVerifier(identity, fetch_by(self.http, identity.jwks_url), self.clock)

    @cached_property
    def tokens(self) -> WorkloadTokens:
        return WorkloadTokens(self.settings.workload, self.http)

    def _channel(self, peer: str, tokens: WorkloadTokens | None) -> Channel:
        if peer not in self.settings.peers:
            raise SystemExit(f"{self.name}__PEERS__{peer}".upper() + ": field required")
        made = channel(self.settings.peers[peer], tokens)
        self._stack.push_async_callback(made.close)
        return made

    @cached_property
    def _calls(self) -> Calls:
        assert isinstance(self.settings, StoringSettings)
        key = self.settings.fingerprint_key.get_secret_value()
        means = Means(self.clock, self.seals, key)
        return Calls(self.name, self.verifier, self.policies, means, self.ids, traces=self.traces)

    @cached_property
    def _grpc(self) -> Server:
        return Server(self._calls)

    async def __aenter__(self) -> Self:
        self.admin_port = await self.enter(served(self.probes, self.settings.admin))
        return self

    async def start(self) -> None:
        """Begins to answer and to run: after this the service is ready as soon as its checks pass."""
        if "_grpc" in vars(self):
            await self._start_grpc()
        for task in self._tasks:
            running = asyncio.create_task(task.run(), name=task.name)
            self._running[running] = task
            running.add_done_callback(self._task_ended)
        self.probes.started = True
        settle()
        log.info("service_started", port=self.port, admin_port=self.admin_port)

    async def _start_grpc(self) -> None:
        assert isinstance(self.settings, StoringSettings)
        self.policies.check_names(method.action for method in self._calls.methods.values())
        self.port = await self._grpc.start(self.settings.grpc)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if self._ended.is_set():
            return
        self._failed = True
        error = "cancelled" if task.cancelled() else repr(task.exception())
        log.error("task_given_up", task=task.get_name(), error=error)
        self.end()

    def end(self) -> None:
        self._ended.set()

    def forget_keys(self) -> None:
        """An operator has withdrawn a key that signs tokens, and nobody wants to wait for it."""
        if "verifier" in vars(self):
            self.verifier.forget_keys()
        log.info("issuer_keys_forgotten")

    async def ended(self) -> bool:
        """Waits for a signal, or for a task to die of one bug too often. True when asked to end."""
        await self._ended.wait()
        return not self._failed

    async def __aexit__(self, *_: object) -> None:
        """Takes no new calls, finishes those in progress, then the tasks, then closes what was entered.

        Each step has its share of ten seconds, and is left behind when it takes longer.
        """
        self._ended.set()
        self.probes.stopping = True
        if self.port:
            await _within(DRAIN_SECONDS + 0.5, self._grpc.stop(DRAIN_SECONDS), "grpc_not_drained")
        await self._stop_tasks()
        await _within(CLOSE_SECONDS, self._stack.aclose(), "resources_not_closed")
        log.info("service_stopped")

    async def _stop_tasks(self) -> None:
        for task in self._running.values():
            await _within(TASK_SECONDS, task.stop(), "task_not_stopped")
        if self._running:
            await asyncio.wait(self._running, timeout=TASK_SECONDS)
        late = [running for running in self._running if not running.done()]
        for running in late:
            log.warning("task_not_stopped", task=running.get_name())
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def settle(after: int = COLLECT_AFTER) -> None:
    """What start-up made stays: the collector need not look through it again and again.

    Nor through what requests make, which mostly goes by itself: it looks for cycles more rarely,
    whenever there are `after` values more than at the last time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(after, 20, 20)


async def _within(seconds: float, step: Awaitable[object], otherwise: str) -> None:
    try:
        async with asyncio.timeout(seconds):
            await step
    except TimeoutError:
        log.warning(otherwise, seconds=seconds)


def run(
    main: Callable[[SettingsT, Service], Coroutine[Any, Any, None]], settings_class: type[SettingsT]
) -> None:
    """The whole life of a process. Exit code 0 when it was asked to end, else 1."""
    settings = load(settings_class)
    logs.configure(settings.telemetry, settings.service())
    telemetry = Telemetry(settings)
    try:
        code = uvloop.run(_live(main, settings, traces=telemetry.traces))
    finally:
        telemetry.shutdown()
    sys.exit(code)


async def _live(
    main: Callable[[SettingsT, Service], Coroutine[Any, Any, None]],
    settings: SettingsT,
    *,
    traces: bool,
) -> int:
    service = Service(settings, traces=traces)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, service.end)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.forget_keys)
    try:
        async with service:
            await main(settings, service)
            await service.start()
            return 0 if await service.ended() else 1
    except Exception as error:
        log.error("start_failed", error=str(error), exc_info=error)  # noqa: TRY400 -- same, by keyword
        return 1
