"""How long the fleet's and the monitors' pages take at a hundred thousand rows.

`python bench/fleet_pages.py [--devices N] [--monitors N] [--folder FOLDER]` fills a workspace by
the stores, as devices would have over years, and asks for every page as a browser does: once after
the database was opened anew (cold: SQLite's own cache is empty, the file system's is not), then
nine times more (warm, the median). Where other work shares the cores, the processor's time says
more than the wall's. A folder that was filled before is used as it is.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from litestar import Litestar
from litestar.testing import TestClient

from sightloop.contracts.bundle import BundleFile
from sightloop.contracts.check_in import CheckIn, SlotReport, StreamDeclaration, StreamPolicy
from sightloop.contracts.telemetry import Envelope, HealthBody, TelemetryBatch
from sightloop.evaluation.gate import RuleVerdict, Verdict
from sightloop.fleet import rollout_store
from sightloop.fleet import store as fleet
from sightloop.fleet.health import HealthCriteria, Placement
from sightloop.fleet.rollout import Ring, Rollout, RolloutId
from sightloop.fleet.values import Device, DeviceId, Report, Stream
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.workspace import Call, Workspace
from sightloop.monitoring import store as monitoring
from sightloop.monitoring.dependence import NeighbourSums
from sightloop.monitoring.detector import State
from sightloop.monitoring.evidence import Incident
from sightloop.monitoring.monitors import Monitor, Watched
from sightloop.monitoring.settings import MonitorSettings
from sightloop.registry import store as registry
from sightloop.registry.values import ModelName, VerdictId, VerdictRecord
from sightloop.server.app import build_app
from sightloop.server.console.session import begin_session
from sightloop.telemetry.services import store_batch
from sightloop.telemetry.values import StreamKey
from sightloop.wiring import create_workspace, ensure_token

RINGS = ("canary", "early", "fleet")
MEASURES = tuple(f"measure_{n}" for n in range(10))
AT_ONCE = 5_000
N_SITES = 1_000
N_WARM = 9
LIMIT_MS = 200.0

PAGES = (
    ("/", "the home page"),
    ("/fleet", "the first page"),
    ("/fleet?after=%5B%22site-0500%22%2C%22fleet%22%2C%22%22%5D", "a page in the middle"),
    ("/fleet?ring=canary", "a small ring"),
    ("/fleet?site=site-0990", "one site"),
    ("/fleet?model=rare", "a model of 100 devices"),
    ("/fleet?model=pcb", "a model of nearly all"),
    ("/fleet?state=online", "online"),
    ("/fleet?state=silent", "silent, one in a thousand"),
    ("/fleet?state=new", "never came by, one in a thousand"),
    ("/fleet?state=failing", "failing, one in a thousand"),
    ("/fleet?ring=fleet&model=rare&state=silent", "every filter at once"),
    ("/fleet/box-050000", "one device"),
    ("/fleet/rollouts", "rollouts, one of all devices under way"),
    ("/fleet/rollouts/rollout_big", "that rollout"),
    ("/incidents", "incidents"),
    ("/incidents?device=box-050000", "incidents of one device"),
    ("/incidents?state=closed&kind=loss&model=rare", "incidents, filters that find nothing"),
    ("/incidents?tab=monitors", "monitors"),
    ("/incidents?tab=monitors&promise=calibrated", "calibrated, one in a hundred"),
    ("/incidents?tab=monitors&alarm=yes&kind=loss", "filters that find nothing"),
    ("/incidents?tab=monitors&device=box-000500", "monitors of one device"),
    ("/incidents?tab=monitors&model=pcb", "monitors of one model"),
)


def main() -> None:
    """Fill the workspace where needed, and print a table of times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--monitors", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="fleet-pages-"))
    is_new = not (folder / "sightloop.toml").exists()
    workspace = create_workspace(folder, {})
    if is_new:
        began = time.perf_counter()
        fill(workspace, n_devices=given.devices, n_monitors=given.monitors)
        print(f"filled in {time.perf_counter() - began:.0f} s: {folder}")
    refresh(workspace)
    workspace.db.close()
    print("| page | what | cold (ms) | warm (ms) | warm, processor time (ms) |")
    print("|---|---|---:|---:|---:|")
    slowest = Took(0.0, 0.0)
    for path, what in PAGES:
        cold, warm = times_of(folder, path)
        slowest = Took(*(max(pair) for pair in zip(slowest, warm, strict=True)))
        row = (f"`{path}`", what, *(f"{ms:.0f}" for ms in (cold.wall_ms, *warm)))
        print("|", " | ".join(row), "|", flush=True)
    print(
        f"\nslowest warm page: {slowest.wall_ms:.0f} ms, of the processor "
        f"{slowest.processor_ms:.0f} ms; bound {LIMIT_MS:.0f} ms"
    )


class Took(NamedTuple):
    """How long an answer took by the clock on the wall, and by the process's own."""

    wall_ms: float
    processor_ms: float


def times_of(folder: Path, path: str) -> tuple[Took, Took]:
    """The first answer of a server that has just opened the files, and the median of later ones."""
    workspace = create_workspace(folder, {})
    with TestClient(build_app(workspace), base_url="http://testserver.local") as client:
        session = begin_session(workspace, ensure_token(workspace))
        client.cookies.set("sightloop_session", session)
        client.get("/sign-in")  # templates are compiled once per process
        workspace.db.close()
        answers = [_timed(client, path) for _ in range(N_WARM + 1)]
    workspace.db.close()
    wall, processor = zip(*answers[1:], strict=True)
    return answers[0], Took(statistics.median(wall), statistics.median(processor))


def _timed(client: TestClient[Litestar], path: str) -> Took:
    began, began_processor = time.perf_counter(), time.process_time()
    answer = client.get(path)
    assert answer.status_code == 200, answer.text[:500]
    wall_s, processor_s = time.perf_counter() - began, time.process_time() - began_processor
    return Took(wall_s * 1000, processor_s * 1000)


def refresh(workspace: Workspace) -> None:
    """Let every device have spoken just now, but for the silent: a folder may be old."""
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        # Straight at the table: a hundred thousand check-ins would take longer than the bench.
        tx.exec_driver_sql(
            f"update device_reports set seen_at_ms = {now_ms} where seen_at_ms > 1000"
        )


def fill(workspace: Workspace, *, n_devices: int, n_monitors: int) -> None:
    """Devices of a thousand sites, a rollout of all of them, monitors and incidents."""
    bundles = {model: _release(workspace, model) for model in ("pcb", "rare")}
    now_ms = workspace.clock.now_ms()
    for start in range(0, n_devices, AT_ONCE):
        with workspace.db.write() as tx:
            for n in range(start, min(start + AT_ONCE, n_devices)):
                _add_device(tx, n, n_devices, bundles, now_ms=now_ms)
    for n in range(0, n_devices, N_SITES):  # all of the first site, which the first page shows
        _send_health(workspace, _id(n), bundles["pcb"])
    _add_rollout(workspace, bundles["pcb"], n_devices=n_devices, now_ms=now_ms)
    _add_monitors(workspace, bundles["pcb"], n_monitors=n_monitors, now_ms=now_ms)


def _id(n: int) -> DeviceId:
    return DeviceId(f"dev_{n:06d}")


def _release(workspace: Workspace, model: str) -> Digest:
    bundle = workspace.blobs.put(f"manifest of {model}".encode())
    with workspace.db.write() as tx:
        registry.add_version(
            tx,
            model=ModelName(model),
            bundle=bundle,
            files=[BundleFile("model.onnx", bundle, 20)],
            run="run_1",
            dataset_commit=digest_of(b"commit"),
            now_ms=0,
        )
        rule = RuleVerdict(rule="r", outcome="pass", reason="", value=None, bound=0.0)
        registry.add_verdict(
            tx,
            VerdictRecord(
                id=VerdictId(f"verdict_{model}"),
                model=ModelName(model),
                number=1,
                champion=None,
                verdict=Verdict(outcome="pass", rules=[rule]),
                evaluation="evaluation_1",
                champion_evaluation=None,
                decided_at_ms=0,
            ),
        )
    return bundle


def _add_device(tx: Tx, n: int, n_devices: int, bundles: dict[str, Digest], *, now_ms: int) -> None:
    model = "rare" if n % max(n_devices // 100, 1) == 1 else "pcb"
    device = Device(
        id=_id(n),
        name=f"box-{n:06d}",
        ring=RINGS[0] if n % 100 == 0 else RINGS[1] if n % 10 == 0 else RINGS[2],
        site=f"site-{n % N_SITES:04d}",
        device_class="cpu",
        agent_version="0.1.0",
        capabilities=["bundle/1", "detect", "onnx-cpu", "profile/1"],
        enrolled_at_ms=now_ms,
    )
    fleet.put_device(tx, device)
    fleet.add_slots(tx, device.id, {"main": model})
    (slot,) = fleet.slots_of(tx, device.id)
    bundle = bundles[model]
    moved = msgspec.structs.replace(slot, counter=1, number=1, bundle=bundle)
    fleet.move_slots(tx, [(moved, 0)])
    policy = StreamPolicy(stream="cam")
    fleet.put_stream(
        tx, Stream(device=device.id, name="cam", slot="main", stratum="line=a", policy=policy)
    )
    if n % 1000 == 7:
        return  # it never came by
    seen_at_ms = 1 if n % 1000 == 8 else now_ms
    fleet.put_report(tx, device, _report(device.id, bundle, n=n, seen_at_ms=seen_at_ms))


def _report(device: DeviceId, bundle: Digest, *, n: int, seen_at_ms: int) -> Report:
    slot = SlotReport(
        slot="main",
        state="failed" if n % 1000 == 9 else "serving",
        running=bundle,
        assigned=bundle,
        counter=1,
        golden_passed=True,
        n_requests=1000 + n,
        n_failed=n % 7,
        latency_p95_ms=12.5,
        problem="",
    )
    check_in = CheckIn(
        device=device,
        agent_version="0.1.0",
        capabilities=["bundle/1", "detect", "onnx-cpu", "profile/1"],
        boot="boot_1",
        at_ms=seen_at_ms,
        streams=[StreamDeclaration("cam", "main", "line=a")],
        slots=[slot],
        n_spooled=n % 5,
    )
    return Report(seen_at_ms=seen_at_ms, check_in=check_in)


def _send_health(workspace: Workspace, device: DeviceId, bundle: Digest) -> None:
    call = Call(Actor(ActorId(device), "device", Role.DEVICE))
    envelopes = [
        Envelope(device=device, sequence=n, at_ms=n, body=body)
        for n, body in enumerate(_windows(bundle), 1)
    ]
    store_batch(workspace, call, TelemetryBatch(envelopes=envelopes))


def _windows(bundle: Digest) -> Iterator[HealthBody]:
    for n in range(50):
        yield HealthBody(
            slot="main",
            bundle=bundle,
            started_at_ms=n * 60_000,
            ended_at_ms=(n + 1) * 60_000,
            n_requests=100,
            n_failed=0,
            latency_bounds_ms=[5.0, 10.0, 20.0, 50.0],
            latency_counts=[10, 80 - n % 7, 9, 1, n % 7],
            resident_bytes=134_000_000,
        )


def _add_rollout(workspace: Workspace, bundle: Digest, *, n_devices: int, now_ms: int) -> None:
    """One that has reached every device, and is not over."""
    rollout = Rollout(
        id=RolloutId("rollout_big"),
        model="pcb",
        number=1,
        bundle=bundle,
        criteria=HealthCriteria(),
        rings=[Ring(name=name, opened_at_ms=now_ms) for name in RINGS],
        state="paused",
        started_at_ms=now_ms,
        paused_at_ms=now_ms,
    )
    with workspace.db.write() as tx:
        rollout_store.add_rollout(tx, rollout)
        rings = {device.id: device.ring for device in fleet.all_devices(tx)}
    for start in range(0, n_devices, AT_ONCE):
        placements = [
            Placement(
                device=_id(n),
                slot="main",
                ring=rings[_id(n)],
                counter=1,
                previous=None,
                previous_number=None,
                previous_p95_ms=10.0,
                assigned_at_ms=now_ms,
                switched_at_ms=now_ms if n % 3 else None,
                healthy_at_ms=now_ms if n % 3 == 2 else None,
            )
            for n in range(start, min(start + AT_ONCE, n_devices))
        ]
        with workspace.db.write() as tx:
            rollout_store.add_placements(tx, rollout.id, placements)


def _add_monitors(workspace: Workspace, bundle: Digest, *, n_monitors: int, now_ms: int) -> None:
    """Ten measures per stream; an incident for each stream, one in a hundred of them open."""
    with workspace.db.write() as tx:
        monitoring.add_release(tx, bundle, MonitorSettings(n_streams=10_000), now_ms=now_ms)
    for start in range(0, n_monitors, AT_ONCE):
        span = range(start, min(start + AT_ONCE, n_monitors))
        with workspace.db.write() as tx:
            monitoring.save_monitors(tx, [_monitor(n, bundle, now_ms=now_ms) for n in span])
            for n in span[:: len(MEASURES)]:
                camera = StreamKey(_id(n // 10), "cam")
                monitoring.add_stream(tx, bundle, camera, ordinal=n // 10 + 1)
            for n in span:
                monitoring.add_incident(tx, _incident(n, bundle, now_ms=now_ms))


def _monitor(n: int, bundle: Digest, *, now_ms: int) -> Monitor:
    watched = Watched(
        kind="input",
        device=_id(n // 10),
        stream="cam",
        slot="main",
        bundle=bundle,
        stratum="line=a",
    )
    statistic = (n * 7919 % 10_007) / 10_007 * 12
    state = State(100, 10_000, statistic, 3, [0.5] * 42, [9_000] * 42)
    return Monitor(
        id=f"monitor_{n:06d}",
        watched=watched,
        measure=MEASURES[n % 10],
        guarantee="calibrated" if n % 100 == 3 else "guaranteed",
        reason="neighbouring images are alike" if n % 100 == 3 else "",
        threshold_nats=13.6,
        state=state,
        neighbours=NeighbourSums(1000, 100, 0.1, 1.0),
        incident=f"incident_{n:06d}" if n % 1000 == 0 else None,
        updated_at_ms=now_ms,
    )


def _incident(n: int, bundle: Digest, *, now_ms: int) -> Incident:
    return Incident(
        id=f"incident_{n:06d}",
        kind="loss" if n % 10 == 0 else "input",
        state="open" if n % 1000 == 0 else "closed",
        monitor=f"monitor_{n:06d}",
        measure=MEASURES[n % 10],
        device=_id(n // 10),
        stream="cam",
        slot="main",
        bundle=bundle,
        model="pcb",
        stratum="line=a",
        opened_at_ms=now_ms - n * 1000,
        statistic_nats=14.0,
        threshold_nats=13.6,
        guarantee="guaranteed",
        evidence=digest_of(b"evidence"),
        closed_at_ms=None if n % 1000 == 0 else now_ms,
        closed_because="" if n % 1000 == 0 else "lamp replaced",
    )


if __name__ == "__main__":
    main()
