"""How a service proves itself to its peers: client credentials, refreshed before they expire."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import aiohttp
import grpc
from grpc.aio import (
    ClientCallDetails,
    UnaryStreamCall,
    UnaryStreamClientInterceptor,
    UnaryUnaryCall,
    UnaryUnaryClientInterceptor,
)

from kernel.errors import Unavailable
from runtime import context
from runtime.settings import Workload
from runtime.telemetry import current_traceparent

Request = TypeVar("Request")
Response = TypeVar("Response")

FRESH_SHARE = 0.8  # of a token's life; then a new one is fetched


class WorkloadTokenUnavailable(Unavailable):
    pass


class WorkloadTokens:
    """One token for all callers: fetched by the first who needs it, while the others wait."""

    def __init__(self, settings: Workload, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session
        self._token = ""
        self._stale_at = self._dead_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def token(self) -> str:
        if time.monotonic() >= self._stale_at:
            async with self._fetching:
                await self._refresh()
        return self._token

    def forget(self, token: str) -> None:
        """It is not taken any more, though it has not expired: its issuer has withdrawn a key, say."""
        if token == self._token:
            self._stale_at = self._dead_at = float("-inf")

    async def _refresh(self) -> None:
        if time.monotonic() < self._stale_at:
            return
        try:
            await self._fetch_patiently()
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError) as error:
            if time.monotonic() >= self._dead_at:
                raise WorkloadTokenUnavailable("the issuer gives no token now") from error

    async def _fetch_patiently(self) -> None:
        """A connection kept alive may be to an issuer that has since been restarted."""
        try:
            await self._fetch()
        except (aiohttp.ClientConnectionError, ConnectionError):
            await self._fetch()

    async def _fetch(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret.get_secret_value(),
        }
        timeout = aiohttp.ClientTimeout(total=5)
        asked = time.monotonic()
        async with self._session.post(
            self._settings.token_url, data=form, timeout=timeout
        ) as answer:
            answer.raise_for_status()
            document = await answer.json(content_type=None)
        life = float(document.get("expires_in", 60))
        self._token = str(document["access_token"])
        self._stale_at, self._dead_at = asked + life * FRESH_SHARE, asked + life


def _signed(token: str, details: ClientCallDetails) -> ClientCallDetails:
    """The call with our token, the tenant it is made for, and the chain of causes."""
    sent = {key: value for key, value in details.metadata or () if isinstance(value, str)}
    metadata = _causes() | sent | {"authorization": f"Bearer {token}"}
    return ClientCallDetails(
        details.method,
        details.timeout,
        grpc.aio.Metadata(*metadata.items()),
        details.credentials,
        details.wait_for_ready,
    )


def _causes() -> dict[str, str]:
    if (errand := context.errand()) is not None:
        causes = {
            "bayline-tenant": errand.tenant,
            "bayline-correlation-id": errand.correlation_id,
            "bayline-causation-id": errand.causation_id,
            "traceparent": errand.traceparent,
        }
    elif (call := context.current()) is not None:
        causes = {"bayline-correlation-id": call.correlation_id, "traceparent": call.traceparent}
        if call.caller is not None:
            causes["bayline-tenant"] = call.caller.tenant
    else:
        causes = {}
    causes["traceparent"] = causes.get("traceparent") or current_traceparent()
    return {name: value for name, value in causes.items() if value}


class SignedUnary(UnaryUnaryClientInterceptor):
    def __init__(self, tokens: WorkloadTokens) -> None:
        self._tokens = tokens

    async def intercept_unary_unary(
        self,
        continuation: Callable[
            [ClientCallDetails, Request], Awaitable[UnaryUnaryCall[Request, Response]]
        ],
        client_call_details: ClientCallDetails,
        request: Request,
    ) -> Response | UnaryUnaryCall[Request, Response]:
        """Asks once more, with a new token, where the one it had is not good any more."""
        token = await self._tokens.token()
        call = await continuation(_signed(token, client_call_details), request)
        if await call.code() is not grpc.StatusCode.UNAUTHENTICATED:
            return call
        self._tokens.forget(token)
        return await continuation(_signed(await self._tokens.token(), client_call_details), request)


class SignedStream(UnaryStreamClientInterceptor):
    def __init__(self, tokens: WorkloadTokens) -> None:
        self._tokens = tokens

    async def intercept_unary_stream(
        self,
        continuation: Callable[
            [ClientCallDetails, Request], Awaitable[UnaryStreamCall[Request, Response]]
        ],
        client_call_details: ClientCallDetails,
        request: Request,
    ) -> AsyncIterator[Response] | UnaryStreamCall[Request, Response]:
        token = await self._tokens.token()
        return await continuation(_signed(token, client_call_details), request)
