"""Against a real S3 server over HTTP: requests and bytes are counted at its end too."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.errors import RemoteDenied, RemoteUnavailable
from sightloop.datasets.remotes.connecting import Remote
from sightloop.datasets.remotes.naming import AddRemote, add_remote
from sightloop.datasets.remotes.object_store import CloudStore, Patience
from sightloop.datasets.remotes.pulling import Pull, pull, pull_from
from sightloop.datasets.remotes.pushing import Push, push, push_to
from sightloop.datasets.remotes.sources import reading
from sightloop.datasets.samples import read_samples
from sightloop.datasets.values import ClassId, LabelledObject, imported_annotations, sample_id
from sightloop.testing.remote_stores import WatchedStore
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace

N_IMAGES = 400
IMAGE_BYTES = 10_000
HASTY = Patience(max_retries=2, retry_for_s=5, first_pause_s=0.01, request_timeout_s=0.5)


def commit_many(workspace, make_sample, n=N_IMAGES):
    """Images of 10 KB, of which one in a hundred has a class of its own."""
    rng = np.random.default_rng(0)
    with workspace.blobs.batch() as batch:
        images = [batch.put(rng.bytes(IMAGE_BYTES)) for _ in range(n)]
    samples = []
    for at, image in enumerate(images):
        name = ClassId("rare" if at % 100 == 50 else ("spot", "hole")[at % 2])
        box = make_sample(0).annotations[0].geometry
        found = imported_annotations(sample_id(image, None), [LabelledObject(name, box, {})])
        samples.append(make_sample(at, image=image, annotations=found))
    request = CommitSamples(
        branch="main", message="many", upserts=samples, new_classes=["spot", "hole", "rare"]
    )
    return commit_samples(workspace, LOCAL_CALL, request).commit


def connected(workspace, s3_server, bucket) -> Remote:
    store = WatchedStore(CloudStore(f"s3://{bucket}/set", endpoint=s3_server))
    return Remote("origin", store, workspace.state / "remotes" / "origin")


def test_a_push_takes_few_requests_and_a_rare_class_few_bytes(
    s3_server, bucket, make_workspace, make_sample
):
    ours, theirs = make_workspace("ours"), make_workspace("theirs")
    head = commit_many(ours, make_sample)
    remote = connected(ours, s3_server, bucket)
    push_to(ours, LOCAL_CALL, remote, ref="main")
    # Twenty of any push; the packs of 10,000 such images add six, see bench/remotes.py.
    assert remote.store.n_requests.total() <= 20
    remote = connected(theirs, s3_server, bucket)
    with reading(remote) as source:
        pulled = pull_from(theirs, LOCAL_CALL, source, Pull(class_name="rare"))
    assert (pulled.n_images, pulled.n_left) == (N_IMAGES // 100, N_IMAGES - N_IMAGES // 100)
    assert remote.store.bytes_read < 0.03 * N_IMAGES * IMAGE_BYTES
    assert remote.store.n_requests.total() <= 15
    samples = read_samples(theirs, head)
    assert samples == read_samples(ours, head)


def test_a_workspace_is_cloned_whole_over_http(s3_server, bucket, tmp_path, make_sample):
    ours, theirs = (fresh_workspace(tmp_path / name) for name in ("ours", "theirs"))
    for one in (ours, theirs):
        add_remote(
            one,
            LOCAL_CALL,
            AddRemote(name="origin", url=f"s3://{bucket}", endpoint=s3_server),
        )
    head = commit_many(ours, make_sample, 30)
    push(ours, LOCAL_CALL, Push())
    assert push(ours, LOCAL_CALL, Push()).n_objects == 0
    assert pull(theirs, LOCAL_CALL, Pull()).commit == head
    for one in read_samples(theirs, head):
        assert theirs.blobs.read(one.image) == ours.blobs.read(one.image)
    ours.db.close()
    theirs.db.close()


@contextmanager
def http_server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def __getattr__(self, name: str) -> object:
            if name.startswith("do_"):
                return lambda: answer(self)
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answering(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


SECRET = "a-secret-nobody-must-see"


def told(error: BaseException) -> str:
    """All that a log could say of it."""
    import traceback

    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_denies_is_told_with_what_to_do(status, bucket):
    with http_server(answering(status)) as url:
        store = CloudStore("s3://bucket/set", endpoint=url, patience=HASTY)
        with pytest.raises(RemoteDenied, match="does not allow reading with the cred") as caught:
            store.get("one")
        with pytest.raises(RemoteDenied, match="does not allow writing"):
            store.put_new("one", b"1")
        with pytest.raises(RemoteDenied, match="does not allow listing"):
            list(store.list("packs/"))
    assert caught.value.code == "DATA-054"
    assert SECRET not in told(caught.value)


def test_a_server_that_fails_is_asked_a_bounded_number_of_times(bucket):
    n_requests = 0

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal n_requests
        n_requests += 1
        answering(500)(handler)

    with http_server(answer) as url:
        store = CloudStore("s3://bucket/set", endpoint=url, patience=HASTY)
        with pytest.raises(RemoteUnavailable, match="the server answered 500") as caught:
            store.get("one")
    assert n_requests == 1 + HASTY.max_retries
    assert caught.value.code == "DATA-053"
    assert SECRET not in told(caught.value)


def test_a_server_that_fails_once_is_asked_again(bucket):
    n_requests = 0

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal n_requests
        n_requests += 1
        if n_requests == 1:
            return answering(503)(handler)
        handler.send_response(200)
        for name, value in (
            ("Content-Length", "2"),
            ("ETag", '"x"'),
            ("Last-Modified", "Wed, 25 Nov 2026 08:00:00 GMT"),
        ):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"ok")
        return None

    with http_server(answer) as url:
        held = CloudStore("s3://bucket/set", endpoint=url, patience=HASTY).get("one")
    assert held is not None
    assert held.content == b"ok"


def test_a_server_that_never_answers_is_given_up(bucket):
    gone = threading.Event()
    with http_server(lambda _: gone.wait(10) and None) as url:
        store = CloudStore("s3://bucket/set", endpoint=url, patience=HASTY)
        start = time.monotonic()
        with pytest.raises(RemoteUnavailable, match="no answer in time"):
            store.get("one")
        gone.set()
    assert time.monotonic() - start < 8


def test_a_swap_whose_answer_was_lost_counts_as_done(s3_server, bucket):
    # The first try arrived, its answer did not: the second finds the branch moved, to our commit.
    store = CloudStore(f"s3://{bucket}", endpoint=s3_server)
    first = store.compare_and_swap("refs/heads/main", b"old", expected=None)
    second = store.compare_and_swap("refs/heads/main", b"new", expected=first)
    assert store.compare_and_swap("refs/heads/main", b"new", expected=first) == second


def test_credentials_are_neither_kept_nor_shown(s3_server, bucket, tmp_path, make_sample):
    workspace = fresh_workspace(tmp_path / "ours")
    add_remote(
        workspace, LOCAL_CALL, AddRemote(name="origin", url=f"s3://{bucket}", endpoint=s3_server)
    )
    commit_many(workspace, make_sample, 3)
    push(workspace, LOCAL_CALL, Push())
    workspace.db.close()
    for path in Path(workspace.root).rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes()
