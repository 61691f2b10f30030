import random
import threading

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from sightloop.contracts.telemetry import TelemetryBatch
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.database import metadata
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call, Workspace
from sightloop.telemetry import store
from sightloop.telemetry.acceptance import MAX_ENVELOPES
from sightloop.telemetry.errors import BatchTooLarge, ImpossibleEnvelope, SentForAnother
from sightloop.telemetry.services import IMAGES_KEPT, SEQUENCE_REUSED, store_batch
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import fresh_workspace

EACH_KIND = ["telemetry_profiles", "telemetry_kept_images", "telemetry_swaps", "telemetry_health"]


def rows(workspace: Workspace, table: str, *, without: tuple[str, ...] = ()) -> list[dict]:
    with workspace.db.read() as tx:
        found = [dict(row) for row in tx.execute(select(metadata.tables[table])).mappings()]
    kept = [{name: value for name, value in row.items() if name not in without} for row in found]
    return sorted(kept, key=str)


def one_of_each(sender, image):
    return [
        sender.profile(1),
        sender.kept(2, image),
        sender.swap(3),
        sender.health(4),
        sender.dropped(5),
    ]


def test_every_kind_of_envelope_lands_in_its_own_table(workspace, sender, pictures):
    reply = sender.send(one_of_each(sender, sender.upload(pictures[0])))
    assert reply.stored == [1, 2, 3, 4, 5]
    assert [len(rows(workspace, table)) for table in [*EACH_KIND, "telemetry_dropped"]] == [1] * 5


def test_a_batch_sent_twice_is_acknowledged_twice_and_stored_once(workspace, sender):
    first = sender.send([sender.profile(1), sender.profile(2)])
    before = rows(workspace, "telemetry_profiles")
    assert sender.send([sender.profile(1), sender.profile(2)]) == first
    assert rows(workspace, "telemetry_profiles") == before


def test_two_devices_may_use_the_same_sequence(workspace, sender, other_sender):
    sender.send([sender.profile(1)])
    other_sender.send([other_sender.profile(1)])
    assert len(rows(workspace, "telemetry_profiles")) == 2


def test_an_envelope_twice_in_one_batch_is_stored_once(workspace, sender):
    assert sender.send([sender.swap(1), sender.swap(1)]).stored == [1]
    assert len(rows(workspace, "telemetry_swaps")) == 1


def test_a_late_envelope_is_stored_like_any_other(workspace, sender):
    sender.send([sender.profile(900)])
    sender.send([sender.profile(2)])
    with workspace.db.read() as tx:
        assert [each.profile.started_at_ms for each in store.profiles_after(tx, 0)] == [90_000, 200]


def test_a_kept_image_waits_for_its_bytes(workspace, sender, pictures):
    envelope = sender.kept(7, digest_of(pictures[0]))
    reply = sender.send([envelope, sender.swap(8)])
    assert (reply.stored, reply.missing_blobs) == ([8], [digest_of(pictures[0])])
    sender.upload(pictures[0])
    assert sender.send([envelope]).stored == [7]


def test_a_blob_that_is_no_image_does_not_make_a_kept_image(workspace, sender):
    digest = workspace.blobs.put(b"weights, not pixels")
    assert sender.send([sender.kept(1, digest)]).missing_blobs == [digest]


def test_a_stored_kept_image_is_acknowledged_even_when_its_blob_was_lost(
    workspace, sender, pictures
):
    image = sender.upload(pictures[0])
    sender.send([sender.kept(1, image)])
    workspace.blobs.local_path(image).unlink()
    assert sender.send([sender.kept(1, image)]).stored == [1]


def test_a_sequence_used_again_for_something_else_is_told_and_not_stored(workspace, sender):
    sender.send([sender.profile(1)])
    assert sender.send([sender.swap(1)]).stored == [1]
    assert rows(workspace, "telemetry_swaps") == []
    with workspace.db.read() as tx:
        (event,) = history(tx)
    assert (event.kind, event.data["sequences"]) == (SEQUENCE_REUSED, [1])


def test_a_batch_with_kept_images_tells_one_event_about_all_of_them(workspace, sender, pictures):
    images = [sender.upload(content) for content in pictures[:2]]
    sender.send([sender.kept(1, images[0]), sender.kept(2, images[1], lane="drift", stream="b")])
    with workspace.db.read() as tx:
        (event,) = history(tx)
        ids = [kept.id for kept in store.list_kept(tx)]
    assert event.kind == IMAGES_KEPT
    assert sorted(event.data.pop("kept")) == sorted(ids)
    assert event.data == {"device": "dev_1", "lanes": ["audit", "drift"], "streams": ["cam", "b"]}


def test_a_batch_of_profiles_tells_nothing(workspace, sender):
    sender.send([sender.profile(1)])
    with workspace.db.read() as tx:
        assert history(tx) == []


def test_a_device_cannot_send_for_another(workspace, sender, other_sender):
    with pytest.raises(SentForAnother, match="dev_1 sent envelope 1 in the name of device dev_2"):
        sender.send([other_sender.profile(1)])
    with pytest.raises(SentForAnother) as refused:
        sender.send([sender.swap(1), sender.profile(2, device="dev_2")])
    assert refused.value.code == "TEL-300"
    assert rows(workspace, "telemetry_envelopes") == []


def test_a_person_cannot_send_telemetry(workspace):
    with pytest.raises(NotAllowed, match="act as a device"):
        store_batch(workspace, Call(LOCAL), TelemetryBatch(envelopes=[]))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"inclusion_probability": 0.0}, "inclusion_probability is 0.0"),
        ({"inclusion_probability": float("nan")}, "inclusion_probability is nan"),
        ({"uncertainty": 1.5}, "uncertainty is 1.5"),
        ({"image": "../../etc/passwd"}, "image: '../../etc/passwd' is not a digest"),
        ({"captured_at_ms": -1}, "captured_at_ms is -1"),
    ],
)
def test_an_impossible_kept_image_is_refused_by_name(sender, change, problem):
    with pytest.raises(ImpossibleEnvelope, match="envelope 3 of device dev_1") as refused:
        sender.send([sender.kept(3, **{"image": digest_of(b"x"), **change})])
    assert (refused.value.code, problem in refused.value.message) == ("TEL-102", True)


@pytest.mark.parametrize(
    "change",
    [
        {"latency_counts": [1, 2]},
        {"latency_bounds_ms": [9.0, 3.0]},
        {"n_failed": -1},
        {"ended_at_ms": 0},
        {"bundle": "v1"},
    ],
)
def test_an_impossible_health_window_is_refused(sender, change):
    with pytest.raises(ImpossibleEnvelope, match="nothing of its batch was stored"):
        sender.send([sender.health(3, **change)])


def test_a_profile_with_a_negative_count_is_refused(sender):
    with pytest.raises(ImpossibleEnvelope, match="a negative count of 'brightness'"):
        sender.send([sender.profile(1, counts={"brightness": [4, -1]})])


def test_a_sequence_beyond_what_the_database_counts_is_refused(sender):
    with pytest.raises(ImpossibleEnvelope, match="sequence is"):
        sender.send([sender.swap(2**63)])


def test_one_impossible_envelope_refuses_its_whole_batch(workspace, sender):
    with pytest.raises(ImpossibleEnvelope):
        sender.send([sender.swap(1), sender.health(2, n_requests=-1)])
    assert rows(workspace, "telemetry_envelopes") == []


def test_a_batch_beyond_the_limit_is_refused(sender):
    with pytest.raises(BatchTooLarge, match=f"at most {MAX_ENVELOPES}") as refused:
        sender.send([sender.swap(1)] * (MAX_ENVELOPES + 1))
    assert refused.value.code == "TEL-101"


def test_an_empty_batch_writes_nothing(workspace, sender):
    assert sender.send([]).stored == []
    assert rows(workspace, "telemetry_order") == [{"id": 1, "last_number": 0}]


def test_a_crash_before_any_write_is_healed_by_sending_again(workspace, sender, pictures):
    batch = one_of_each(sender, sender.upload(pictures[0]))
    plan = CrashPlan(before_write=0)
    with pytest.raises(SimulatedCrash):
        store_batch(crashing(workspace, plan), sender.call, TelemetryBatch(envelopes=batch))
    assert rows(workspace, "telemetry_envelopes") == []
    assert sender.send(batch).stored == [1, 2, 3, 4, 5]


def test_concurrent_senders_of_overlapping_batches_store_each_envelope_once(workspace, sender):
    everything = [sender.profile(sequence) for sequence in range(30)]
    replies = []

    def send(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(6):
            part = rng.sample(everything, k=12)
            replies.append((part, sender.send(part)))

    threads = [threading.Thread(target=send, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sender.send(everything)
    assert all(reply.stored == sorted(each.sequence for each in part) for part, reply in replies)
    assert len(rows(workspace, "telemetry_profiles")) == 30


def tables_after(device, pictures, batches: list[list[int]]) -> list[list[dict]]:
    """All tables but numbers and times, after these batches and at last everything once more.

    Below 8 an index names an envelope to send, above it a picture to upload.
    """
    first, second = pictures[:2]
    everything = one_of_each(device, digest_of(first))
    everything += [device.kept(6, digest_of(second)), device.profile(7), device.profile(8)]
    for batch in batches:
        device.send([everything[index] for index in batch if index < 8])
        for index in batch:
            if index >= 8:
                device.upload(pictures[index - 8])
    device.upload(first)
    device.upload(second)
    device.send(everything)
    tables = [*EACH_KIND, "telemetry_dropped", "telemetry_envelopes", "telemetry_images"]
    by_arrival = ("number", "stored_at_ms", "uploaded_at_ms")
    return [rows(device.workspace, table, without=by_arrival) for table in tables]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=8))
def test_any_interleaving_and_resending_gives_the_same_tables(
    tmp_path_factory, sender, pictures, batches
):
    found = []
    for each in ([], batches):
        workspace = fresh_workspace(tmp_path_factory.mktemp("any") / "workspace")
        found.append(tables_after(type(sender)(workspace), pictures, each))
        workspace.db.close()
    assert found[0] == found[1]


def test_a_batch_survives_the_wire_unchanged(workspace, sender, pictures):
    batch = TelemetryBatch(envelopes=one_of_each(sender, sender.upload(pictures[0])))
    sent = msgspec.json.decode(msgspec.json.encode(batch), type=TelemetryBatch)
    store_batch(workspace, sender.call, batch)
    store_batch(workspace, sender.call, sent)
    with workspace.db.read() as tx:
        assert SEQUENCE_REUSED not in {event.kind for event in history(tx)}
