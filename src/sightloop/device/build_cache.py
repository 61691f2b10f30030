"""Builds of model files on the device's disk: complete and undamaged, or not there.

A build lies in `builds/DIGITS/`, where the digits are those of its key, with `build.json`: the key
and the digest of each file. It is made in `builds/incoming/` and renamed when everything in it is
durable, so a power cut leaves no half build. One whose bytes have changed is removed and made anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

import msgspec

from sightloop.contracts.builds import BuildKey
from sightloop.contracts.decode import WrongFormat, decode, encode
from sightloop.device.bundle_files import digest_of_file
from sightloop.kernel.digests import Digest
from sightloop.kernel.files import sync_filesystem, sync_folder, write_atomic

MANIFEST_NAME = "build.json"


class BuildManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a build is and what its files must hold."""

    format: Literal["sightloop.build/1"] = "sightloop.build/1"
    key: BuildKey
    model_file: str
    files: dict[str, Digest]


class BuildCache:
    """The builds of one home folder. One process makes builds at a time; any may find them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"

    def find(self, key: BuildKey) -> Path | None:
        """The build's model file; None when it is not there, or not what was built."""
        folder = self._folder(key)
        try:
            content = (folder / MANIFEST_NAME).read_bytes()
            manifest = decode(content, BuildManifest, what=str(folder))
        except (FileNotFoundError, WrongFormat):
            return None
        intact = manifest.key == key and all(
            digest_of_file(folder / name) == digest for name, digest in manifest.files.items()
        )
        return folder / manifest.model_file if intact else None

    def make(self, key: BuildKey, build: Callable[[Path], str]) -> Path:
        """The build's model file, made by `build` unless it is there.

        Args:
            key: what it depends on.
            build: fills an empty folder and returns the name of the model file in it. When it
                raises, nothing is left behind.
        """
        found = self.find(key)
        if found is not None:
            return found
        folder, coming = self._folder(key), self._incoming / self._folder(key).name
        for leftover in (coming, folder):  # of a power cut; damaged, or `find` would know it
            shutil.rmtree(leftover, ignore_errors=True)
        coming.mkdir(parents=True)
        try:
            model_file = build(coming)
            files = {
                str(path.relative_to(coming)): Digest(digest_of_file(path))
                for path in sorted(coming.rglob("*"))
                if path.is_file()
            }
            manifest = BuildManifest(key=key, model_file=model_file, files=files)
            write_atomic(coming / MANIFEST_NAME, encode(manifest))
        except BaseException:
            shutil.rmtree(coming, ignore_errors=True)
            raise
        sync_filesystem(coming)
        coming.replace(folder)
        sync_folder(self._root)
        return folder / model_file

    def keep_only(self, keys: Collection[BuildKey]) -> None:
        """Remove every other build, whole or half: of drivers, libraries, models that are gone."""
        wanted = {self._folder(key).name for key in keys}
        if self._root.exists():
            for folder in [*self._root.iterdir(), *self._incoming.glob("*")]:
                if folder != self._incoming and folder.is_dir() and folder.name not in wanted:
                    shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, key: BuildKey) -> Path:
        return self._root / key.digest.removeprefix("sha256:")
