"""What a bundle looks like in a folder, and whether it is still what was signed.

The manifest is `bundle.json`, byte for byte as signed; the other files lie under `files/` by the
names the manifest gives them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sightloop.contracts.bundle import Bundle
from sightloop.contracts.decode import decode
from sightloop.device.errors import TamperedFile
from sightloop.kernel.digests import Digest, digest_of

MANIFEST_NAME = "bundle.json"


def verify_bundle(folder: Path, bundle: Digest) -> Bundle:
    """The manifest of the bundle in `folder`, after hashing it and every file it lists.

    Raises:
        TamperedFile: something is missing or is not what was signed.
    """
    manifest = _read(folder / MANIFEST_NAME)
    if digest_of(manifest) != bundle:
        raise TamperedFile(file=MANIFEST_NAME, expected=bundle, found=digest_of(manifest))
    described = decode(manifest, Bundle, what=f"manifest of {bundle}")
    for file in described.files:
        found = digest_of_file(folder / "files" / file.name)
        if found != file.digest:
            raise TamperedFile(file=file.name, expected=file.digest, found=found)
    return described


def file_path(folder: Path, name: str) -> Path:
    """Where a bundle's file lies in the bundle's folder."""
    return folder / "files" / name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise TamperedFile(file=path.name, expected="there", found="missing") from error


def digest_of_file(path: Path) -> Digest | str:
    """Of the file's bytes; the word `missing` when there is none."""
    try:
        with path.open("rb") as file:
            return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    except FileNotFoundError:
        return "missing"
