"""`python -m bench.tracking`: our server and MLflow's own, asked the same, one after the other.

Writes docs/results/tracking.md. Takes about 40 minutes on two quiet cores, most of it MLflow's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.servers import Server, for_mlflow, mlflow_server, our_server
from bench.tracking import report
from bench.tracking.fill_ours import fill
from bench.tracking.postgresql import postgresql
from bench.tracking.runs_to_ask import MANY, WIDE

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
N_CLIENTS = (1, 20)
VIAS = ("mlflow", "http")
N_BODIES_PER_S = 500
RESENT_AT = (1_000, 50_000, 200_000)


def main() -> int:
    wanted = arguments()
    scratch = wanted.scratch.resolve()
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    found = json.loads(wanted.keep.read_text()) if wanted.keep.exists() else {}
    for database in wanted.database:
        with database_server(database, scratch) as url_of:
            for who in wanted.who:
                print(f"{who} on {database}", flush=True)
                found[f"{who} {database}"] = asked(who, database, url_of, scratch, wanted)
                wanted.keep.write_text(json.dumps(found))
    wanted.out.write_text(report.write(found))
    shutil.rmtree(scratch)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.tracking", description=__doc__)
    parser.add_argument("--tools", type=Path, default=ROOT / ".bench" / "mlflow" / "bin")
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "tracking-scratch")
    parser.add_argument("--keep", type=Path, default=ROOT / ".bench" / "tracking.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "tracking.md")
    parser.add_argument("--seconds", type=float, default=15.0, help="of load for each measurement")
    parser.add_argument("--fetch-seconds", type=float, default=240.0, help="at most, to fetch all")
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--who", nargs="+", default=["mlflow", "sightloop"])
    return parser.parse_args()


@contextmanager
def database_server(kind: str, scratch: Path) -> Iterator[Callable[[str], str]]:
    """Gives a function from a name to the address of a new database; empty for SQLite."""
    if kind == "sqlite":
        yield lambda _: ""
        return
    with postgresql(scratch / "postgresql") as create:
        yield create


def asked(
    who: str, database: str, url_of: Callable[[str], str], scratch: Path, wanted: argparse.Namespace
) -> dict[str, Any]:
    """Everything that one server was asked on one database."""
    url, folder = url_of(who), scratch / f"{who}-{database}"
    # An absolute path, but not resolved: that would lead out of the virtual environment.
    tools = wanted.tools.absolute()
    ours = who == "sightloop"
    serve = partial(our_server, folder, url) if ours else partial(mlflow_server, tools, folder, url)
    found: dict[str, Any] = {}
    with serve() as server:
        found["first_start_s"] = server.ready_s
    start = time.perf_counter()
    if ours:
        fill(folder, url)
    else:
        command = [str(tools / "python"), "-W", "ignore", str(HERE / "fill_mlflow.py")]
        subprocess.run([*command, for_mlflow(url) or f"sqlite:///{folder}/mlflow.db"], check=True)
    print(f"  filled in {time.perf_counter() - start:.0f} s", flush=True)
    with serve() as server:
        found["start_s"] = server.ready_s
        time.sleep(3)
        found["idle_mb"] = server.memory_mb()
        found["loads"] = [load(server, plan, tools, folder) for plan in plans(wanted)]
        found["busy_mb"] = server.memory_mb()
    return found


def plans(wanted: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is asked of either server, in this order."""
    common = {"seconds": wanted.seconds, "n_bodies": 10**9}
    for what, n_keys in (("log_metric", 1), ("log_batch", 1000), ("log_batch", 10)):
        for via in VIAS:
            for n_clients in N_CLIENTS:
                plan = {"what": what, "via": via, "n_clients": n_clients, "n_keys": n_keys}
                # Bodies are made before: more than either server can take in the time.
                n_bodies = int(N_BODIES_PER_S * wanted.seconds / n_clients)
                more = {"n_bodies": n_bodies} if (what, via) == ("log_batch", "http") else {}
                yield {**common, **more, **plan}
    for asked_for in ("newest", "filtered", "sorted"):
        for via in VIAS:
            # MLflow sorts ten thousand runs for half a minute; twenty at once would time out.
            for n_clients in N_CLIENTS if asked_for != "sorted" else (1,):
                yield {
                    **common, "what": "search", "via": via, "n_clients": n_clients,
                    "filter": asked_for, "experiment": str(WIDE.experiment),
                }  # fmt: skip
    for one in (MANY, WIDE):
        yield {
            **common, "what": "fetch_all", "via": "mlflow", "n_clients": 1,
            "experiment": str(one.experiment), "name": one.name, "seconds": wanted.fetch_seconds,
        }  # fmt: skip
    yield {
        **common, "what": "resend", "via": "http", "n_clients": 1, "n_keys": 10,
        "at_points": RESENT_AT,
    }  # fmt: skip


def load(server: Server, plan: dict[str, Any], tools: Path, folder: Path) -> dict[str, Any]:
    """What the clients of one plan saw, and what the server spent on them."""
    file, out = folder / "plan.json", folder / "seen.json"
    file.write_text(json.dumps({**plan, "url": server.url, "out": str(out)}))
    environment = {**os.environ, "MLFLOW_TRACKING_TOKEN": server.token}
    if not server.token:
        del environment["MLFLOW_TRACKING_TOKEN"]
    before_s = server.cpu_s()
    command = [str(tools / "python"), "-W", "ignore", str(HERE / "load.py"), str(file)]
    subprocess.run(command, check=True, env=environment, cwd=folder)
    seen: dict[str, Any] = json.loads(out.read_text())
    seen["server_cpu_s"] = server.cpu_s() - before_s
    print(f"  {report.line(seen)}", flush=True)
    return seen


if __name__ == "__main__":
    raise SystemExit(main())
