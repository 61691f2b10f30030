"""Workspaces around one remote, and a real S3 server."""

import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.remotes.connecting import Remote
from sightloop.datasets.remotes.folder import FolderStore
from sightloop.datasets.remotes.naming import AddRemote, add_remote
from sightloop.datasets.values import Sample
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace

CLASSES = ("spot", "hole", "rare")
Commit = Callable[..., Digest]


@pytest.fixture
def make_workspace(tmp_path: Path, remote_folder: Path) -> Iterator[Callable[[str], Workspace]]:
    """Opens workspaces that know the remote as origin."""
    opened: list[Workspace] = []

    def make(name: str) -> Workspace:
        workspace = fresh_workspace(tmp_path / name)
        opened.append(workspace)
        add_remote(workspace, LOCAL_CALL, AddRemote(name="origin", url=str(remote_folder)))
        return workspace

    yield make
    for one in opened:
        one.db.close()


@pytest.fixture
def remote_folder(tmp_path: Path) -> Path:
    return tmp_path / "remote"


@pytest.fixture
def ours(make_workspace: Callable[[str], Workspace]) -> Workspace:
    return make_workspace("ours")


@pytest.fixture
def theirs(make_workspace: Callable[[str], Workspace]) -> Workspace:
    return make_workspace("theirs")


@pytest.fixture
def commit(jpeg: Callable[..., bytes], make_sample: Callable[..., Sample]) -> Commit:
    """Commits samples of these seeds, with their images, and returns the commit."""

    def make(workspace: Workspace, *seeds: int, branch: str = "main", **fields: object) -> Digest:
        samples = []
        with workspace.blobs.batch() as batch:
            for seed in seeds:
                samples.append(make_sample(seed, image=batch.put(jpeg(seed)), **fields))
        request = CommitSamples(
            branch=branch, message=f"add {seeds}", upserts=samples, new_classes=list(CLASSES)
        )
        return commit_samples(workspace, LOCAL_CALL, request).commit

    return make


@pytest.fixture
def remote_of(remote_folder: Path) -> Callable[..., Remote]:
    """The folder as a connected remote, perhaps through a store that watches."""

    def make(workspace: Workspace, wrap: Callable[[FolderStore], object] | None = None) -> Remote:
        store = FolderStore(remote_folder)
        wrapped = store if wrap is None else wrap(store)
        return Remote("origin", wrapped, workspace.state / "remotes" / "origin")  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of a moto server, bound to this machine only."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _await(f"{address}/moto-api/data.json")
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of this test alone; the environment has credentials for it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-nobody-must-see")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    name = f"b{secrets.token_hex(8)}"
    urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{name}", method="PUT")).close()
    return name


def _await(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url).close()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the S3 server did not start")
