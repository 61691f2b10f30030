"""Fingerprints are made once, and a lost or damaged file costs time and nothing else."""

import errno
import os

import numpy as np
import pytest

from sightloop.datasets.curation import fingerprints
from sightloop.datasets.curation.fingerprints import (
    fingerprint_path,
    fingerprints_for,
    forget_fingerprints,
    thumbnail_of,
)
from sightloop.datasets.keys import digest_of_key, object_key
from sightloop.inference.errors import UnreadableImage
from sightloop.kernel.workspace import Workspace
from tests.datasets.curation.conftest import as_jpeg, scene


@pytest.fixture
def images(workspace: Workspace) -> list:
    return [object_key(workspace.blobs.put(as_jpeg(scene(seed)))) for seed in range(5)]


def n_made(workspace: Workspace, images: list) -> int:
    """How many were looked at, by what the progress says."""
    steps: list[tuple[int, int]] = []
    fingerprints_for(workspace, images, lambda _, done, total: steps.append((done, total)))
    return len(steps)


def test_an_image_is_looked_at_once(workspace, images):
    assert n_made(workspace, images) > 0
    assert n_made(workspace, images) == 0


def test_kept_fingerprints_are_those_that_were_made(workspace, images):
    made, kept = (fingerprints_for(workspace, images).prints for _ in range(2))
    for one, other in zip(made, kept, strict=True):
        assert np.array_equal(one, other)


def test_rows_come_in_the_order_asked_for_and_may_repeat(workspace, images):
    once = fingerprints_for(workspace, images).prints.coarse
    asked = [images[3], images[0], images[3]]
    assert fingerprints_for(workspace, asked).prints.coarse.tolist() == once[[3, 0, 3]].tolist()


@pytest.mark.parametrize("spoil", [lambda old: old[:-1], lambda old: old[:40] + b"x" + old[41:]])
def test_a_damaged_file_is_made_anew(workspace, images, spoil):
    fingerprints_for(workspace, images)
    path = fingerprint_path(workspace)
    path.write_bytes(spoil(path.read_bytes()))
    assert n_made(workspace, images) > 0
    assert n_made(workspace, images) == 0


def test_missing_damaged_and_undecodable_images_are_named(workspace, images):
    missing = object_key("sha256:" + "0" * 64)
    text = object_key(workspace.blobs.put(b"no picture"))
    damaged = workspace.blobs.local_path(digest_of_key(images[1]))
    damaged.chmod(0o644)
    damaged.write_bytes(b"changed")
    found = fingerprints_for(workspace, [images[0], missing, text, images[1]])
    assert set(found.unreadable) == {digest_of_key(one) for one in (missing, text, images[1])}
    assert found.prints.has_look.tolist() == [True, False, False, False]
    assert found.n_unreadable == 3


def test_an_unreadable_image_is_tried_again_later(workspace, images):
    path = workspace.blobs.local_path(digest_of_key(images[0]))
    content = path.read_bytes()
    path.unlink()
    assert fingerprints_for(workspace, images).n_unreadable == 1
    path.write_bytes(content)
    assert fingerprints_for(workspace, images).n_unreadable == 0


def test_a_full_disk_costs_the_file_and_not_the_answer(workspace, images, monkeypatch):
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    assert fingerprints_for(workspace, images).n_unreadable == 0
    assert not fingerprint_path(workspace).exists()


def test_a_crash_before_any_write_leaves_a_file_that_can_be_used(workspace, images, monkeypatch):
    """Two images at a time and a file after each: three writes, and a crash before each of them."""
    monkeypatch.setattr(fingerprints, "_AT_ONCE", 2)
    monkeypatch.setattr(fingerprints, "_SAVE_EVERY", 2)
    plain = os.fsync
    for step in range(6):
        fingerprint_path(workspace).unlink(missing_ok=True)
        left = iter(range(step))

        def dying(descriptor: int, left: object = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            plain(descriptor)

        monkeypatch.setattr(os, "fsync", dying)
        with pytest.raises(KeyboardInterrupt):
            fingerprints_for(workspace, images)
        monkeypatch.setattr(os, "fsync", plain)
        assert fingerprints_for(workspace, images).n_unreadable == 0
        assert n_made(workspace, images) == 0


def test_forgetting_an_image_leaves_no_trace_of_it(workspace, images):
    fingerprints_for(workspace, images)
    forget_fingerprints(workspace, [digest_of_key(images[2])])
    assert images[2] not in fingerprint_path(workspace).read_bytes()
    assert n_made(workspace, [*images[:2], *images[3:]]) == 0


def test_a_file_that_is_no_image_is_refused_by_name():
    with pytest.raises(UnreadableImage, match=r"scan\.jpg"):
        thumbnail_of(b"GIF89a", name="scan.jpg")
