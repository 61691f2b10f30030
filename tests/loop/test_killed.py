"""Whatever is killed at whatever station, the loop ends as if nothing had happened."""

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from sightloop.demo.stage import Agent, Stage, opened_stage, wait_for
from sightloop.fleet.devices import DeviceList, ListDevices
from sightloop.kernel import steps
from sightloop.kernel.workspace import Workspace
from sightloop.loop.services import AuditFacts, RunLoop, ShowLoop
from sightloop.loop.turns import Turn, TurnState, get_turn
from sightloop.registry.catalogue import ListVersions, VersionList
from sightloop.testing.plant import MODEL, start_plant
from sightloop.wiring import open_workspace

STATIONS = (
    TurnState.COLLECTING,
    TurnState.TRAINING,
    TurnState.PACKAGING,
    TurnState.GATING,
    TurnState.SIGNING,
    TurnState.ROLLING_OUT,
)
CASES = [
    *((station, "worker") for station in STATIONS),
    *((station, "server") for station in STATIONS),
    (TurnState.TRAINING, "engine"),
    (TurnState.ROLLING_OUT, "agent"),
]


@pytest.fixture(scope="module")
def plant(tmp_path_factory) -> Iterator[Stage]:
    with opened_stage(tmp_path_factory.mktemp("plant") / "out") as stage:
        start_plant(stage)
        yield stage


@pytest.fixture(scope="module")
def records(plant: Stage) -> Iterator[Workspace]:
    """The same database, read beside the server, to see stations that last for milliseconds."""
    opened = open_workspace(plant.workspace, {})
    yield opened
    opened.db.close()


@pytest.mark.processes
@pytest.mark.parametrize(("station", "victim"), CASES, ids=lambda value: str(value))
def test_a_turn_survives_the_loss_of_a_process(plant: Stage, records, station, victim):
    turn = plant.call("loop.run", RunLoop(model=MODEL), Turn)
    wait_quickly(lambda: has_reached(records, turn.id, station))
    kill(plant, victim)
    wait_for("the turn", lambda: state_of(records, turn.id).has_ended, timeout_s=90)
    ended = state_of(records, turn.id)
    assert (ended.state, ended.verdict is not None) == (TurnState.RELEASED, True), ended.reason


def every_step(records: Workspace) -> list[steps.Step]:
    with records.db.read() as tx:
        return steps.every(tx)


@pytest.mark.processes
def test_after_all_of_that_nothing_was_lost_and_no_step_was_repeated(plant: Stage, records):
    # A turn ends before the last word about it is said, which is a step as well.
    wait_for(
        "the steps",
        lambda: all(one.state.value == "done" for one in every_step(records)),
        timeout_s=30,
    )
    found = every_step(records)
    assert [step.key for step in found if step.runs != 1] == []
    versions = plant.call("models.versions", ListVersions(model=MODEL), VersionList).versions
    n_turns = sum(step.name == "train" for step in found)
    assert len(versions) == n_turns
    (device,) = plant.call("devices.list", ListDevices(), DeviceList).devices
    newest = max(versions, key=lambda one: one.version.number)
    wait_for(
        "the device",
        lambda: running_on(plant) == newest.version.bundle,
        timeout_s=30,
    )
    assert device.slots[0].assigned == newest.version.bundle
    assert plant.call("audit.verify", ShowLoop(), AuditFacts).n_events > 0


def has_reached(workspace: Workspace, turn: str, station: TurnState) -> bool:
    order = list(TurnState)
    return order.index(state_of(workspace, turn).state) >= order.index(station)


def state_of(workspace: Workspace, turn: str) -> Turn:
    with workspace.db.read() as tx:
        return get_turn(tx, turn)


def running_on(plant: Stage) -> str | None:
    (device,) = plant.call("devices.list", ListDevices(), DeviceList).devices
    return device.slots[0].report.running if device.slots[0].report else None


def kill(plant: Stage, victim: str) -> None:
    """End it with -9, and start again what a plant's service manager would start again."""
    assert plant.server is not None
    if victim == "server":
        port = int(plant.server_url.rpartition(":")[2])
        os.kill(plant.server.pid, signal.SIGKILL)
        plant.server.wait()
        plant.start_server(port=port)
    elif victim == "worker":
        for process in psutil.Process(plant.server.pid).children():
            process.kill()  # the server starts another
    elif victim == "engine":
        for process in psutil.process_iter(["cmdline"]):
            if "sightloop.testing.tiny_engine" in (process.info["cmdline"] or []):
                process.kill()
    else:
        kill_agent(plant, plant.agents[0])


def kill_agent(plant: Stage, agent: Agent) -> None:
    assert agent.process is not None
    family = psutil.Process(agent.process.pid).children(recursive=True)
    agent.process.kill()
    agent.process.wait()
    psutil.wait_procs(family, timeout=10)
    plant.run_agent(agent, {"home": str(agent.home)})


def wait_quickly(condition) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s, "the station was not reached"
        time.sleep(0.002)
