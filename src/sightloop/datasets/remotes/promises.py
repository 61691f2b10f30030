"""What to say when an image is asked for that was left at a remote."""

from __future__ import annotations

from collections.abc import Callable

from sightloop.datasets.remotes.store import promising_remote
from sightloop.kernel.blobs import BlobMissing
from sightloop.kernel.database import Database
from sightloop.kernel.digests import Digest, short


class BlobPromised(BlobMissing):
    """An image is not here because it was not pulled; a remote has it."""

    code = "DATA-059"
    http_status = 409

    def __init__(self, *, digest: Digest, remote: str) -> None:
        super(BlobMissing, self).__init__(
            f"image {short(digest)} was not pulled, it is still at remote {remote}; fetch all that "
            f"is missing with `sightloop data pull --from {remote}`, or what you need with "
            "--class, --split, --slice, --tag or --lane",
            digest=digest,
            remote=remote,
        )


def explain_missing(db: Database) -> Callable[[Digest], BlobMissing]:
    """Gives a blob store the reason why it lacks a blob."""

    def explain(digest: Digest) -> BlobMissing:
        with db.read() as tx:
            remote = promising_remote(tx, digest)
        if remote is None:
            return BlobMissing(digest=digest)
        return BlobPromised(digest=digest, remote=remote)

    return explain
