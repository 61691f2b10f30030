"""The bookkeeping of every answered image: windows are counted, lanes decide what is kept.

Lives on the supervisor's event loop and touches no disk: what is worth sending goes to the outbox.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sightloop.contracts.check_in import StreamDeclaration, StreamPolicy
from sightloop.contracts.telemetry import Body, KeptImageBody, ProfileBody
from sightloop.device.image_request import ImageRequest
from sightloop.device.lanes import NO_DRAWS, Draws, Kept, StreamLanes
from sightloop.device.messages import Observed
from sightloop.device.settings import NO_STREAM
from sightloop.device.state import Installed
from sightloop.device.windows import ReferenceFacts, Window, WindowKey, stratum_of
from sightloop.kernel.clock import Clock
from sightloop.kernel.digests import Digest, digest_of


class Post(Protocol):
    """Where messages for the server go; never blocks."""

    def put(self, body: Body, *, image: bytes = b"") -> None:
        """Have the message spooled soon."""
        ...


Redact = Callable[[bytes, Callable[[bytes | None, str], None]], None]
"""Redacts an image and calls back with the result, or with None and the reason."""


class Recorder:
    """Windows and lanes of all streams of a device. Not for several threads."""

    def __init__(
        self,
        device: str,
        streams: list[StreamDeclaration],
        *,
        policies: list[StreamPolicy],
        post: Post,
        clock: Clock,
        seed: str,
    ) -> None:
        self._device = device
        self._post = post
        self._clock = clock
        self._policies = {stream.name: StreamPolicy(stream=stream.name) for stream in streams}
        self._lanes = {
            name: StreamLanes(policy, seed=f"{seed}:{name}", at_s=clock.monotonic_s())
            for name, policy in self._policies.items()
        }
        self._windows: dict[tuple[str, Digest], Window] = {}
        self.n_kept = 0
        self.n_not_redacted = 0
        """Images that would have been kept, but could not be redacted."""
        self.follow(policies)

    def follow(self, policies: list[StreamPolicy]) -> None:
        """Keep images by these policies from now on; streams that are not named go on as before."""
        for policy in policies:
            if policy.stream in self._policies:
                self._policies[policy.stream] = policy
                self._lanes[policy.stream].follow(policy)

    def draw(self, stream: StreamDeclaration) -> Draws:
        """Decide the random lanes for an image that has just arrived."""
        return NO_DRAWS if stream.name == NO_STREAM else self._lanes[stream.name].draw()

    def observe(
        self,
        request: ImageRequest,
        message: Observed,
        *,
        by: Installed,
        facts: ReferenceFacts,
        redact: Redact | None,
    ) -> None:
        """Count an answered image, and keep it when a lane wants it.

        Args:
            request: the image.
            message: what its worker computed beside the answer.
            by: the version that answered.
            facts: that version's reference.
            redact: what must be done to the image before it is kept; None when nothing.
        """
        if request.stream.name == NO_STREAM:
            return
        self._count(request, message, by=by, facts=facts)
        kept = self._lanes[request.stream.name].choose(
            request.draws, uncertainty=message.uncertainty, at_s=self._clock.monotonic_s()
        )
        if kept is None:
            return

        def keep(image: bytes | None, problem: str) -> None:  # noqa: ARG001 - counted, not worded
            if image is None:
                self.n_not_redacted += 1
            else:
                self._keep(request, message, kept, by=by, image=image)

        if redact is None:
            keep(request.content, "")
        else:
            redact(request.content, keep)

    def close_due(self) -> None:
        """Close the windows whose time is up."""
        now_s = self._clock.monotonic_s()
        for key, window in list(self._windows.items()):
            if window.is_due(self._policies[window.key.stream], now_s=now_s):
                self._close(key)

    def close_bundle(self, slot: str, bundle: Digest) -> None:
        """Close the windows of a bundle that left a slot."""
        for key, window in list(self._windows.items()):
            if (window.key.slot, window.key.bundle) == (slot, bundle):
                self._close(key)

    def close_all(self) -> None:
        """Close every window: the agent stops."""
        for key in list(self._windows):
            self._close(key)

    def _count(
        self, request: ImageRequest, message: Observed, *, by: Installed, facts: ReferenceFacts
    ) -> None:
        stream = request.stream
        key = (stream.name, by.bundle)
        window = self._windows.get(key)
        if window is None:
            described = WindowKey(
                device=self._device,
                stream=stream.name,
                slot=stream.slot,
                bundle=by.bundle,
                stratum=stratum_of(stream.stratum, facts),
            )
            window = self._windows[key] = Window(
                described, facts, at_ms=self._clock.now_ms(), opened_s=self._clock.monotonic_s()
            )
        reported = message.detections[: message.n_reported]
        window.add(message.bins, [found.class_index for found in reported])
        if window.is_due(self._policies[stream.name], now_s=self._clock.monotonic_s()):
            self._close(key)

    def _close(self, key: tuple[str, Digest]) -> None:
        window = self._windows.pop(key)
        self._post.put(ProfileBody(window.close(at_ms=self._clock.now_ms())))

    def _keep(
        self,
        request: ImageRequest,
        message: Observed,
        kept: Kept,
        *,
        by: Installed,
        image: bytes,
    ) -> None:
        self.n_kept += 1
        self._post.put(
            KeptImageBody(
                stream=request.stream.name,
                slot=request.stream.slot,
                bundle=by.bundle,
                image=digest_of(image),
                group=request.group,
                captured_at_ms=request.admitted_at_ms,
                lane=kept.lane,
                inclusion_probability=kept.inclusion_probability,
                uncertainty=message.uncertainty,
                descriptor=message.descriptor,
                detections=message.detections,
            ),
            image=image,
        )
