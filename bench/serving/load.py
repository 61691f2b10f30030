"""`load.py PLAN`: clients that ask a server over kept connections and forget nothing they see.

Stands alone. A plan is JSON: `host`, `port`, `bodies` (MessagePack of [path, headers, body]),
`seconds`, and either `clients` (closed loop: each asks again when it is answered) or `per_second`
(open loop: asks at that rate whatever becomes of the answers, and counts from when it was due).
Writes JSON to `out`: for each request when it was due, how long it took and what was wrong, and the
processor time of this process itself.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import msgspec

TIMEOUT_S = 60.0


class Seen:
    """What became of the requests."""

    def __init__(self) -> None:
        self.due_s: list[float] = []
        self.latencies_s: list[float] = []
        self.failures: list[str] = []


class Connection:
    """One kept connection; opened again when the server closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> str:
        """What was wrong with the answer; empty when nothing was. Never asks twice."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._ask(request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            self.close()
            return repr(error)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _ask(self, request: bytes) -> str:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=1 << 20)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in head:
            body = await self._chunks(reader)
        else:
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return "" if status == 200 else f"{status} {body[:200]!r}"

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body


async def closed_loop(plan: dict, requests: list[bytes], seen: Seen) -> None:
    until_s = time.perf_counter() + plan["seconds"]

    async def client(number: int) -> None:
        connection, turn = Connection(plan["host"], plan["port"]), number
        while (start_s := time.perf_counter()) < until_s:
            await one(connection, requests[turn % len(requests)], start_s, seen)
            turn += plan["clients"]
        connection.close()

    await asyncio.gather(*(client(number) for number in range(plan["clients"])))


async def open_loop(plan: dict, requests: list[bytes], seen: Seen) -> None:
    idle: list[Connection] = []
    asking: set[asyncio.Task[None]] = set()
    begin_s, number = time.perf_counter(), 0
    stop = Path(plan["stop"]) if plan.get("stop") else None

    async def ask(due_s: float, request: bytes) -> None:
        connection = idle.pop() if idle else Connection(plan["host"], plan["port"])
        await one(connection, request, due_s, seen)
        idle.append(connection)

    while True:
        due_s = begin_s + number / plan["per_second"]
        if due_s > begin_s + plan["seconds"] or (stop and number % 20 == 0 and stop.exists()):
            break
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        task = asyncio.create_task(ask(due_s, requests[number % len(requests)]))
        asking.add(task)
        task.add_done_callback(asking.discard)
        number += 1
    if asking:
        await asyncio.wait(asking)


async def one(connection: Connection, request: bytes, due_s: float, seen: Seen) -> None:
    failure = await connection.ask(request)
    seen.latencies_s.append(time.perf_counter() - due_s)
    seen.due_s.append(due_s)
    seen.failures.append(failure)


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    bodies = msgspec.msgpack.decode(Path(plan["bodies"]).read_bytes())
    requests = [request_of(plan, *body) for body in bodies]
    seen, begin_s = Seen(), time.perf_counter()
    # To the clock that others on this machine write down, so that swaps can be found in it.
    epoch_s = time.time() - begin_s
    asyncio.run((open_loop if "per_second" in plan else closed_loop)(plan, requests, seen))
    wall_s = time.perf_counter() - begin_s
    spent = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "due_at_s": [epoch_s + due_s for due_s in seen.due_s],
        "latencies_s": seen.latencies_s,
        "failures": [failure for failure in seen.failures if failure][:20],
        "n_failed": sum(bool(failure) for failure in seen.failures),
        "wall_s": wall_s,
        "client_cpu_s": spent.ru_utime + spent.ru_stime,
    }
    Path(plan["out"]).write_text(json.dumps(found))


def request_of(plan: dict, path: str, headers: dict, body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {plan['host']}:{plan['port']}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


if __name__ == "__main__":
    main()
