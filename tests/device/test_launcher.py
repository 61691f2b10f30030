"""The agent replaced by a newer one, and the old one back when the newer does not serve."""

import io
import shutil
import sys
import textwrap
import threading
import zipfile
from pathlib import Path

import pytest

from sightloop.contracts.agent_release import AgentRelease
from sightloop.contracts.bundle import BundleFile
from sightloop.contracts.decode import encode
from sightloop.device import agent_choice, agent_store
from sightloop.device.agent_choice import AgentChoice, begin, give_way, propose, prove, refuse
from sightloop.device.agent_store import AgentStore
from sightloop.device.errors import BadWheel
from sightloop.device.launcher import Launcher
from sightloop.kernel.digests import digest_of
from sightloop.testing.agents import wait_until
from sightloop.testing.faults import CrashPlan, SimulatedCrash, dying_disk

NEW, NEWER = digest_of(b"new"), digest_of(b"newer")

SERVES = """
    import os, pathlib, sys, time
    home = pathlib.Path(sys.argv[sys.argv.index("--home") + 1])
    with (home / "said").open("a") as said:
        said.write("{name}\\n")
    if {healthy}:
        (home / "agents" / "healthy").write_text(os.environ["SIGHTLOOP_AGENT_PROBATION"])
    if {ends_with} is not None:
        sys.exit({ends_with})
    time.sleep(60)
"""


def tiny_agent(name: str, *, healthy: bool = True, ends_with: int | None = None) -> bytes:
    """A wheel with the module `tiny_agent`, which says its name and serves or does not."""
    source = textwrap.dedent(SERVES).format(name=name, healthy=healthy, ends_with=ends_with)
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("tiny_agent/__init__.py", "")
        packed.writestr("tiny_agent/__main__.py", source)
    return wheel.getvalue()


class Wheels:
    """A source that holds some files."""

    def __init__(self, plane) -> None:
        self.plane = plane

    def release(self, wheel: bytes, *, number: int = 1, name: str = "agent.whl") -> bytes:
        digest = digest_of(wheel)
        self.plane.blobs[digest.removeprefix("sha256:")] = wheel
        return encode(
            AgentRelease(
                version=f"0.{number}",
                number=number,
                entry="tiny_agent",
                files=[BundleFile(name, digest, len(wheel))],
                created_at_ms=1,
            )
        )


@pytest.fixture
def wheels(plane) -> Wheels:
    return Wheels(plane)


@pytest.fixture
def store(home) -> AgentStore:
    home.agents.mkdir()
    return AgentStore(home.agents)


def launch(home: Path, is_over, *, probation_s: float = 5.0) -> None:
    """Run a launcher until it is so; the system's own agent is the tiny one `old`."""
    launcher = Launcher(home, [], probation_s=probation_s, entry="tiny_agent")
    thread = threading.Thread(target=launcher.run)
    thread.start()
    try:
        wait_until(is_over, "the launcher is where it should be", timeout_s=15)
    finally:
        launcher.stop()
        thread.join(10)


@pytest.fixture
def said(home, tmp_path, monkeypatch):
    """What agents said, in order; the system's packages bring `old`."""
    with zipfile.ZipFile(io.BytesIO(tiny_agent("old", healthy=False))) as packed:
        packed.extractall(tmp_path / "system")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "system"))

    def read() -> list[str]:
        path = home.root / "said"
        return path.read_text().split() if path.exists() else []

    return read


@pytest.mark.processes
def test_a_release_that_serves_replaces_the_agent(home, link, store, wheels, said):
    manifest = wheels.release(tiny_agent("new"))
    release = digest_of(manifest)
    launch(home.root, lambda: said() == ["old"])
    store.install(release, manifest, link)
    store.write_choice(propose(store.read_choice(), release))
    launch(home.root, lambda: store.read_choice().current == release)
    launch(home.root, lambda: len(said()) == 3)
    assert said() == ["old", "new", "new"]


@pytest.mark.processes
@pytest.mark.parametrize(
    "bad",
    [
        {"healthy": False, "ends_with": 1},
        {"healthy": False, "ends_with": 0},
        {"healthy": False, "ends_with": None},
    ],
    ids=["crashes", "ends", "stays silent"],
)
def test_a_release_that_does_not_serve_gives_way_to_the_old_agent(
    home, link, store, wheels, said, bad
):
    manifest = wheels.release(tiny_agent("bad", **bad))
    release = digest_of(manifest)
    store.install(release, manifest, link)
    store.write_choice(propose(store.read_choice(), release))
    launch(home.root, lambda: said()[-1:] == ["old"], probation_s=1.0)
    assert said() == ["bad", "old"]
    choice = store.read_choice()
    assert (choice.current, choice.candidate) == (None, None)
    assert "it" in choice.refused[release]
    assert propose(choice, release) == choice


@pytest.mark.processes
def test_a_release_that_keeps_ending_after_its_probation_gives_way_too(
    home, link, store, wheels, said
):
    manifest = wheels.release(tiny_agent("new", ends_with=3))
    release = digest_of(manifest)
    store.install(release, manifest, link)
    store.write_choice(AgentChoice(current=release))
    launch(home.root, lambda: said()[-1:] == ["old"])
    assert said() == ["new", "new", "new", "old"]
    assert "code 3" in store.read_choice().refused[release]


def test_a_probation_cut_by_the_power_is_repeated_and_refused_after_three():
    choice = propose(AgentChoice(), NEW)
    for n_probations in (1, 2, 3):
        begun = begin(choice)
        assert (begun.release, begun.on_probation) == (NEW, True)
        assert begun.choice.n_probations == n_probations
        choice = begun.choice
    begun = begin(choice)
    assert (begun.release, begun.on_probation) == (None, False)
    assert "cut short" in begun.choice.refused[NEW]


def test_the_agent_before_stays_until_two_newer_ones_are_proven():
    first = prove(propose(AgentChoice(), NEW))
    assert (first.current, first.previous) == (NEW, None)
    second = prove(propose(first, NEWER))
    assert second.in_use() == {NEW, NEWER}
    assert give_way(second, "it ends").current == NEW
    assert refuse(propose(first, NEWER), "no").current == NEW


def test_what_the_system_brought_never_gives_way():
    assert give_way(AgentChoice(), "it ends") == AgentChoice()


def test_an_installation_of_an_agent_cut_anywhere_is_repeated_and_complete(
    home, link, store, wheels
):
    manifest = wheels.release(tiny_agent("new"))
    release = digest_of(manifest)

    def work() -> None:
        store.install(release, manifest, link)
        store.write_choice(propose(store.read_choice(), release))

    plan = CrashPlan()
    with dying_disk(plan):
        work()
    for before_write in range(plan.n_writes):
        shutil.rmtree(home.agents)
        home.agents.mkdir()
        with dying_disk(CrashPlan(before_write)), pytest.raises(SimulatedCrash):
            work()
        begun = begin(store.read_choice())
        assert begun.release is None or store.manifest(begun.release).entry == "tiny_agent"
        if not store.has(release):
            work()
        assert (store.library(release) / "tiny_agent" / "__main__.py").exists()
    assert plan.n_writes > 5


@pytest.mark.parametrize("name", ["../../evil.py", "/evil.py"])
def test_a_wheel_cannot_write_outside_its_folder(home, link, store, wheels, name):
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr(name, "")
    manifest = wheels.release(wheel.getvalue())
    with pytest.raises(BadWheel, match="would lie outside its folder") as caught:
        store.install(digest_of(manifest), manifest, link)
    assert caught.value.code == "DEV-069"
    assert not store.has(digest_of(manifest))


def test_a_wheel_that_is_no_archive_says_so(link, store, wheels):
    manifest = wheels.release(b"no wheel")
    with pytest.raises(BadWheel, match="it is no zip archive"):
        store.install(digest_of(manifest), manifest, link)
    assert not store.has(digest_of(manifest))


def test_a_wheel_that_swells_beyond_the_bound_is_not_unpacked(link, store, wheels, monkeypatch):
    monkeypatch.setattr(agent_store, "MOST_UNPACKED_BYTES", 1)
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("sightloop/big.py", "xx")
    manifest = wheels.release(wheel.getvalue())
    with pytest.raises(BadWheel, match="it holds 2 bytes, of which 1 may be"):
        store.install(digest_of(manifest), manifest, link)
    assert not store.has(digest_of(manifest))


def test_the_launcher_takes_nothing_heavy_with_it():
    heavy = {"numpy", "onnxruntime", "tuf", "uvicorn", "cv2"}
    assert heavy.isdisjoint(_imports_of(agent_choice.__name__))


def _imports_of(module: str) -> set[str]:
    import subprocess

    code = f"import {module}, sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.processes
def test_a_damaged_choice_starts_the_systems_own_agent(home, store, said):
    (home.agents / "choice.json").write_text("{")
    launch(home.root, lambda: said() == ["old"])
