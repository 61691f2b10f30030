"""Agents that do nothing but check in, each on a connection of its own, as devices do."""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from typing import NamedTuple

import msgspec

from sightloop.contracts.check_in import CheckIn, CheckInReply, SlotReport, StreamDeclaration
from sightloop.device.backoff import check_in_delay_s, retry_delay_s

TIMEOUT_S = 30.0
"""How long an agent waits for an answer."""


class Simulated(NamedTuple):
    """An enrolled device."""

    id: str
    token: str


class Attempt(NamedTuple):
    """One try to check in."""

    at_s: float
    took_s: float
    status: int
    """0 where no answer came."""


class Fleet:
    """All agents of one process; the waits between their check-ins are those of the real agent."""

    def __init__(self, host: str, port: int, agents: list[Simulated]) -> None:
        self._host, self._port = host, port
        self._bodies = [_request_of(one, host, port) for one in agents]
        self._rng = random.Random(1)
        self.attempts: list[Attempt] = []
        self.done_at_s: dict[int, float] = {}
        """When each agent first checked in well."""

    async def steady(self, seconds: float, every_s: float) -> None:
        """Check in at the pace the server asks for, from moments spread over one period."""
        due = [(self._rng.uniform(0, every_s), n, 0) for n in range(len(self._bodies))]
        await self._play(due, until_s=seconds, repeats=True)

    async def storm(self, within_s: float, limit_s: float) -> None:
        """Everybody comes back within so many seconds, and again as often as it takes."""
        due = [(self._rng.uniform(0, within_s), n, 0) for n in range(len(self._bodies))]
        await self._play(due, until_s=limit_s, repeats=False)

    async def _play(
        self, due: list[tuple[float, int, int]], *, until_s: float, repeats: bool
    ) -> None:
        heapq.heapify(due)
        self.attempts, self.done_at_s = [], {}
        start_s = time.perf_counter()
        under_way: set[asyncio.Task[None]] = set()

        async def come(agent: int, n_failures: int) -> None:
            at_s = time.perf_counter()
            status, answer, retry_after_s = await self._ask(agent)
            now_s = time.perf_counter()
            self.attempts.append(Attempt(at_s - start_s, now_s - at_s, status))
            if status == 200:
                self.done_at_s.setdefault(agent, now_s - start_s)
                if repeats:
                    asked_s = msgspec.json.decode(answer, type=CheckInReply).next_check_in_s
                    wait_s = check_in_delay_s(asked_s, rng=self._rng)
                    heapq.heappush(due, (now_s - start_s + wait_s, agent, 0))
            else:
                wait_s = retry_delay_s(n_failures + 1, rng=self._rng, retry_after_s=retry_after_s)
                heapq.heappush(due, (now_s - start_s + wait_s, agent, n_failures + 1))

        while (now_s := time.perf_counter() - start_s) < until_s:
            if not due and not under_way:
                break
            while due and due[0][0] <= now_s:
                _, agent, n_failures = heapq.heappop(due)
                task = asyncio.create_task(come(agent, n_failures))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(0.002)
        if under_way:
            await asyncio.wait(under_way)

    async def _ask(self, agent: int) -> tuple[int, bytes, float | None]:
        writer = None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                writer.write(self._bodies[agent])
                return _answer_of(await reader.read())
        except (OSError, TimeoutError):
            return 0, b"", None
        finally:
            if writer is not None:
                writer.close()


def _answer_of(reply: bytes) -> tuple[int, bytes, float | None]:
    head, _, body = reply.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    if not first.startswith(b"HTTP/1.1 "):
        return 0, b"", None
    headers = dict(line.lower().split(b": ", 1) for line in lines)
    retry_after = headers.get(b"retry-after")
    return int(first.split()[1]), body, None if retry_after is None else float(retry_after)


def _request_of(agent: Simulated, host: str, port: int) -> bytes:
    slot = SlotReport(
        slot="main", state="empty", running=None, assigned=None, counter=0, golden_passed=False,
        n_requests=1_000, n_failed=0, latency_p95_ms=12.5, problem="",
    )  # fmt: skip
    body = msgspec.json.encode(
        CheckIn(
            device=agent.id, agent_version="1", capabilities=["onnxruntime"], boot="boot_1",
            at_ms=1_700_000_000_000, streams=[StreamDeclaration("cam", "main", "line=a")],
            slots=[slot], n_spooled=0,
        )
    )  # fmt: skip
    head = (
        f"POST /device/v1/check-in HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: Bearer {agent.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
