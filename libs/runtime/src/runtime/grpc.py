"""The gRPC server with health and reflection, and the long-lived channels to peers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as aio_health
from grpc_reflection.v1alpha import reflection

from runtime.calls import Calls, method_of
from runtime.settings import Grpc
from runtime.workload import SignedStream, SignedUnary, WorkloadTokens

Servicer = TypeVar("Servicer")
Add: TypeAlias = Callable[[Servicer, Any], None]

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes: a page of 200 sites with all the bays they can have takes 8.4 million. Others have 4 MiB."""
BOTH_SIDES = (
    ("grpc.max_metadata_size", 65_536),
    ("grpc.absolute_max_metadata_size", 65_536),
)
SERVER = (
    *BOTH_SIDES,
    ("grpc.so_reuseport", 0),  # a busy port is an error, not a second server
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
CHANNEL = (
    *BOTH_SIDES,
    ("grpc.max_receive_message_length", LARGEST_ANSWER),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Server:
    """Servicers are added before `start`; every call goes through `calls`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._health = aio_health.HealthServicer()
        self._server = grpc.aio.server(interceptors=[calls], options=SERVER)
        self._names: list[str] = []

    def add(self, add_to_server: Add[Servicer], servicer: Servicer) -> None:
        add_to_server(servicer, self)

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.ServiceRpcHandler]) -> None:
        """What generated code calls: notes the service's methods before the server gets them."""
        for handler in handlers:
            self._note(str(handler.service_name()))
        self._server.add_generic_rpc_handlers(tuple(handlers))

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self._server.add_registered_method_handlers(service, handlers)

    def _note(self, service: str) -> None:
        self._names.append(service)
        descriptor = descriptor_pool.Default().FindServiceByName(service)
        methods = map(method_of, descriptor.methods)
        self._calls.methods.update({method.path: method for method in methods})

    async def start(self, settings: Grpc) -> int:
        """Returns the port. Raises OSError where it is taken."""
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        address = f"{settings.host}:{settings.port}"
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"{address} is taken") from error
        await self._server.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self, grace: float) -> None:
        """Takes no new calls; those in progress have `grace` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


def channel(target: str, tokens: WorkloadTokens | None = None) -> grpc.aio.Channel:
    """One per peer and process. With `tokens` each call says that it is this service's own."""
    signed = [SignedUnary(tokens), SignedStream(tokens)] if tokens is not None else []
    return grpc.aio.insecure_channel(target, options=CHANNEL, interceptors=signed)
