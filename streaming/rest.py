"""REST requests inside the venue's budget."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
import structlog

from streaming.budget import WeightBudget
from streaming.clock import Clock
from streaming.venues import DecodeError, RestRequest, Venue

_log = structlog.get_logger("quant.rest")

_TIMEOUT_S = 10.0
_ATTEMPTS: Final = 8
_FIRST_WAIT_S: Final = 0.25
_REFUSED: Final = 400

_T = TypeVar("_T")


class RestError(OSError):
    """A request failed; the message says how. The budget already knows of refusals.

    Attributes:
        status: of the answer; None: there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RestClient:
    """Sends a venue's requests, each when the budget allows it.

    Args:
        base: REST address.
        budget: shared by everything that uses this address.
    """

    def __init__(self, base: str, venue: Venue, budget: WeightBudget, clock: Clock) -> None:
        self._base = base.rstrip("/")
        self._venue = venue
        self._clock = clock
        self.budget = budget
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        self._http = aiohttp.ClientSession(timeout=timeout, trust_env=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._http is not None
        await self._http.close()

    async def get(self, request: RestRequest, *, share: float = 1.0) -> bytes:
        """Send the request when the budget allows; returns the body.

        Args:
            share: part of the budget that this kind of request may use up.

        Raises:
            RestError: no answer, or one that is not 200.
        """
        assert self._http is not None
        await self._afford(request.weight, share)
        try:
            async with self._http.get(
                self._base + request.path, params=request.query, headers=request.headers
            ) as answer:
                body = await answer.read()
                status, headers = answer.status, answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RestError(f"{request.path}: {error or type(error).__name__}") from error
        self._learn(status, {name.lower(): value for name, value in headers.items()})
        if status != 200:
            detail = body[:200].decode("utf-8", "replace")
            raise RestError(f"{request.path}: HTTP {status} {detail}", status)
        return body

    async def _afford(self, weight: int, share: float) -> None:
        def due_s() -> float:
            return self.budget.wait_s(weight, self._clock.now_us() / 1e6, share)

        while wait_s := due_s():  # noqa: ASYNC110
            await asyncio.sleep(min(wait_s, 1.0))
        self.budget.spend(weight, self._clock.now_us() / 1e6)

    def _learn(self, status: int, headers: dict[str, str]) -> None:
        signal = self._venue.rate_signal(status, headers)
        now_s = self._clock.now_us() / 1e6
        if signal.used_weight is not None:
            self.budget.observe(signal.used_weight, now_s)
        if signal.is_refusal:
            self.budget.refuse(signal.retry_after_s, now_s)
            _log.warning("rest_refused", status=status, retry_after_s=signal.retry_after_s)


async def persist(fetch: Callable[[], Awaitable[_T]]) -> _T:
    """Ask again, ever later, until there is an answer; that the request is wrong (400) is one.

    Going too fast is waited out by the client's budget.

    Raises:
        RestError, DecodeError: as at the last attempt.
    """
    wait_s = _FIRST_WAIT_S
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await fetch()
        except (RestError, DecodeError) as error:
            is_refused = isinstance(error, RestError) and error.status == _REFUSED
            if attempt == _ATTEMPTS or is_refused:
                raise
            await asyncio.sleep(wait_s)
            wait_s *= 2
    raise AssertionError("unreachable")
