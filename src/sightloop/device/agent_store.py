"""Releases of the agent on the device's disk, side by side, and which of them to start."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from sightloop.contracts.agent_release import AgentRelease
from sightloop.contracts.decode import decode, encode
from sightloop.device.agent_choice import AgentChoice
from sightloop.device.bundle_store import SAFE_NAME, require_space
from sightloop.device.download import fetch_file
from sightloop.device.errors import BadWheel
from sightloop.device.update_source import UpdateSource
from sightloop.kernel.digests import Digest
from sightloop.kernel.files import disk_errors, sync_filesystem, sync_folder, write_atomic

MANIFEST_NAME = "release.json"
MOST_UNPACKED_BYTES = 1 << 30


class AgentStore:
    """The folder `agents` of one home. The agent installs, the launcher chooses."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self.healthy_file = root / "healthy"
        """Written by an agent on probation once it serves: the word it was started with."""

    def folder(self, release: Digest) -> Path:
        """Where the release is, or would be."""
        return self._root / release.removeprefix("sha256:")

    def library(self, release: Digest) -> Path:
        """What goes before everything else on the release's module path."""
        return self.folder(release) / "lib"

    def has(self, release: Digest) -> bool:
        """Whether the release is complete on disk."""
        return self.folder(release).exists()

    def manifest(self, release: Digest) -> AgentRelease:
        """What the release is.

        Raises:
            WrongFormat: it is not one this agent understands.
        """
        path = self.folder(release) / MANIFEST_NAME
        return decode(path.read_bytes(), AgentRelease, what=str(path))

    def install(self, release: Digest, manifest: bytes, source: UpdateSource) -> None:
        """Fetch and unpack what is missing, then make the release appear. Safe to repeat.

        Raises:
            WrongFormat, BadWheel: the release is not one this agent can unpack.
            NotEnoughSpace: the disk has no room for it.
            TamperedFile, ServerAway, ServerRefused, DiskFull: see `fetch_file`.
        """
        described = decode(manifest, AgentRelease, what=f"agent release {release}")
        coming = self._incoming / release.removeprefix("sha256:")
        coming.mkdir(parents=True, exist_ok=True)
        # The wheels, and what is in them, which is taken for three times as much.
        require_space(self._root, 4 * sum(file.size_bytes for file in described.files))
        library = coming / "lib"
        shutil.rmtree(library, ignore_errors=True)  # of an attempt that was cut short
        for file in described.files:
            if not SAFE_NAME.fullmatch(file.name):
                raise BadWheel(wheel=file.name, problem="that is no plain file name")
            wheel = coming / file.name
            if not wheel.exists():
                fetch_file(source, file, into=wheel)
            with disk_errors(library):
                _unpack(wheel, library)
        write_atomic(coming / MANIFEST_NAME, manifest)
        sync_filesystem(coming)
        coming.replace(self.folder(release))
        sync_folder(self._root)

    def read_choice(self) -> AgentChoice:
        """Which agent to start; the system's when nothing was ever decided.

        Raises:
            WrongFormat: the file is damaged, or of a newer launcher.
        """
        path = self._root / "choice.json"
        if not path.exists():
            return AgentChoice()
        return decode(path.read_bytes(), AgentChoice, what=str(path))

    def write_choice(self, choice: AgentChoice) -> None:
        """Decide, durably.

        Raises:
            DiskFull: no room; what was decided before stays.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(self._root / "choice.json", encode(choice))

    def keep_only_used(self) -> None:
        """Remove releases that no start would choose."""
        used = {one.removeprefix("sha256:") for one in self.read_choice().in_use()}
        for folder in self._root.iterdir():
            if folder.is_dir() and folder != self._incoming and folder.name not in used:
                shutil.rmtree(folder, ignore_errors=True)

    def tell_healthy(self, word: str) -> None:
        """The agent that was started with this word serves."""
        write_atomic(self.healthy_file, word.encode())

    def is_healthy(self, word: str) -> bool:
        """Whether the agent that was started with this word has said that it serves."""
        try:
            return self.healthy_file.read_bytes() == word.encode()
        except FileNotFoundError:
            return False


def _unpack(wheel: Path, library: Path) -> None:
    """A wheel is a zip; nothing in it is run, and nothing lands outside the folder."""
    try:
        with zipfile.ZipFile(wheel) as packed:
            members = packed.infolist()
            for member in members:
                if member.filename.startswith("/") or ".." in Path(member.filename).parts:
                    problem = f"{member.filename[:80]!r} in it would lie outside its folder"
                    raise BadWheel(wheel=wheel.name, problem=problem)
            n_bytes = sum(member.file_size for member in members)
            if n_bytes > MOST_UNPACKED_BYTES:
                problem = f"it holds {n_bytes} bytes, of which {MOST_UNPACKED_BYTES} may be"
                raise BadWheel(wheel=wheel.name, problem=problem)
            packed.extractall(library)
    except zipfile.BadZipFile as error:
        raise BadWheel(wheel=wheel.name, problem=f"it is no zip archive ({error})") from error
