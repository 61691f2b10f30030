"""Puts an agent together and runs it until it is told to stop.

One event loop serves clients and minds the workers; three threads talk to the server (check-in,
installer, forwarder) and one writes the spool. Clients are served before the server is asked
anything, and whatever happens to the server's side never reaches theirs.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import traceback
from collections.abc import Coroutine
from pathlib import Path

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from sightloop.contracts.assignment import SignedAssignment
from sightloop.contracts.check_in import CheckIn, SlotReport, StreamPolicy
from sightloop.device.agent_store import AgentStore
from sightloop.device.agent_updates import AgentUpdates
from sightloop.device.bundle_store import BundleStore
from sightloop.device.check_in import CheckIns, describe_device
from sightloop.device.enrolment import identity_of
from sightloop.device.errors import StartFailed
from sightloop.device.forwarder import Forwarder
from sightloop.device.front import Front, make_app
from sightloop.device.home import Home, Identity, open_home
from sightloop.device.installer import Installer
from sightloop.device.intake import Intake
from sightloop.device.launcher import RESTART
from sightloop.device.listener import open_listener, url_of
from sightloop.device.log import Log
from sightloop.device.metrics_route import Metrics
from sightloop.device.model_slot import ModelSlot
from sightloop.device.oip_routes import OipRoutes
from sightloop.device.openapi import openapi_document
from sightloop.device.outbox import Outbox
from sightloop.device.page import PageRoutes
from sightloop.device.predict_route import PredictRoute
from sightloop.device.recorder import Recorder
from sightloop.device.repeating import RepeatingThread
from sightloop.device.server_link import ServerLink
from sightloop.device.service_manager import VARIABLE, ServiceManager
from sightloop.device.settings import AgentSettings, keep_settings
from sightloop.device.sources.sources import Sources
from sightloop.device.spool import Spool
from sightloop.device.state import Installed, StateFile
from sightloop.device.status import AgentStatus, SpoolStatus, report_of, status_of
from sightloop.device.tuned import read_tuning
from sightloop.device.usb_update import answer_request
from sightloop.device.version import AGENT_VERSION
from sightloop.kernel.clock import Clock, SystemClock
from sightloop.kernel.errors import DiskFull, SightloopError
from sightloop.kernel.ids import TimeSortedIds

TICK_S = 0.5
"""How often windows, health and hanging workers are looked after."""

STOP_S = 5.0
KEEP_ALIVE_S = 120
"""Longer than clients keep idle connections: they close first, so none meets a closed one."""

MOST_CONNECTIONS = 4096


def run_agent(settings: AgentSettings) -> int:
    """Run until SIGTERM or SIGINT; 0 after an orderly end, 75 to be
    started again by the launcher, 1 with a reason on standard error.
    """
    clock = SystemClock()
    log = Log(clock)
    try:
        with (
            open_home(Path(settings.home)) as home,
            open_listener(settings.host, settings.port) as listener,
        ):
            identity = identity_of(home, settings, clock)
            keep_settings(settings)
            agent = Agent(home, settings, identity, clock=clock, log=log)
            _run(agent.serve(listener))
            return agent.exit_code
    except SightloopError as error:
        sys.stderr.write(f"{error.code} {error.message}\n")
        return 1


class Agent:
    """All parts of one agent, wired together. Made on the main thread, serves once."""

    def __init__(
        self,
        home: Home,
        settings: AgentSettings,
        identity: Identity,
        *,
        clock: Clock,
        log: Log,
    ) -> None:
        self.exit_code = 0
        """With which the process ends after `serve`."""
        self._settings = settings
        self._device = identity.device
        self._clock = clock
        self._log = log
        self._boot = TimeSortedIds(clock).new("boot")
        self._started_at_ms = clock.now_ms()
        self._home = home
        self._manager = ServiceManager(os.environ.get(VARIABLE, ""))
        self._state = StateFile(home.state_file)
        self._store = BundleStore(home.bundles)
        self._link = ServerLink(settings.server, token=identity.token)
        self._spool = Spool(
            home.spool,
            device=identity.device,
            limit_bytes=settings.spool_bytes,
            # Should the spool ever be lost, numbers go on above those used since enrolment.
            first_sequence=1 + max(0, self._started_at_ms - identity.enrolled_at_ms),
        )
        self._outbox = Outbox(self._spool, clock)
        self._recorder = Recorder(
            identity.device,
            settings.streams,
            policies=self._state.now.policies,
            post=self._outbox,
            clock=clock,
            seed=self._boot,
        )

    async def serve(self, listener: socket.socket) -> None:
        """Serve clients on the listener until a signal says stop; then leave all in order."""
        self._loop = asyncio.get_running_loop()
        self._slots = {name: self._make_slot(name) for name in self._settings.slots()}
        self._make_stations()
        self._outbox.start()
        for name, slot in self._slots.items():
            current = self._state.now.to_begin(name)
            if current is not None:
                slot.begin(current)
        app = self._make_app()
        for station in self._stations:
            station.start()
        self._sources.start()
        ticking = asyncio.create_task(self._tick())
        self._log.event("agent.serving", device=self._device, url=url_of(listener))
        self._manager.tell("READY=1")
        await _serve_http(app, listener)
        self._manager.tell("STOPPING=1")
        self._log.event("agent.stopping", device=self._device)
        ticking.cancel()
        await self._stop()

    async def _stop(self) -> None:
        await self._sources.stop()
        stopping = [asyncio.to_thread(one.stop, timeout_s=STOP_S) for one in self._stations]
        await asyncio.gather(*stopping)
        for slot in self._slots.values():
            await slot.stop()
        self._recorder.close_all()
        await asyncio.to_thread(self._outbox.close)
        self._link.close()
        self._manager.close()

    def _make_slot(self, name: str) -> ModelSlot:
        async def fallback(
            broken: Installed, error: StartFailed, n_failures: int
        ) -> Installed | None:
            try:
                instead = await asyncio.to_thread(
                    self._installer.replace_broken, name, broken, error, n_failures
                )
            except DiskFull as full:  # nothing can be decided durably: try the same again
                self._log.event("fallback.not_kept", slot=name, reason=full.message)
                return broken
            if instead != broken:
                self._installing.wake()
            return instead

        return ModelSlot(
            name,
            settings=self._settings,
            folder_of=lambda bundle: str(self._store.folder(bundle)),
            recorder=self._recorder,
            post=self._outbox,
            clock=self._clock,
            log=self._log,
            fallback=fallback,
            gated_for=lambda one: self._state.now.gated_builds(one.model, one.bundle),
        )

    def _make_stations(self) -> None:
        log, every_s = self._log, self._settings.forward_every_s
        self._check_ins = CheckIns(
            self._link, self, describe=self._describe, clock=self._clock, log=log, rng=_rng()
        )
        checking_in = RepeatingThread("check-in", self._check_ins.step, log=log)
        intake = Intake(
            self._home,
            device=self._device,
            slots=self._slots,
            state=self._state,
            store=self._store,
            log=log,
        )
        self._agent_updates = AgentUpdates(
            AgentStore(self._home.agents),
            intake,
            self._link,
            state=self._state,
            restart=self._restart,
            log=log,
        )
        self._installer = Installer(
            intake,
            self._link,
            state=self._state,
            store=self._store,
            slots=self._slots,
            loop=self._loop,
            log=log,
            rng=_rng(),
            settled=checking_in.wake,
            agent=self._agent_updates,
            carried=lambda: answer_request(self._home, intake, self._state, device=self._device),
        )
        self._installing = RepeatingThread("installer", self._installer.step, log=log)
        forwarder = Forwarder(self._spool, self._link, every_s=every_s, log=log, rng=_rng())
        forwarding = RepeatingThread("forwarder", forwarder.step, log=log)
        self._stations = [checking_in, self._installing, forwarding]

    def _make_app(self) -> Starlette:
        front = Front(
            self._settings,
            self._slots,
            recorder=self._recorder,
            clock=self._clock,
            status=self._status,
        )
        self._sources = Sources(
            self._settings,
            front,
            home=self._home,
            clock=self._clock,
            log=self._log,
            new_rng=_rng,
        )
        routes = [
            *PredictRoute(front).routes(),
            *OipRoutes(front).routes(),
            *PageRoutes(front).routes(),
            *Metrics(front).routes(),
            Route("/openapi.json", openapi_document),
        ]
        return make_app(front, routes)

    async def _tick(self) -> None:
        """Housekeeping that no request triggers; a bug in it must not end it."""
        health_at_s = self._loop.time() + self._settings.health_every_s
        while True:
            await asyncio.sleep(TICK_S)
            self._manager.tell("WATCHDOG=1")
            try:
                self._look_after(close_health=self._loop.time() >= health_at_s)
            except Exception:  # noqa: BLE001 - recorded, and tried again at the next tick
                self._log.event("agent.bug", task="tick", trace=traceback.format_exc())
            if self._loop.time() >= health_at_s:
                health_at_s += self._settings.health_every_s

    def _look_after(self, *, close_health: bool) -> None:
        self._recorder.close_due()
        if all(slot.is_ready or slot.running is None for slot in self._slots.values()):
            self._agent_updates.tell_healthy()
        if self._home.update_request_file.exists():
            self._installing.wake()
        for slot in self._slots.values():
            slot.watch()
            if close_health:
                slot.close_health_window()

    # --- what the check-in thread asks and brings (see `check_in.Wishes`) ------------------------

    def assign(self, assignments: list[SignedAssignment]) -> None:
        """The server wants these to run."""
        if self._installer.assign(assignments):
            self._installing.wake()

    def assign_agent(self, signed: SignedAssignment | None) -> None:
        """Which agent the server wants here."""
        if self._agent_updates.assign(signed):
            self._installing.wake()

    def _restart(self) -> None:
        """End in order, and tell the launcher that this was no failure."""
        self.exit_code = RESTART
        os.kill(os.getpid(), signal.SIGTERM)

    def published(self, version: int, *, server_time_ms: int) -> None:
        """The server's newest update metadata, and its clock."""
        if self._installer.published(version, server_time_ms=server_time_ms):
            self._installing.wake()

    def follow(self, policies: list[StreamPolicy]) -> None:
        """The server wants images kept like this; remembered, so that it holds offline too."""
        self._loop.call_soon_threadsafe(self._recorder.follow, policies)
        try:
            self._state.change(lambda state: msgspec.structs.replace(state, policies=policies))
        except DiskFull as error:  # they come again with every check-in
            self._log.event("policies.not_kept", reason=error.message)

    def _describe(self) -> CheckIn:
        async def reports() -> list[SlotReport]:
            return [self._report(name) for name in self._slots]

        # Asked on the loop: counters there change with every request.
        asked = asyncio.run_coroutine_threadsafe(reports(), self._loop)
        return describe_device(
            self._settings,
            device=self._device,
            boot=self._boot,
            at_ms=self._clock.now_ms(),
            slots=asked.result(),
            n_spooled=self._spool.facts.n_envelopes,
            agent_problem=self._agent_updates.problem,
        )

    # --- what the agent says of itself -----------------------------------------------------------

    def _report(self, name: str) -> SlotReport:
        slot = self._slots[name]
        tuned = read_tuning(self._home.root).bundles
        builds = (
            tuned[slot.running.bundle].reports
            if slot.running and tuned.get(slot.running.bundle)
            else []
        )
        return report_of(
            slot, self._state.now, progress=self._installer.progress_of(name), builds=builds
        )

    def _status(self) -> AgentStatus:
        spool, talk = self._spool.facts, self._check_ins.facts
        return AgentStatus(
            device=self._device,
            agent_version=AGENT_VERSION,
            boot=self._boot,
            started_at_ms=self._started_at_ms,
            server=self._settings.server,
            last_check_in_at_ms=talk.last_at_ms,
            check_in_problem=talk.problem,
            server_ahead_ms=talk.server_ahead_ms,
            streams=self._settings.streams,
            slots=[status_of(slot, self._report(name)) for name, slot in self._slots.items()],
            spool=SpoolStatus(
                n_envelopes=spool.n_envelopes,
                size_bytes=spool.size_bytes,
                n_dropped=spool.n_dropped,
                n_lost=self._outbox.n_lost,
            ),
            n_kept=self._recorder.n_kept,
            n_not_redacted=self._recorder.n_not_redacted,
            sources=self._sources.status(),
        )


async def _serve_http(app: Starlette, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(STOP_S),
        limit_concurrency=MOST_CONNECTIONS,
    )
    # uvicorn raises the signal that stopped it once more when it is done; we are not done then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    await uvicorn.Server(config).serve(sockets=[listener])


def _run(main: Coroutine[None, None, None]) -> None:
    try:
        import uvloop  # not available everywhere, and only faster
    except ImportError:
        asyncio.run(main)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)


def _rng() -> random.Random:
    return random.Random()  # seeded by the system: spreads this device from all others
