"""`agent tuf`: this device's TUF client on its own, for conformance drivers and for diagnosis.

    agent tuf --metadata-dir D init ROOT
    agent tuf --metadata-dir D --metadata-url U refresh
    agent tuf --metadata-dir D --metadata-url U --target-name T --target-base-url B \
              --target-dir X download

Exit code 0 when it worked, 1 with a line on standard error when anything was refused. It is the
client of `trust` with an HTTP source of no particular server, and the download of `download`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Generator
from pathlib import Path
from urllib.parse import quote

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.api.metadata import Metadata, Root, TargetFile  # type: ignore[attr-defined]
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig  # type: ignore[attr-defined]
from urllib3.exceptions import HTTPError

from sightloop.device.server_link import CHUNK_BYTES, TIMEOUT
from sightloop.kernel.files import sync_folder, write_atomic

ROOT_NAME = "root.json"
FIRST_ROOT = Path("root_history") / "bootstrap"
"""What `init` was given, kept for ever: a damaged cache is judged by it."""


def main(arguments: list[str]) -> int:
    """Run one command; 0 or 1."""
    given = _parser().parse_args(arguments)
    try:
        _COMMANDS[given.command](given)
    except (RepositoryError, DownloadError, OSError, ValueError) as error:
        sys.stderr.write(f"{type(error).__name__} {error}\n")
        return 1
    return 0


def _init(given: argparse.Namespace) -> None:
    content = Path(given.root).read_bytes()
    Metadata[Root].from_bytes(content)
    folder = Path(given.metadata_dir)
    (folder / FIRST_ROOT).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / FIRST_ROOT, content)
    write_atomic(folder / ROOT_NAME, content)


def _refresh(given: argparse.Namespace) -> None:
    _updater(given).refresh()


def _download(given: argparse.Namespace) -> None:
    fetcher = _HttpFetcher()
    updater = _updater(given)
    updater.refresh()
    for name in given.target_name:
        target = updater.get_targetinfo(name)
        if target is None:
            raise ValueError(f"no signed target is called {name!r}")
        into = Path(given.target_dir) / quote(name, safe="")
        if updater.find_cached_target(target, str(into)) is None:
            url = _target_url(given.target_base_url, target, hashed=_is_consistent(given))
            _receive(fetcher, url, target, into)


def _updater(given: argparse.Namespace) -> Updater:
    folder = Path(given.metadata_dir)
    return Updater(
        metadata_dir=str(folder),
        metadata_base_url=given.metadata_url,
        fetcher=_HttpFetcher(),
        config=UpdaterConfig(),
        bootstrap=(folder / FIRST_ROOT).read_bytes(),
    )


def _is_consistent(given: argparse.Namespace) -> bool:
    root = Metadata[Root].from_file(str(Path(given.metadata_dir) / ROOT_NAME))
    return bool(root.signed.consistent_snapshot)


def _target_url(base: str, target: TargetFile, *, hashed: bool) -> str:
    folder, slash, name = target.path.rpartition("/")
    prefix = f"{next(iter(target.hashes.values()))}." if hashed else ""
    return f"{base.rstrip('/')}/{folder}{slash}{prefix}{name}"


def _receive(fetcher: FetcherInterface, url: str, target: TargetFile, into: Path) -> None:
    """As a bundle's file arrives: beside its place, checked, durable, then in its place."""
    into.parent.mkdir(parents=True, exist_ok=True)
    part = into.with_name(into.name + ".part")
    hashers = {name: hashlib.new(name) for name in target.hashes}
    n_bytes = 0
    try:
        with part.open("wb") as file:
            for chunk in fetcher.fetch(url):
                n_bytes += len(chunk)
                if n_bytes > target.length:
                    break
                file.write(chunk)
                for hasher in hashers.values():
                    hasher.update(chunk)
            file.flush()
            os.fsync(file.fileno())
        found = {name: hasher.hexdigest() for name, hasher in hashers.items()}
        if n_bytes != target.length or found != target.hashes:
            raise ValueError(f"{target.path} has other bytes than those that were signed")
        part.replace(into)
        sync_folder(into.parent)
    finally:
        part.unlink(missing_ok=True)


class _HttpFetcher(FetcherInterface):
    """Plain requests; nothing is followed elsewhere and nothing is tried twice."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(timeout=TIMEOUT, retries=False)

    def _fetch(self, url: str) -> Generator[bytes, None, None]:
        try:
            response = self._pool.request("GET", url, preload_content=False, redirect=False)
            try:
                if response.status != 200:
                    raise DownloadHTTPError(f"{url} answers {response.status}", response.status)
                while chunk := response.read(CHUNK_BYTES):
                    yield chunk
            finally:
                response.close()
        except HTTPError as error:
            raise DownloadError(f"{url}: {error}") from error


_COMMANDS = {"init": _init, "refresh": _refresh, "download": _download}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sightloop agent tuf", description="The device's TUF client on its own."
    )
    parser.add_argument("--metadata-dir", required=True, help="the client's cache")
    parser.add_argument("--metadata-url", default="", help="where metadata is fetched")
    parser.add_argument("--target-name", action="append", default=[], help="may be repeated")
    parser.add_argument("--target-base-url", default="", help="where targets are fetched")
    parser.add_argument("--target-dir", default=".", help="where targets are put")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init", help="trust this root").add_argument("root")
    commands.add_parser("refresh", help="bring the metadata up to date")
    commands.add_parser("download", help="fetch targets")
    return parser
