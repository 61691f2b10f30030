"""What clients of a server see: run by the Python of a virtual environment with mlflow.

`python load.py PLAN`, a JSON file with the server's address, what to do, how many clients and for
how long, and where to write latencies. Uses nothing but the unmodified mlflow client and the
standard library, so that both servers are asked by the same code. `via: http` sends what the
client would send over one kept connection, which shows the server without the client's own cost.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

Call = Callable[[int], object]
"""One request of a client, given how many it made before."""

Body = bytes | dict[str, Any]
N_BATCH = 1000
FILTERS = {
    "newest": {},
    "filtered": {"filter": "metrics.m_7 > 0.9 and params.p_3 = '5'"},
    "sorted": {"order_by": ["metrics.m_1 DESC"]},
}


def main(plan_file: Path) -> None:
    plan = json.loads(plan_file.read_text())
    started = time.perf_counter()
    if plan["via"] == "mlflow":
        import mlflow  # noqa: F401  (so that no client's first call waits for it)
    import_s = time.perf_counter() - started
    SCENARIOS[plan["what"]](plan)
    plan["import_s"] = import_s
    Path(plan["out"]).write_text(json.dumps(plan))


def log_metric(plan: dict[str, Any]) -> None:
    """One point a call."""

    def client(run: str) -> Call:
        if plan["via"] == "mlflow":
            ours = tracking_client(plan)
            return lambda n: ours.log_metric(run, "loss", 1.0 / (n + 1), step=n)
        post = poster(plan)
        return lambda n: post(
            "runs/log-metric",
            {
                "run_id": run, "run_uuid": run, "key": "loss", "value": 1.0 / (n + 1), "step": n,
                "timestamp": int(time.time() * 1000),
            },
        )  # fmt: skip

    repeat(plan, [client(run) for run in new_runs(plan)])


def log_batch(plan: dict[str, Any]) -> None:
    """A thousand points a call, of so many metrics."""

    def client(run: str) -> Call:
        if plan["via"] == "mlflow":
            ours = tracking_client(plan)
            return lambda n: ours.log_batch(run, metrics(plan, n))
        post = poster(plan)
        bodies = [json.dumps(plain_batch(plan, run, n)).encode() for n in range(plan["n_bodies"])]
        return lambda n: post("runs/log-batch", bodies[n])

    repeat(plan, [client(run) for run in new_runs(plan)])


def resend(plan: dict[str, Any]) -> None:
    """The same batch once more, while the run grows to 200,000 points."""
    post = poster(plan)
    (run,) = new_runs(plan)
    body = plain_batch(plan, run, 0)
    plan["resent_s"] = {}
    post("runs/log-batch", body)
    n_points = N_BATCH
    for wanted in plan["at_points"]:
        while n_points < wanted:
            post("runs/log-batch", plain_batch(plan, run, n_points // N_BATCH))
            n_points += N_BATCH
        plan["resent_s"][str(wanted)] = min(
            timed(lambda: post("runs/log-batch", body)) for _ in "12345"
        )


def search(plan: dict[str, Any]) -> None:
    """Fifty runs a call."""
    asked = FILTERS[plan["filter"]]

    def client() -> Call:
        if plan["via"] == "mlflow":
            ours = tracking_client(plan)
            return lambda _: ours.search_runs(
                [plan["experiment"]], asked.get("filter", ""), max_results=50,
                order_by=asked.get("order_by"),
            )  # fmt: skip
        post = poster(plan)
        body = {"experiment_ids": [plan["experiment"]], "max_results": 50, **asked}
        return lambda _: post("runs/search", body)

    repeat(plan, [client() for _ in range(plan["n_clients"])])


def fetch_all(plan: dict[str, Any]) -> None:
    """Every run of an experiment, by pages of a thousand, until there is none or time is up."""
    client = tracking_client(plan)
    token, n_runs, n_entries, start = None, 0, 0, time.perf_counter()
    while True:
        page = client.search_runs([plan["experiment"]], max_results=1000, page_token=token)
        n_runs += len(page)
        n_entries += sum(len(run.data.params) + len(run.data.metrics) for run in page)
        token = page.token
        spent_s = time.perf_counter() - start
        if not token or spent_s > plan["seconds"]:
            break
    plan |= {"n_runs": n_runs, "n_entries": n_entries, "spent_s": spent_s}
    plan["client_cpu_s"] = time.process_time()


SCENARIOS = {
    "log_metric": log_metric, "log_batch": log_batch, "search": search, "fetch_all": fetch_all,
    "resend": resend,
}  # fmt: skip


def repeat(plan: dict[str, Any], clients: list[Call]) -> None:
    """Every client calls again and again, on a thread of its own, until time is up."""
    for call in clients:
        call(0)  # connections are made, plans are cached
    spent: list[list[float]] = [[] for _ in clients]
    ready = threading.Barrier(len(clients) + 1)

    def work(call: Call, mine: list[float]) -> None:
        ready.wait()
        until = time.perf_counter() + plan["seconds"]
        n = 1
        while time.perf_counter() < until and n < plan["n_bodies"]:
            mine.append(timed(lambda: call(n)))  # noqa: B023  (called at once)
            n += 1

    threads = [
        threading.Thread(target=work, args=both) for both in zip(clients, spent, strict=True)
    ]
    for thread in threads:
        thread.start()
    ready.wait()
    start, cpu_s = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.join()
    plan["wall_s"] = time.perf_counter() - start
    plan["client_cpu_s"] = time.process_time() - cpu_s
    plan["latencies_s"] = [one for mine in spent for one in mine]


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def new_runs(plan: dict[str, Any]) -> list[str]:
    post = poster(plan)
    made = post("experiments/create", {"name": f"load {time.time_ns()}"})
    body = {"experiment_id": made["experiment_id"], "start_time": int(time.time() * 1000)}
    runs = [post("runs/create", body) for _ in range(plan["n_clients"])]
    return [run["run"]["info"]["run_id"] for run in runs]


def metrics(plan: dict[str, Any], n: int) -> list[Any]:
    from mlflow.entities import Metric

    return [Metric(*one) for one in points(plan, n)]


def plain_batch(plan: dict[str, Any], run: str, n: int) -> dict[str, Any]:
    names = ("key", "value", "timestamp", "step")
    made = [dict(zip(names, one, strict=True)) for one in points(plan, n)]
    return {"run_id": run, "metrics": made}


def points(plan: dict[str, Any], n: int) -> list[tuple[str, float, int, int]]:
    """The points of the n-th batch: key, value, time in milliseconds, step."""
    n_keys = plan["n_keys"]
    n_steps = N_BATCH // n_keys
    return [
        (f"m_{k % n_keys}", n + k / 1000, 1_700_000_000_000 + n, n * n_steps + k // n_keys)
        for k in range(N_BATCH)
    ]


def tracking_client(plan: dict[str, Any]) -> Any:  # noqa: ANN401  (mlflow is not installed here)
    from mlflow import MlflowClient

    return MlflowClient(plan["url"])


def poster(plan: dict[str, Any]) -> Callable[[str, Body], Any]:
    """Sends JSON over one connection; an error of the server ends the bench."""
    at = urllib.parse.urlsplit(plan["url"])
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=600)
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"

    def post(path: str, body: Body) -> Any:  # noqa: ANN401  (JSON)
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", f"/api/2.0/mlflow/{path}", sent, headers)
        reply = connection.getresponse()
        answer = reply.read()
        if reply.status != 200:
            raise SystemExit(f"{path}: {reply.status} {answer[:300]!r}")
        return json.loads(answer)

    return post


if __name__ == "__main__":
    main(Path(sys.argv[1]))
