import msgspec
import pytest

from sightloop.datasets.errors import ImageErased
from sightloop.datasets.upkeep.erasing import EraseData, erase_data
from sightloop.datasets.upkeep.selecting import Wanted
from sightloop.inference.errors import UnreadableImage
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.config import Config, ServerConfig
from sightloop.kernel.digests import Digest, MalformedDigest, digest_of
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.workspace import Call
from sightloop.telemetry import store
from sightloop.telemetry.errors import UploadDiffers, UploadTooLarge
from sightloop.telemetry.services import store_upload
from sightloop.testing.workspaces import fresh_workspace


def test_an_uploaded_image_is_kept_with_its_size(workspace, sender, pictures):
    digest = sender.upload(pictures[0])
    with workspace.db.read() as tx:
        image = store.find_image(tx, digest)
    assert (image.width_px, image.height_px, image.media_type) == (16, 12, "image/png")
    assert workspace.blobs.read(digest) == pictures[0]


def test_uploading_again_changes_nothing(workspace, sender, clock, pictures):
    sender.upload(pictures[0])
    with workspace.db.read() as tx:
        before = store.find_image(tx, digest_of(pictures[0]))
    clock.advance(60)
    sender.upload(pictures[0])
    with workspace.db.read() as tx:
        assert store.find_image(tx, digest_of(pictures[0])) == before


def test_bytes_that_were_damaged_on_the_way_are_refused(workspace, sender, pictures):
    announced = digest_of(pictures[0])
    with pytest.raises(UploadDiffers, match="send it again") as refused:
        store_upload(workspace, sender.call, digest=announced, content=pictures[1])
    assert refused.value.code == "TEL-111"
    assert not workspace.blobs.has(announced)


def test_an_upload_under_a_name_that_is_no_digest_is_refused(workspace, sender, pictures):
    with pytest.raises(MalformedDigest):
        store_upload(workspace, sender.call, digest=Digest("../x"), content=pictures[0])


def test_a_truncated_image_is_refused_and_not_stored(workspace, sender, pictures):
    content = pictures[0][:-20]
    with pytest.raises(UnreadableImage, match="upload sha256"):
        sender.upload(content)
    assert not workspace.blobs.has(digest_of(content))


def test_an_image_over_the_limit_is_refused(tmp_path, sender, pictures):
    config = Config(server=ServerConfig(max_request_bytes=1024))
    workspace = fresh_workspace(tmp_path / "small", config=config)
    content = pictures[0] + bytes(2000)
    with pytest.raises(UploadTooLarge, match="the limit is 1024") as refused:
        store_upload(workspace, sender.call, digest=digest_of(content), content=content)
    assert (refused.value.code, refused.value.http_status) == ("TEL-110", 413)
    workspace.db.close()


def test_a_person_cannot_upload(workspace, pictures):
    with pytest.raises(NotAllowed):
        store_upload(workspace, Call(LOCAL), digest=digest_of(pictures[0]), content=pictures[0])


def test_an_image_nobody_uploaded_is_not_found(workspace):
    with workspace.db.read() as tx, pytest.raises(NotFound, match="uploaded image"):
        store.find_image(tx, digest_of(b"never"))


def test_a_kept_image_reads_back_as_it_was_sent(workspace, sender, pictures):
    envelope = sender.kept(1, sender.upload(pictures[0]))
    sender.send([envelope])
    with workspace.db.read() as tx:
        (kept,) = store.list_kept(tx)
        assert store.find_kept(tx, kept.id) == kept
    sent = msgspec.structs.asdict(envelope.body)
    assert {name: getattr(kept, name) for name in sent} == sent


def test_an_image_that_was_erased_is_neither_taken_nor_asked_for(workspace, sender, pictures):
    digest = sender.upload(pictures[0])
    request = EraseData(wanted=Wanted(images=[digest]), reason="asked")
    erase_data(workspace, Call(LOCAL), request)
    with pytest.raises(ImageErased, match="asked"):
        sender.upload(pictures[0])
    reply = sender.send([sender.kept(1, digest)])
    assert (reply.stored, reply.missing_blobs) == ([1], [])
    assert not workspace.blobs.has(digest)
    with workspace.db.read() as tx:
        assert store.list_kept(tx) == []
