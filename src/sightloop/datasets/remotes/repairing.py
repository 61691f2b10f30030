"""A remote as the place from which a damaged store is mended; see `upkeep.verifying.Source`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sightloop.datasets.keys import object_key
from sightloop.datasets.remotes.connecting import Remote
from sightloop.datasets.remotes.key_columns import KeyColumn
from sightloop.datasets.remotes.sources import Source, reading
from sightloop.kernel.digests import Digest, digest_of


class RepairSource:
    """Gives bytes by their digests, each checked. Lives as long as `repair_source`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def objects(self, digests: Collection[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Those of the rows, nodes, taxonomies and commits that the remote has.

        Raises:
            RemoteDamaged: after all others, when some of what it has is damaged itself.
        """
        for one in self._source.objects(_column(digests)):
            yield digest_of(one.content), one.content

    def images(self, digests: Collection[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Those of the images that the remote has.

        Raises:
            RemoteDamaged: after all others, when some of what it has is damaged itself.
        """
        for _, blob in self._source.blobs(_column(digests)):
            content = blob.read_bytes() if isinstance(blob, Path) else blob
            yield digest_of(content), content


@contextmanager
def repair_source(remote: Remote) -> Iterator[RepairSource]:
    """The remote, listed and ready.

    Raises:
        NotFound: nothing was pushed there yet.
        RemoteUnavailable: it does not answer.
        RemoteDenied: the credentials do not allow it.
        RemoteDamaged: one of its indexes has changed.
    """
    with reading(remote) as source:
        source.packs.refresh(source.requests)
        source.metadata.refresh(source.requests)
        yield RepairSource(source)


def _column(digests: Collection[Digest]) -> KeyColumn:
    return KeyColumn.of(object_key(one) for one in digests)
