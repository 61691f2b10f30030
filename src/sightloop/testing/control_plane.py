"""A control plane for agents under test: the real routes, formats and signatures, in one thread.

It keeps what agents send in memory, gives out what the test assigned, and can misbehave on
request: be away, break off downloads, send other bytes than it should.
"""

from __future__ import annotations

import http.server
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sightloop.contracts.agent_release import AGENT_SLOT, SELF_UPDATE
from sightloop.contracts.assignment import Assignment, SignedAssignment
from sightloop.contracts.check_in import (
    CheckIn,
    CheckInReply,
    EnrolReply,
    EnrolRequest,
    StreamPolicy,
)
from sightloop.contracts.decode import decode, encode
from sightloop.contracts.telemetry import Envelope, KeptImageBody, TelemetryBatch, TelemetryReply
from sightloop.kernel.digests import Digest, digest_of
from sightloop.testing.bundles import ToyBundle
from sightloop.testing.update_repository import UpdateRepository

Body = TypeVar("Body")

ENROL_TOKEN = "enrol-once"  # noqa: S105 - a token of tests only
DEVICE = "device_test"
DEVICE_TOKEN = "device-secret"  # noqa: S105 - a token of tests only


class ControlPlane:
    """What a test arranges and what it looks at afterwards. Thread-safe enough for one agent."""

    def __init__(self, models: list[str] | None = None) -> None:
        self.repository = UpdateRepository(models or ["blobs"])
        self.assignments: dict[str, SignedAssignment] = {}
        self.agent: SignedAssignment | None = None
        """Which agent devices should run."""
        self.policies: list[StreamPolicy] = []
        self.next_check_in_s = 0.3
        self.counter = 0
        """Of the assignment signed last."""
        self.manifests: dict[str, bytes] = {}
        """By target path."""
        self.blobs: dict[str, bytes] = {}
        """By digits."""
        self.check_ins: list[CheckIn] = []
        self.envelopes: dict[int, Envelope] = {}
        self.n_received: Counter[int] = Counter()
        """How often each sequence number arrived; stored once whatever it says."""
        self.images: dict[str, bytes] = {}
        self.blob_requests: list[tuple[str, str]] = []
        """Digits and Range header of every download."""
        self.away = False
        self.retry_after_s = ""
        self.break_after_bytes: int | None = None
        """Downloads end here, once, before the announced length."""
        self.refused_sequences: set[int] = set()
        """A batch that holds one of these is refused whole, as a server does with a broken one."""
        self.served_instead: dict[str, bytes] = {}
        """Other bytes to send for a blob."""
        self._tokens = {ENROL_TOKEN}
        self._port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    # --- arranging -------------------------------------------------------------------------------

    def add(self, bundle: ToyBundle) -> str:
        """Publish a signed version; its target path."""
        path = self.repository.add(bundle.manifest.model, bundle.digest, bundle.manifest_bytes)
        self.manifests[path] = bundle.manifest_bytes
        for content in bundle.files.values():
            self.blobs[_digits(digest_of(content))] = content
        return path

    def assign(
        self, bundle: ToyBundle, *, version: int, slot: str = "main", device: str = DEVICE
    ) -> Assignment:
        """Sign an assignment with the next counter and give it out from now on."""
        self.counter += 1
        assignment = Assignment(
            device=device,
            slot=slot,
            model=bundle.manifest.model,
            version=version,
            bundle=bundle.digest,
            counter=self.counter,
            issued_at_ms=1_700_000_000_000,
        )
        self.assignments[slot] = self.repository.sign(assignment)
        return assignment

    def offer_agent(self, manifest: bytes, wheels: list[bytes]) -> Digest:
        """Publish a release of the agent and assign it to the device."""
        release = digest_of(manifest)
        path = self.repository.add_agent(release, manifest)
        self.manifests[path] = manifest
        for wheel in wheels:
            self.blobs[_digits(digest_of(wheel))] = wheel
        self.counter += 1
        assignment = Assignment(
            device=DEVICE,
            slot=AGENT_SLOT,
            model=AGENT_SLOT,
            version=self.counter,
            bundle=release,
            counter=self.counter,
            issued_at_ms=1_700_000_000_000,
        )
        self.agent = self.repository.sign(assignment)
        return release

    def bodies(self, kind: type[Body]) -> list[Body]:
        """Every stored message of that kind, in order of sequence."""
        stored = [self.envelopes[number].body for number in sorted(self.envelopes)]
        return [body for body in stored if isinstance(body, kind)]

    # --- running ---------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where agents find it; the same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Answer from now on, on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(128)
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(self._app(), log_config=None, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Be gone, as after a power cut at the server's end."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._server.force_exit = True
            self._thread.join(10)
            self._server = self._thread = None

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/device/v1/enrol", self._enrol, methods=["POST"]),
                Route("/device/v1/check-in", self._check_in, methods=["POST"]),
                Route("/device/v1/telemetry", self._telemetry, methods=["POST"]),
                Route("/device/v1/blobs/{digits}", self._upload, methods=["PUT"]),
                Route("/tuf/metadata/{name}", self._metadata),
                Route("/tuf/targets/{path:path}", self._target),
                Route("/tuf/blobs/{digits}", self._blob),
            ]
        )

    # --- routes ----------------------------------------------------------------------------------

    async def _enrol(self, request: Request) -> Response:
        body = decode(await request.body(), EnrolRequest, what="enrolment")
        token = _bearer(request)
        if token not in self._tokens:
            return _problem(401, "the token was used before")
        self._tokens.discard(token)
        assert body.capabilities, "an agent says what it can do"
        return _json(
            EnrolReply(device=DEVICE, token=DEVICE_TOKEN, update_root=self.repository.root)
        )

    async def _check_in(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        check_in = decode(await request.body(), CheckIn, what="check-in")
        self.check_ins.append(check_in)
        return _json(
            CheckInReply(
                assignments=list(self.assignments.values()),
                policies=self.policies,
                next_check_in_s=self.next_check_in_s,
                server_time_ms=check_in.at_ms,
                update_version=self.repository.version,
                agent=self.agent if SELF_UPDATE in check_in.capabilities else None,
            )
        )

    async def _telemetry(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        batch = decode(await request.body(), TelemetryBatch, what="telemetry")
        if self.refused_sequences & {envelope.sequence for envelope in batch.envelopes}:
            return _problem(400, "an envelope breaks the rules")
        stored, missing = [], []
        for envelope in batch.envelopes:
            body = envelope.body
            if isinstance(body, KeptImageBody) and body.image not in self.images:
                missing.append(body.image)
                continue
            self.n_received[envelope.sequence] += 1
            self.envelopes.setdefault(envelope.sequence, envelope)
            stored.append(envelope.sequence)
        return _json(TelemetryReply(stored=stored, missing_blobs=missing))

    async def _upload(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        content = await request.body()
        if _digits(digest_of(content)) != request.path_params["digits"]:
            return _problem(400, "the bytes are not those of the name")
        self.images[digest_of(content)] = content
        return Response(status_code=204)

    async def _metadata(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        content = self.repository.files.get(request.path_params["name"])
        return Response(content) if content else _problem(404, "no such metadata")

    async def _target(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        content = self.manifests.get(request.path_params["path"])
        return Response(content) if content else _problem(404, "no such target")

    async def _blob(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        digits = request.path_params["digits"]
        content = self.served_instead.get(digits, self.blobs.get(digits))
        if content is None:
            return _problem(404, "no such blob")
        asked = request.headers.get("range", "")
        self.blob_requests.append((digits, asked))
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        part, status = content[begin:], 206 if asked else 200
        if self.break_after_bytes is not None:
            cut, self.break_after_bytes = part[: self.break_after_bytes], None
            headers = {"Content-Length": str(len(part))}
            return StreamingResponse(_breaking_off(cut), status_code=status, headers=headers)
        return Response(part, status_code=status)

    def _refusal(self, request: Request) -> Response | None:
        if self.away:
            headers = {"Retry-After": self.retry_after_s} if self.retry_after_s else {}
            return Response(status_code=503, headers=headers)
        if _bearer(request) != DEVICE_TOKEN:
            return _problem(401, "unknown device")
        return None


@contextmanager
def running_control_plane(models: list[str] | None = None) -> Iterator[ControlPlane]:
    """A control plane that answers until the block ends."""
    plane = ControlPlane(models)
    plane.start()
    try:
        yield plane
    finally:
        plane.stop()


@contextmanager
def running_static_files(plane: ControlPlane) -> Iterator[str]:
    """The plane's update files behind a server that asks for no token; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name http.server looks for
            kind, _, name = self.path.removeprefix("/tuf/").partition("/")
            # Of a target's name, the hash that TUF puts before it says nothing new here.
            folder, _, last = name.rpartition("/")
            plain = f"{folder}/{last.split('.', 1)[-1]}"
            files = plane.repository.files if kind == "metadata" else plane.manifests
            content = files.get(name, files.get(plain))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def _breaking_off(content: bytes) -> AsyncIterator[bytes]:
    yield content
    raise ConnectionResetError("the line went dead")


def _bearer(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def _json(record: msgspec.Struct) -> Response:
    return Response(encode(record), media_type="application/json")


def _problem(status: int, message: str) -> Response:
    body = {"error": {"code": "TEST", "message": message, "facts": {}}}
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _digits(digest: Digest) -> str:
    return digest.removeprefix("sha256:")
