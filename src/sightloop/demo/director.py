"""The demo from its first scene to its last, and the verdict on what was promised."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TypeVar

import msgspec
import urllib3

from sightloop.datasets.importing import ImportDataset, Imported
from sightloop.datasets.splits import SplitRule
from sightloop.demo.annotator import Annotator
from sightloop.demo.cameras import Camera, Shot
from sightloop.demo.errors import UnusableDemoData
from sightloop.demo.policy import GENERATED, MODEL, REPLAY, RINGS, Scale, demo_policy, write_policy
from sightloop.demo.promises import Observed, Promise, judge_promises
from sightloop.demo.referee import Contender, Seen, compare, fetch, never_trained_on
from sightloop.demo.report import Material, render_report
from sightloop.demo.screen import Screen, print_outcome
from sightloop.demo.stage import Agent, Stage, opened_stage, wait_for
from sightloop.demo.story import Records, Report, gather, named, traffic_of
from sightloop.demo.world import World, WorldImage, coco_world, generated_world, write_import_folder
from sightloop.evaluation.bootstrap import Gain
from sightloop.fleet.devices import DeviceList, ListDevices
from sightloop.inference.images import read_facts
from sightloop.kernel.digests import Digest, short
from sightloop.kernel.errors import NotFound
from sightloop.kernel.files import write_atomic
from sightloop.loop.evidence import EvidenceChain, ShowEvidence
from sightloop.loop.services import AuditFacts, LoopStatus, RunLoop, ShowLoop
from sightloop.loop.turns import Turn, TurnState
from sightloop.monitoring.evidence import Incident
from sightloop.monitoring.incidents import ListIncidents
from sightloop.review.listing import ListTasks, TaskList
from sightloop.server.callers import RemoteRefusal
from sightloop.training.services import JobFacts, ShowJob

Result = TypeVar("Result")

TURN_TIMEOUT_S = 2400.0
SETTLE_S = 12.0
"""How long nothing may be under way before the demo believes that nothing will be."""
ALWAYS_SPOOLED = 3
"""Messages that may lie on a device at any moment, health reports among them."""
TOLERATED_RISE = 0.1
"""From which rise of the mean loss on the new line on the referee calls the model worse."""

DRAW, OPEN, IMPORT, ENROL = "see the world", "open a workspace", "import images", "enrol devices"
FIRST = "train, prove and release the first model"
WATCH = "watch the lines run as ever"
CHANGE = "a new product line arrives"
ANSWER = "alarm, audit, flag, label"
AGAIN = "retrain, prove and release again"
REFEREE = "let the referee measure"
TELL = "write the report"
SCENES = [DRAW, OPEN, IMPORT, ENROL, FIRST, WATCH, CHANGE, ANSWER, AGAIN, REFEREE, TELL]


class DemoRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to play. Without `data` the images are drawn."""

    data: str = ""
    split_key: str = ""
    slice_field: str = ""
    start_slices: list[str] = []
    new_slice: str = ""
    out: str = "sightloop-demo"
    seed: int = 7


def run_demo(request: DemoRequest, *, as_json: bool = False) -> bool:
    """Play the demo; True when every promise was kept. Writes `report.json` and `report.html`.

    Raises:
        UnusableDemoData: the data folder cannot serve.
        FolderInUse: the output folder holds other files.
        DemoStuck: a station did not come to its end.
    """
    _check(request)
    with opened_stage(Path(request.out)) as stage, Screen(SCENES, quiet=as_json) as screen:
        report = Director(stage, screen, request).play()
        screen.end()
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
    else:
        print_outcome(report, stage.out)
    return report.kept_all


class Director:
    """Plays one demo. Every scene is a method; `play` is their order."""

    def __init__(self, stage: Stage, screen: Screen, request: DemoRequest) -> None:
        self._stage = stage
        self._screen = screen
        self._request = request
        self._scale: Scale = REPLAY if request.data else GENERATED
        self._began_at_ms = time.time_ns() // 1_000_000
        self._began_s = time.monotonic()
        self._station_s: dict[str, float] = {}
        self._shots: list[Shot] = []
        self._lock = threading.Lock()
        self._cameras: dict[str, Camera] = {}
        self._memory: dict[str, int] = {}
        self._changed_at_ms = 0

    def play(self) -> Report:
        """All scenes; cameras and annotator stop whatever happens."""
        self._world = self._scene(DRAW, self._see_the_world)
        self._scene(OPEN, self._open)
        self._scene(IMPORT, self._import)
        self._scene(ENROL, self._enrol)
        self._annotator = Annotator(self._stage, self._world)
        self._annotator.start()
        try:
            self._scene(FIRST, self._release_first)
            self._scene(WATCH, self._watch)
            self._scene(CHANGE, self._change)
            turn = self._scene(ANSWER, self._answer)
            if turn is not None:
                self._scene(AGAIN, lambda: self._wait_for_turn(turn))
        finally:
            self._annotator.stop()
            for camera in self._cameras.values():
                camera.stop()
        return self._scene(REFEREE, self._judge)

    def _scene(self, title: str, scene: Callable[[], Result]) -> Result:
        self._screen.begin(title)
        started_s = time.monotonic()
        result = scene()
        self._station_s[title] = time.monotonic() - started_s
        return result

    # --- before the first model ---------------------------------------------------------------

    def _see_the_world(self) -> World:
        request = self._request
        if not request.data:
            return generated_world(
                self._stage.out / "world", seed=request.seed, progress=self._screen.progress
            )
        return coco_world(
            Path(request.data).resolve(),
            key_field=request.split_key,
            slice_field=request.slice_field,
            start_slices=request.start_slices,
            new_slice=request.new_slice,
        )

    def _open(self) -> None:
        workspace = self._stage.workspace
        subprocess.run(
            [sys.executable, "-m", "sightloop.cli.main", "init", "--workspace", str(workspace)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        settings = workspace / "sightloop.toml"
        # One thread: the other core is for the devices, which run on this machine as well.
        more = "check_in_every_s = 1.0\n[training]\nthreads = 1\n"
        settings.write_text(settings.read_text() + more)
        policy = demo_policy(
            self._scale,
            slice_field=self._world.slice_field,
            image_size_px=_input_size_px(self._world),
        )
        write_policy(policy, workspace)
        self._policy = policy.models[MODEL]
        self._screen.note(f"the server answers after {self._stage.start_server():.1f} s")

    def _import(self) -> None:
        folder = self._stage.out / "import"
        folder.mkdir()
        request = ImportDataset(
            source=str(write_import_folder(self._world, folder)),
            images=str(self._world.images_folder),
            strict=True,
            message="What the lines have made so far",
            split_key=self._world.key_field,
            slice_fields=[self._world.slice_field],
            # More is held back than usual: with so few images, alarms and gates need them more.
            split_rule=SplitRule(train=0.65, val=0.15, test=0.2),
            ignore_splits=True,
        )
        progress = self._screen.progress
        made = self._stage.call("data.import", request, Imported, progress=progress)
        lines = ", ".join(self._world.start_slices)
        self._screen.note(
            f"{made.n_samples} images, {made.n_annotations} boxes of {lines} "
            f"in commit {short(made.commit)}"
        )

    def _enrol(self) -> None:
        for ring, line in zip(RINGS, self._world.start_slices, strict=False):
            self._stage.start_agent(
                name=f"box-{line}",
                ring=ring,
                stratum=f"{self._world.slice_field}={line}",
                model=MODEL,
            )
            self._screen.note(f"box-{line} watches line {line}, ring {ring}")

    # --- the first model, and quiet days ------------------------------------------------------

    def _release_first(self) -> None:
        turn = self._stage.call("loop.run", RunLoop(model=MODEL, reason="first model"), Turn)
        self._wait_for_turn(turn)

    def _watch(self) -> None:
        cameras = list(self._cameras.values())
        n_images = sum(camera.n_left for camera in cameras)

        def all_shown() -> bool:
            left = sum(camera.n_left for camera in cameras)
            self._screen.progress("images passing by", n_images - left, n_images)
            self._update_figures()
            return left == 0

        wait_for(WATCH, all_shown, timeout_s=TURN_TIMEOUT_S, problem=self._problem)
        self._let_settle()
        self._memory = self._stage.resident_bytes()
        self._screen.note(f"{len(self._incidents())} incidents after {n_images} images")

    # --- the change and its answer ----------------------------------------------------------------

    def _change(self) -> None:
        self._changed_at_ms = time.time_ns() // 1_000_000
        self._new_line_camera.show(self._world.to_show[self._world.new_slice])
        self._screen.note(
            f"{self._world.new_slice} now passes {self._new_line_camera.stream}; nobody was told"
        )
        wait_for(
            CHANGE,
            lambda: self._new_line_is_over() or bool(self._incidents()),
            timeout_s=TURN_TIMEOUT_S,
            problem=self._problem,
        )
        for incident in self._incidents()[:1]:
            n_images = self._n_new_line_shown(until_ms=incident.opened_at_ms)
            self._screen.note(
                f"{incident.kind} incident on {incident.measure} after {n_images} images"
            )

    def _answer(self) -> Turn | None:
        """The turn that the loop opened, or None when the row is over and nothing came of it."""
        quiet_since_s = time.monotonic()

        def decided() -> bool:
            nonlocal quiet_since_s
            self._update_figures()
            camera = self._new_line_camera
            n_new = len(self._world.to_show[self._world.new_slice])
            self._screen.progress("images of the new line", n_new - camera.n_left, n_new)
            if not self._new_line_is_over() or self._is_something_under_way():
                quiet_since_s = time.monotonic()
            is_quiet = time.monotonic() - quiet_since_s > SETTLE_S
            return self._second_turn() is not None or is_quiet

        wait_for(ANSWER, decided, timeout_s=TURN_TIMEOUT_S, problem=self._problem)
        turn = self._second_turn()
        audited, trained = (len(self._annotator.labelled[kind]) for kind in ("audit", "train"))
        self._screen.note(f"{audited} images audited, {trained} labelled for training so far")
        self._screen.note("no retraining" if turn is None else turn.reason)
        return turn

    # --- what was it worth ---------------------------------------------------------------------

    def _judge(self) -> Report:
        self._let_settle()
        records = gather(self._stage, MODEL)
        first, last = (
            fetch(self._stage.server_url, card.version, self._stage.out)
            for card in (records.cards[0], records.cards[-1])
        )
        seen = self._seen_samples(records)
        audit = self._stage.call("audit.verify", ShowLoop(), AuditFacts)
        new_images = never_trained_on(self._world, [self._world.new_slice], seen)
        old_images = never_trained_on(self._world, self._world.start_slices, seen)
        self._screen.progress("measuring on images never trained on", 1, 3)
        retrained = len(records.cards) > 1
        new_gain = compare(first, last, new_images, self._world) if retrained else None
        self._screen.progress("measuring on images never trained on", 2, 3)
        old_gain = compare(first, last, old_images, self._world) if retrained else None
        self._screen.progress("measuring on images never trained on", 3, 3)
        rise = self._loss_rise(first)
        observed = self._observe(
            records, rise=rise, new_gain=new_gain, old_gain=old_gain, n_sealed=audit.n_events
        )
        report = self._report(records, judge_promises(observed), observed)
        self._screen.begin(TELL)
        self._write(report, records, first=first, last=last, images=new_images)
        return report

    def _seen_samples(self, records: Records) -> Seen:
        """Images and split keys that any run looked at."""
        images: set[Digest] = set()
        keys: set[str] = set()
        for card in records.cards:
            request = ShowEvidence(version=card.version.name, n_samples=1_000_000)
            chain = self._stage.call("models.evidence", request, EvidenceChain)
            assert chain.commit is not None, "the demo's models are trainings"
            images |= {sample.image for sample in chain.commit.samples}
            keys |= {sample.split_key for sample in chain.commit.samples}
        return Seen(images, keys)

    def _loss_rise(self, first: Contender) -> float:
        """How much worse the first model is on the new line than on the line it replaced."""
        images = self._world.to_show[self._world.new_slice]
        answers = [first.answer(image, self._world.class_names) for image in images]
        stratum = f"{self._world.slice_field}={self._replaced_line}"
        return first.mean_loss(answers) - first.bundle.reference.losses[stratum].mean

    def _observe(
        self,
        records: Records,
        *,
        rise: float,
        new_gain: Gain | None,
        old_gain: Gain | None,
        n_sealed: int,
    ) -> Observed:
        incidents = [one.incident for one in records.explanations]
        after = [i for i in incidents if i.opened_at_ms >= self._changed_at_ms]
        devices = self._stage.call("devices.list", ListDevices(), DeviceList).devices
        champion = records.evidence.version.bundle
        running = [s.report.running if s.report else None for d in devices for s in d.slots]
        first_alarm_ms = min((i.opened_at_ms for i in after), default=None)
        return Observed(
            n_alarms_before=len(incidents) - len(after),
            images_until_alarm=None
            if first_alarm_ms is None
            else self._n_new_line_shown(until_ms=first_alarm_ms),
            alarm_within=self._scale.alarm_within,
            n_requests=len(self._shots),
            n_failed=sum(not shot.ok for shot in self._shots),
            n_devices=len(devices),
            n_devices_elsewhere=sum(bundle != champion for bundle in running),
            model_got_worse=rise > TOLERATED_RISE,
            loss_rise=rise,
            tolerated_rise=TOLERATED_RISE,
            n_retrainings=len(records.turns) - 1,
            new_gain=new_gain,
            old_gain=old_gain,
            max_drop=self._policy.gate.max_drop,
            n_train_labels=len(self._annotator.labelled["train"]),
            label_budget=self._policy.retrain.label_budget,
            evidence_holds=n_sealed > 0 and bool(records.evidence.devices),
        )

    def _report(self, records: Records, promises: list[Promise], seen: Observed) -> Report:
        kept_all = all(promise.kept for promise in promises)
        labelled = self._annotator.labelled
        return Report(
            kept_all=kept_all,
            promises=promises,
            summary=_summary(self._world, seen),
            why=_why(records, seen),
            started_at_ms=self._began_at_ms,
            duration_s=time.monotonic() - self._began_s,
            station_s=self._station_s,
            command=shlex.join(["sightloop", *sys.argv[1:]]),
            hardware=f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
            versions={
                name: version_of(name) for name in ("sightloop", "ultralytics", "onnxruntime")
            },
            labels={
                "audited": len(labelled["audit"]),
                "for training": len(labelled["train"]),
                "in all": len(labelled["audit"] | labelled["train"]),
            },
            n_new_line_shown=self._n_new_line_shown(),
            traffic=traffic_of(self._shots),
            memory_bytes=self._memory,
            new_gain=seen.new_gain,
            old_gain=seen.old_gain,
            named=named(records),
        )

    def _write(
        self,
        report: Report,
        records: Records,
        *,
        first: Contender,
        last: Contender,
        images: Sequence[WorldImage],
    ) -> None:
        out = self._stage.out
        write_atomic(out / "report.json", msgspec.json.format(msgspec.json.encode(report)))
        material = Material(
            report=report,
            records=records,
            world=self._world,
            shots=self._shots,
            changed_at_ms=self._changed_at_ms,
            first=first,
            last=last,
            new_images=images,
        )
        write_atomic(out / "report.html", render_report(material).encode())

    # --- looking and waiting ----------------------------------------------------------------------

    @property
    def _replaced_line(self) -> str:
        """The line whose camera sees the new product: the last of the start slices."""
        return self._world.start_slices[-1]

    @property
    def _new_line_camera(self) -> Camera:
        return self._cameras[f"box-{self._replaced_line}"]

    def _wait_for_turn(self, turn: Turn) -> None:
        def ended() -> bool:
            self._start_cameras()
            self._update_figures()
            found = self._turn(turn.id)
            self._show_progress(found)
            return found.has_ended

        wait_for(turn.reason, ended, timeout_s=TURN_TIMEOUT_S, problem=self._problem)
        found = self._turn(turn.id)
        if found.state is not TurnState.RELEASED and turn.trigger.kind == "person":
            wait_for(turn.reason, lambda: False, timeout_s=0, problem=lambda: found.reason)
        self._screen.note(f"{found.state}: {found.reason}")

    def _show_progress(self, turn: Turn) -> None:
        if turn.state is TurnState.TRAINING and turn.run is not None:
            try:
                job = self._stage.call("runs.job", ShowJob(run=turn.run), JobFacts).job
            except (NotFound, RemoteRefusal):  # the run is about to be recorded
                job = None
            if job is not None and job.total:
                self._screen.progress(f"training: {job.doing}", job.done, job.total)
                return
        self._screen.progress(turn.state.value, 0, 0)

    def _start_cameras(self) -> None:
        """A camera begins as soon as its device serves; it never waits for the others."""
        for agent, line in zip(self._stage.agents, self._world.start_slices, strict=False):
            if agent.name not in self._cameras and _is_ready(agent):
                camera = Camera(
                    device=agent.name,
                    stream=agent.stream,
                    url=agent.url,
                    model=MODEL,
                    per_second=self._scale.per_second,
                    on_shot=self._note_shot,
                )
                camera.show(self._world.to_show[line])
                camera.start()
                self._cameras[agent.name] = camera

    def _note_shot(self, shot: Shot) -> None:
        with self._lock:
            self._shots.append(shot)

    def _n_new_line_shown(self, *, until_ms: int | None = None) -> int:
        with self._lock:
            return sum(
                shot.fresh
                and shot.slice_value == self._world.new_slice
                and (until_ms is None or shot.sent_at_ms <= until_ms)
                for shot in self._shots
            )

    def _new_line_is_over(self) -> bool:
        return self._new_line_camera.n_left == 0

    def _is_something_under_way(self) -> bool:
        status = self._stage.call("loop.status", ShowLoop(), LoopStatus)
        is_busy = any(step.state.value in ("waiting", "running") for step in status.steps)
        tasks = self._stage.call("review.list", ListTasks(states=["open"], limit=1), TaskList)
        devices = self._stage.call("devices.list", ListDevices(), DeviceList).devices
        is_late = any(device.n_spooled > ALWAYS_SPOOLED for device in devices)
        return is_busy or bool(tasks.tasks) or bool(status.n_events_waiting) or is_late

    def _let_settle(self) -> None:
        quiet_since_s = time.monotonic()

        def is_quiet() -> bool:
            nonlocal quiet_since_s
            if self._is_something_under_way():
                quiet_since_s = time.monotonic()
            return time.monotonic() - quiet_since_s > SETTLE_S / 3

        wait_for("letting work settle", is_quiet, timeout_s=120.0, problem=self._problem)

    def _turn(self, turn: str) -> Turn:
        turns = self._stage.call("loop.status", ShowLoop(), LoopStatus).turns
        return next(found for found in turns if found.id == turn)

    def _second_turn(self) -> Turn | None:
        turns = self._stage.call("loop.status", ShowLoop(), LoopStatus).turns
        return turns[1] if len(turns) > 1 else None

    def _incidents(self) -> list[Incident]:
        found = self._stage.call("monitor.incidents", ListIncidents(), list[Incident])
        return sorted(found, key=lambda incident: incident.opened_at_ms)

    def _problem(self) -> str:
        return self._annotator.problem

    def _update_figures(self) -> None:
        with self._lock:
            n_requests = len(self._shots)
            n_failed = sum(not shot.ok for shot in self._shots)
            served = {shot.device: shot.version for shot in self._shots if shot.ok}
            recent = sorted(shot.latency_ms for shot in self._shots[-200:])
        labelled = self._annotator.labelled
        counts = {v: list(served.values()).count(v) for v in sorted(served.values())}
        versions = ", ".join(f"@{version} on {n}" for version, n in counts.items())
        self._screen.figure("requests", f"{n_requests} ({n_failed} failed)")
        if recent:
            self._screen.figure("p95", f"{recent[int(0.95 * (len(recent) - 1))]:.0f} ms")
        self._screen.figure("serving", versions or "nothing yet")
        self._screen.figure(
            "labels", f"{len(labelled['audit'])} audited, {len(labelled['train'])} to learn"
        )


def _check(request: DemoRequest) -> None:
    if not request.data:
        return
    given = {
        "--split-key": request.split_key,
        "--slice-field": request.slice_field,
        "--start-slices": request.start_slices,
        "--new-slice": request.new_slice,
    }
    if missing := [flag for flag, value in given.items() if not value]:
        raise UnusableDemoData(where=request.data, problem=f"{', '.join(missing)} not given")
    if len(request.start_slices) != len(RINGS):
        raise UnusableDemoData(
            where=request.data,
            problem=f"--start-slices names {len(request.start_slices)} lines, "
            f"the demo has {len(RINGS)} devices",
        )


def _input_size_px(world: World) -> int:
    """The images' longer side, up to the next multiple of 32 that YOLO takes."""
    first = world.imported[0].path
    facts = read_facts(first.read_bytes(), name=first.name)
    return -(-max(facts.width_px, facts.height_px) // 32) * 32


def _is_ready(agent: Agent) -> bool:
    try:
        answer = urllib3.request("GET", f"{agent.url}/v2/health/ready", retries=False, timeout=2.0)
    except (OSError, urllib3.exceptions.HTTPError):
        return False
    return answer.status == 200


def _summary(world: World, seen: Observed) -> str:
    began = (
        f"Line {world.new_slice} began under a model trained on {', '.join(world.start_slices)}."
    )
    if seen.new_gain is None:
        return f"{began} Sightloop left the model as it is."
    return (
        f"{began} Sightloop noticed after {seen.images_until_alarm} images, had "
        f"{seen.n_train_labels} labelled to learn from, and released a model that finds more: "
        f"AP50 on the new line {seen.new_gain.first:.2f} before, {seen.new_gain.second:.2f} after."
    )


def _why(records: Records, seen: Observed) -> str:
    """In words: what opened, and why that led to a retraining or did not."""
    if seen.n_retrainings > 0:
        return records.turns[-1].trigger.reason
    kinds = [one.incident.kind for one in records.explanations]
    opened = (
        f"{kinds.count('input')} input and {kinds.count('loss')} loss incidents opened"
        if kinds
        else "no incident opened"
    )
    return (
        f"{opened}. Inputs that look different do not retrain a model; only an audited loss that "
        "rises for certain does, and it did not: the referee finds a change of "
        f"{seen.loss_rise:+.3f} on the new line."
    )
