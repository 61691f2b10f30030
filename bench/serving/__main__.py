"""`python -m bench.serving`: the same file, the same JPEGs, the same cores, one server at a time.

In every round the bare pipeline and each server get their turn, so that what else the machine does
falls on all of them alike; those that have no turn are stopped. Writes docs/results/serving.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.serving import report
from bench.serving.agents import running_agent
from bench.serving.contestants import Running, contestants, is_installed
from bench.serving.images import make_images
from bench.serving.model import exported_model
from bench.serving.swaps import swap_under_load, write_bodies

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
N_IMAGES = 32
SHARE_OF_CAPACITY = 0.6


def main() -> int:
    wanted = arguments()
    wanted.scratch.mkdir(parents=True, exist_ok=True)
    model_file = wanted.model or exported_model(wanted.scratch)
    found: dict[str, Any] = json.loads(wanted.keep.read_text()) if wanted.keep.exists() else {}
    images = make_images(N_IMAGES)
    with tempfile.TemporaryDirectory(dir=wanted.scratch) as name:
        folder = Path(name)
        if wanted.rounds:
            found["threads"] = wanted.threads
            found["servers"] = compared(wanted, folder, model_file, images)
        if wanted.swaps:
            capacity = (
                found.get("servers", {}).get("sightloop", {}).get("capacity", wanted.capacity)
            )
            found["swaps"] = swapped(wanted, folder, model_file, images, capacity)
    wanted.keep.write_text(json.dumps(found))
    wanted.out.write_text(report.write(found, wanted.tools))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--tools", type=Path, default=ROOT / ".bench")
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "serving")
    parser.add_argument("--keep", type=Path, default=ROOT / ".bench" / "serving.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "serving.md")
    parser.add_argument("--model", type=Path, help="another ONNX file than the starter's")
    parser.add_argument(
        "--who",
        nargs="+",
        default=["sightloop", "litserve", "litserve-tuned", "bentoml", "mlserver"],
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--clients", type=int, default=4, help="that saturate a server")
    parser.add_argument("--threads", type=int, default=1, help="of one run of the model")
    parser.add_argument("--swaps", type=int, default=500)
    parser.add_argument(
        "--steady-s", type=float, default=30.0, help="of load before and after swaps"
    )
    parser.add_argument("--capacity", type=float, default=50.0, help="requests/s, if not measured")
    return parser.parse_args()


def compared(
    wanted: argparse.Namespace, folder: Path, model_file: Path, images: list[bytes]
) -> dict[str, Any]:
    """What each was seen to do, by its name; `bare` is the pipeline without a server."""
    who = [one for one in contestants(wanted.tools) if one.name in wanted.who]
    away = [one.name for one in who if not is_installed(wanted.tools, one.name)]
    who = [one for one in who if one.name not in away]
    print(f"not installed, so left out: {', '.join(away) or 'none'}", flush=True)
    found: dict[str, Any] = {one.name: {"one": [], "many": []} for one in who}
    found["bare"] = {"one": []}
    with ExitStack() as stack:
        measure_bare = stack.enter_context(bare(folder, model_file, images, wanted.threads))
        running = {}
        for one in who:
            server = stack.enter_context(one.start(folder, model_file, wanted.threads, images[0]))
            print(f"{one.name} answers after {server.ready_s:.1f} s", flush=True)
            found[one.name]["ready_s"] = server.ready_s
            server.pause(paused=True)
            running[one.name] = server
        for turn in range(wanted.rounds):
            print(f"round {turn + 1} of {wanted.rounds}", flush=True)
            found["bare"]["one"].append(measure_bare(wanted.seconds))
            print(report.line("bare", found["bare"]["one"][-1]), flush=True)
            for one in who:
                server = running[one.name]
                server.pause(paused=False)
                bodies = write_bodies(folder / "bodies", [one.body(image) for image in images])
                for kind, clients in (("one", 1), ("many", wanted.clients)):
                    plan = {"clients": clients, "seconds": wanted.seconds}
                    load(server, bodies, folder, {**plan, "seconds": 2.0})
                    found[one.name][kind].append(load(server, bodies, folder, plan))
                    print(report.line(f"{one.name} {kind}", found[one.name][kind][-1]), flush=True)
                found[one.name]["memory_mb"] = server.memory_mb()
                server.pause(paused=True)
        for server in running.values():
            server.pause(paused=False)
    return report.summaries(found)


def load(server: Running, bodies: Path, folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """What clients of this plan saw, and what the server spent on them."""
    file, out = folder / "plan.json", folder / "seen.json"
    asked = {**plan, "host": "127.0.0.1", "port": server.port, "bodies": str(bodies)}
    file.write_text(json.dumps({**asked, "out": str(out)}))
    before_s = server.cpu_s()
    subprocess.run([sys.executable, str(HERE / "load.py"), str(file)], check=True)
    seen: dict[str, Any] = json.loads(out.read_text())
    seen["server_cpu_s"] = server.cpu_s() - before_s
    if seen["n_failed"]:
        print(f"  {seen['n_failed']} failed: {seen['failures'][:3]}", flush=True)
    return seen


@contextmanager
def bare(folder: Path, model_file: Path, images: list[bytes], threads: int) -> Iterator[Any]:
    """Gives a function that measures the pipeline alone for some seconds."""
    file = folder / "images"
    file.write_bytes(msgspec.msgpack.encode(images))
    command = [sys.executable, str(HERE / "in_process.py"), str(model_file), str(file)]
    process = subprocess.Popen(
        [*command, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def measure(seconds: float) -> dict[str, Any]:
        assert process.stdin is not None, "it was asked for"
        assert process.stdout is not None, "it was asked for"
        process.stdin.write(f"{seconds}\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer

    try:
        yield measure
    finally:
        process.kill()
        process.wait()


def swapped(
    wanted: argparse.Namespace, folder: Path, model_file: Path, images: list[bytes], capacity: float
) -> dict[str, Any]:
    """What becomes of requests while versions are swapped."""
    per_second = SHARE_OF_CAPACITY * capacity
    print(f"{wanted.swaps} swaps at {per_second:.1f} requests/s", flush=True)
    ours = contestants(wanted.tools)[0]
    bodies = write_bodies(folder / "bodies", [ours.body(image) for image in images])
    with running_agent(folder / "swaps", model_file, threads=wanted.threads, n_bundles=3) as agent:
        return swap_under_load(
            agent, bodies, folder, per_second=per_second, n_swaps=wanted.swaps,
            steady_s=wanted.steady_s,
        )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
