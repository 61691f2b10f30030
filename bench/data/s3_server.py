"""A real HTTP S3 endpoint on this machine that counts: `-m bench.data.s3_server PORT`.

moto, in memory, in the peers' environment. `GET /__counts` tells what came and went since the last
time it was asked.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Counted:
    """An application whose requests and bytes are counted."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        """Answer, and count; or tell what was counted."""
        if environ["PATH_INFO"] == "/__counts":
            return self._tell(start_response)
        method = environ["REQUEST_METHOD"]
        with self._lock:
            self._counts.update({"requests": 1, method: 1})
            self._counts["bytes in"] += int(environ.get("CONTENT_LENGTH") or 0)
        body = self._application(environ, start_response)
        return body if method == "HEAD" else self._passed(body)

    def _passed(self, body: Iterable[bytes]) -> Iterator[bytes]:
        for part in body:
            with self._lock:
                self._counts["bytes out"] += len(part)
            yield part

    def _tell(self, start_response: Any) -> list[bytes]:  # noqa: ANN401
        with self._lock:
            counts, self._counts = self._counts, Counter()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(counts).encode()]


class Quiet(WSGIRequestHandler):
    """Keeps connections, as S3 does; writes no line for each request."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


if __name__ == "__main__":
    run_simple(
        "127.0.0.1",
        int(sys.argv[1]),
        Counted(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=Quiet,
    )
