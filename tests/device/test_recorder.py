import asyncio
from collections.abc import Callable

import pytest

from sightloop.contracts.bundle import Detection
from sightloop.contracts.check_in import StreamDeclaration, StreamPolicy
from sightloop.contracts.telemetry import Body, KeptImageBody, ProfileBody
from sightloop.device.image_request import ImageRequest
from sightloop.device.lanes import Draws
from sightloop.device.messages import Observed
from sightloop.device.recorder import Recorder
from sightloop.device.settings import NO_STREAM
from sightloop.device.state import Installed
from sightloop.device.windows import MeasureFacts, ReferenceFacts
from sightloop.kernel.digests import digest_of
from sightloop.testing.clock import ManualClock

STREAM = StreamDeclaration("cam1", "main", "line=A")
OLD, NEW = (Installed(bundle=digest_of(name), model="pcb", version=1) for name in (b"a", b"b"))
FACTS = ReferenceFacts([MeasureFacts("brightness", 2, {"": [0.25, 0.75]})], 2, [""])
POLICY = StreamPolicy(stream="cam1", window_images=3, window_s=60, uncertain_per_hour=0)


class Posted:
    """Keeps what would be spooled."""

    def __init__(self) -> None:
        self.sent: list[tuple[Body, bytes]] = []

    def put(self, body: Body, *, image: bytes = b"") -> None:
        self.sent.append((body, image))

    def profiles(self) -> list[ProfileBody]:
        return [body for body, _ in self.sent if isinstance(body, ProfileBody)]

    def kept(self) -> list[tuple[KeptImageBody, bytes]]:
        return [(body, image) for body, image in self.sent if isinstance(body, KeptImageBody)]


@pytest.fixture
def post() -> Posted:
    return Posted()


@pytest.fixture
def recorder(post: Posted, clock: ManualClock) -> Recorder:
    return Recorder("device_1", [STREAM], policies=[POLICY], post=post, clock=clock, seed="s")


def see(
    recorder: Recorder,
    *,
    by: Installed = OLD,
    draws: Draws = Draws(None, None),  # noqa: B008 - an immutable value
    redact: Callable[..., None] | None = None,
    stream: StreamDeclaration = STREAM,
) -> None:
    request = ImageRequest(
        id=1,
        content=b"original",
        stream=stream,
        group="board-7",
        pinned=None,
        draws=draws,
        admitted_at_ms=5,
        admitted_s=0.0,
        answer=asyncio.Future(loop=asyncio.new_event_loop()),
    )
    observed = Observed(
        id=1,
        bins=[1],
        uncertainty=0.4,
        descriptor=[1.0],
        detections=[Detection(1, 0.9, 0, 0, 1, 1), Detection(0, 0.1, 0, 0, 1, 1)],
        n_reported=1,
    )
    recorder.observe(request, observed, by=by, facts=FACTS, redact=redact)
    request.answer.get_loop().close()


def test_a_full_window_is_sent_and_the_next_begins(recorder, post):
    for _ in range(7):
        see(recorder)
    assert [body.profile.n_images for body in post.profiles()] == [3, 3]
    recorder.close_all()
    assert [body.profile.n_images for body in post.profiles()] == [3, 3, 1]


def test_a_request_of_no_camera_is_neither_counted_nor_kept(recorder, post):
    nowhere = StreamDeclaration(NO_STREAM, "main")
    see(recorder, stream=nowhere, draws=recorder.draw(nowhere))
    recorder.close_all()
    assert post.sent == []


def test_only_reported_objects_are_counted_by_class(recorder, post):
    see(recorder)
    recorder.close_all()
    assert post.profiles()[0].profile.class_counts == [0, 1]


def test_a_window_without_traffic_is_closed_by_the_clock(recorder, post, clock):
    see(recorder)
    clock.advance(59)
    recorder.close_due()
    assert post.profiles() == []
    clock.advance(1)
    recorder.close_due()
    assert post.profiles()[0].profile.n_images == 1


def test_two_bundles_are_never_counted_in_one_window(recorder, post):
    see(recorder, by=OLD)
    see(recorder, by=NEW)
    recorder.close_bundle("main", OLD.bundle)
    assert [body.profile.bundle for body in post.profiles()] == [OLD.bundle]


def test_a_stream_whose_stratum_the_reference_lacks_is_compared_with_all(recorder, post):
    see(recorder)
    recorder.close_all()
    assert post.profiles()[0].profile.stratum == ""


def test_an_image_no_lane_wants_is_not_kept(recorder, post):
    see(recorder)
    assert post.kept() == []


def test_a_kept_image_carries_its_facts_and_its_original_bytes(recorder, post):
    see(recorder, draws=Draws(audit=0.02, drift=None))
    ((body, image),) = post.kept()
    assert image == b"original"
    assert body.image == digest_of(b"original")
    assert (body.lane, body.inclusion_probability, body.group) == ("audit", 0.02, "board-7")
    assert len(body.detections) == 2


def test_what_is_kept_is_the_redacted_image(recorder, post):
    see(recorder, draws=Draws(0.02, None), redact=lambda _, done: done(b"blurred", ""))
    ((body, image),) = post.kept()
    assert (image, body.image) == (b"blurred", digest_of(b"blurred"))


def test_an_image_that_cannot_be_redacted_is_counted_and_not_kept(recorder, post):
    see(recorder, draws=Draws(0.02, None), redact=lambda _, done: done(None, "no"))
    assert post.kept() == []
    assert (recorder.n_kept, recorder.n_not_redacted) == (0, 1)


def test_policies_of_streams_that_are_not_ours_are_ignored(recorder):
    recorder.follow([StreamPolicy(stream="cam9", audit_rate=1.0)])
    assert recorder.draw(STREAM) == Draws(None, None)
