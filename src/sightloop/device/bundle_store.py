"""Bundles on the device's disk: complete and verified, or not there.

A bundle is put together in `bundles/incoming/DIGITS/` and renamed to `bundles/DIGITS/` when its
last file is durable.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path

from sightloop.contracts.bundle import Bundle
from sightloop.contracts.decode import decode
from sightloop.device.bundle_files import MANIFEST_NAME, file_path
from sightloop.device.download import fetch_file
from sightloop.device.errors import NotEnoughSpace, UnsafeName
from sightloop.device.update_source import UpdateSource
from sightloop.kernel.digests import Digest
from sightloop.kernel.files import sync_filesystem, sync_folder, write_atomic

SPARE_BYTES = 64 << 20
"""What must stay free on the disk beside a bundle: state files, the spool's next segments."""

SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
"""A relative path that stays below its folder and hides nothing."""


class BundleStore:
    """The bundles of one home folder. One thread writes; workers of ours read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(exist_ok=True)

    def folder(self, bundle: Digest) -> Path:
        """Where the bundle is, or would be."""
        return self._root / bundle.removeprefix("sha256:")

    def has(self, bundle: Digest) -> bool:
        """Whether the bundle is complete on disk; whether it is intact, `verify_bundle` says."""
        return self.folder(bundle).exists()

    def install(self, bundle: Digest, manifest: bytes, source: UpdateSource) -> None:
        """Fetch what is missing and make the bundle appear. Safe to repeat after any failure.

        Raises:
            UnsafeName: the manifest names a file outside the bundle.
            NotEnoughSpace: the disk has no room for it.
            TamperedFile, ServerAway, ServerRefused, DiskFull: see `fetch_file`.
        """
        described = decode(manifest, Bundle, what=f"manifest of {bundle}")
        for file in described.files:
            if not SAFE_NAME.fullmatch(file.name):
                raise UnsafeName(name=file.name)
        coming = self._incoming / bundle.removeprefix("sha256:")
        coming.mkdir(exist_ok=True)
        missing = [file for file in described.files if not file_path(coming, file.name).exists()]
        require_space(self._root, sum(file.size_bytes for file in missing))
        for file in missing:
            fetch_file(source, file, into=file_path(coming, file.name))
        write_atomic(coming / MANIFEST_NAME, manifest)
        sync_filesystem(coming)
        coming.replace(self.folder(bundle))
        sync_folder(self._root)

    def keep_only(self, bundles: Collection[Digest]) -> None:
        """Remove every other bundle, complete or half fetched."""
        wanted = {bundle.removeprefix("sha256:") for bundle in bundles}
        for folder in [*self._root.iterdir(), *self._incoming.iterdir()]:
            if folder != self._incoming and folder.name not in wanted:
                shutil.rmtree(folder, ignore_errors=True)

    def remove(self, bundle: Digest) -> None:
        """Forget a bundle whose bytes have changed, so that it is fetched again."""
        shutil.rmtree(self.folder(bundle), ignore_errors=True)


def require_space(folder: Path, needed_bytes: int) -> None:
    """Return when so much fits on the folder's disk, and `SPARE_BYTES` more.

    Raises:
        NotEnoughSpace: it does not.
    """
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes + SPARE_BYTES > free_bytes:
        raise NotEnoughSpace(needed_bytes=needed_bytes, free_bytes=free_bytes, path=str(folder))
