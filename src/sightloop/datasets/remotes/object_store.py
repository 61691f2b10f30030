"""A remote in S3, Google Cloud Storage or Azure, or in whatever speaks S3 at an endpoint.

Credentials come from the environment variables that every tool of these clouds reads
(`AWS_ACCESS_KEY_ID`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_KEY`, ...), never
from us; what a server says is reduced to its status, because addresses in it may carry keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightloop.datasets.errors import RemoteDenied, RemoteUnavailable
from sightloop.datasets.remotes.backend import Held, Listed, Stale, Tag

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ObjectStore

_STATUS = re.compile(r"status code: (\d{3}[A-Za-z ]*)")
_DENIED = re.compile(r"status code: 40[13]\b")
_SINGLE_PUT_BYTES = 64 << 20
"""Larger files go up in parts, which no store can do create-only; their name is their content."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request is tried."""

    max_retries: int = 4
    retry_for_s: float = 60.0
    request_timeout_s: float = 300.0
    connect_timeout_s: float = 10.0
    first_pause_s: float = 0.2


class CloudStore:
    """Objects of a bucket below a prefix; see `RemoteStore`."""

    def __init__(
        self, url: str, *, endpoint: str = "", region: str = "", patience: Patience | None = None
    ) -> None:
        self._label = url
        self._store = _opened(url, endpoint, region, patience or Patience())

    @property
    def label(self) -> str:
        """The address."""
        return self._label

    def get(self, name: str) -> Held | None:
        """The whole object; see `RemoteStore.get`."""
        import obstore

        with self._errors("reading"):
            try:
                found = obstore.get(self._store, name)
                return Held(bytes(found.bytes()), _tag_of(found.meta))
            except FileNotFoundError:
                return None

    def get_range(self, name: str, start: int, length: int) -> memoryview | None:
        """Some bytes; see `RemoteStore.get_range`."""
        import obstore

        with self._errors("reading"):
            try:
                return memoryview(obstore.get_range(self._store, name, start=start, length=length))
            except FileNotFoundError:
                return None

    def put_new(self, name: str, content: bytes | Path) -> bool:
        """Make an object; see `RemoteStore.put_new`."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._errors("writing"):
            if isinstance(content, Path) and content.stat().st_size > _SINGLE_PUT_BYTES:
                if self.size_bytes(name) is not None:
                    return False
                obstore.put(self._store, name, content)
                return True
            # Read here: the library would grow its buffer by doubling, twice the memory of a pack.
            body = content.read_bytes() if isinstance(content, Path) else content
            try:
                obstore.put(self._store, name, body, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def compare_and_swap(self, name: str, content: bytes, *, expected: Tag | None) -> Tag:
        """Replace an object; see `RemoteStore.compare_and_swap`."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: PutMode = "create" if expected is None else _version_of(expected)
        with self._errors("writing"):
            try:
                made = obstore.put(self._store, name, content, mode=mode)
            except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                found = self.get(name)
                if found is not None and found.content == content:
                    return found.tag  # ours: the answer to an earlier try was lost on its way
                if found is None and expected is None:
                    raise  # it says "not found" of the bucket
                raise Stale(name) from error
        return _tag_of(made)

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object below; see `RemoteStore.list`."""
        import obstore

        with self._errors("listing"):
            for page in obstore.list(self._store, prefix or None):
                for one in page:
                    yield Listed(one["path"], one["size"], _tag_of(one))

    def size_bytes(self, name: str) -> int | None:
        """The object's size; see `RemoteStore.size_bytes`."""
        import obstore

        with self._errors("reading"):
            try:
                return int(obstore.head(self._store, name)["size"])
            except FileNotFoundError:
                return None

    def delete(self, name: str) -> None:
        """Remove the object; see `RemoteStore.delete`."""
        import obstore

        with self._errors("deleting"):
            try:
                obstore.delete(self._store, name)
            except FileNotFoundError:
                return

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        # `from None`: the text of these errors may hold an address with a key in it.
        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError):
            raise RemoteDenied(remote=self._label, doing=doing) from None
        except FileNotFoundError:
            problem = "there is no such bucket or container"
            raise RemoteUnavailable(remote=self._label, problem=problem) from None
        except BaseError as error:
            text = str(error)
            if _DENIED.search(text):  # of listings the library does not say it otherwise
                raise RemoteDenied(remote=self._label, doing=doing) from None
            problem = f"{doing} failed: {_problem_of(text)}"
            raise RemoteUnavailable(remote=self._label, problem=problem) from None


def _opened(url: str, endpoint: str, region: str, patience: Patience) -> ObjectStore:
    from obstore.store import from_url

    # Both clouds' stores take other settings as well; these two are S3's.
    settings: dict[str, Any] = {}
    if endpoint:
        settings["endpoint"] = endpoint
    if region:
        settings["region"] = region
    return from_url(
        url,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "timeout": timedelta(seconds=patience.request_timeout_s),
            "connect_timeout": timedelta(seconds=patience.connect_timeout_s),
        },
        retry_config={
            "max_retries": patience.max_retries,
            "retry_timeout": timedelta(seconds=patience.retry_for_s),
            "backoff": {
                "init_backoff": timedelta(seconds=patience.first_pause_s),
                "max_backoff": timedelta(seconds=15),
                "base": 2,
            },
        },
        **settings,
    )


def _problem_of(text: str) -> str:
    """What an error of the library comes to, without any address."""
    if status := _STATUS.search(text):
        return f"the server answered {status[1].strip()}"
    if "timed out" in text or "TimedOut" in text:
        return "no answer in time"
    return "no connection" if "error sending request" in text else "the request broke off"


def _tag_of(meta: Any) -> Tag:  # noqa: ANN401 - the library's dictionaries share two keys
    return Tag(f"{meta['e_tag'] or ''} {meta['version'] or ''}")


def _version_of(tag: Tag) -> PutMode:
    e_tag, _, version = tag.rpartition(" ")
    return {"e_tag": e_tag, "version": version} if version else {"e_tag": e_tag}
