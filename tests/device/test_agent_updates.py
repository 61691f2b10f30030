"""The real agent replaced by another version of itself, over the signed path."""

import io
import zipfile
from pathlib import Path

import pytest

import sightloop
from sightloop.contracts.agent_release import AgentRelease
from sightloop.contracts.bundle import BundleFile
from sightloop.contracts.decode import encode
from sightloop.kernel.digests import digest_of
from sightloop.testing.agents import wait_until

pytestmark = pytest.mark.processes

SOURCE = Path(sightloop.__file__).parent
ROOMS = ("kernel", "contracts", "inference", "device")


def agent_wheel(version: str, *, broken: bool = False) -> bytes:
    """This very agent under another version; a broken one ends when it is imported."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.write(SOURCE / "__init__.py", "sightloop/__init__.py")
        for room in ROOMS:
            for path in (SOURCE / room).rglob("*.py"):
                content = path.read_text()
                if path.name == "version.py":
                    content = content.replace('AGENT_VERSION = "', f'AGENT_VERSION = "{version}-')
                if broken and path.name == "agent.py":
                    content = "raise RuntimeError('built for another machine')"
                packed.writestr(f"sightloop/{path.relative_to(SOURCE)}", content)
    return wheel.getvalue()


def offer(plane, version: str, *, broken: bool = False):
    wheel = agent_wheel(version, broken=broken)
    manifest = AgentRelease(
        version=version,
        number=1,
        files=[BundleFile("sightloop.whl", digest_of(wheel), len(wheel))],
        created_at_ms=1,
    )
    return plane.offer_agent(encode(manifest), [wheel])


@pytest.fixture
def launched(agent, plane, bundles):
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)
    agent.launch(probation_s=30)
    wait_until(lambda: agent.serves(bundles[0]), f"it serves; see {agent.log}")
    yield agent
    agent.stop()


def test_an_agent_is_replaced_by_its_next_version_and_goes_back_from_a_broken_one(
    launched, plane, bundles
):
    release = offer(plane, "next")
    wait_until(
        lambda: any(one.agent_release == release for one in plane.check_ins),
        f"the next agent checks in; see {launched.log}",
    )
    assert plane.check_ins[-1].agent_version.startswith("next-")
    wait_until(lambda: launched.serves(bundles[0]), "the next agent serves the same model")
    # Until then the agent before it is what a broken one would give way to.
    wait_until(lambda: "launcher.proved" in launched.log.read_text(), "its probation is over")
    broken = offer(plane, "broken", broken=True)
    wait_until(
        lambda: "ended with code 1" in plane.check_ins[-1].agent_problem,
        f"the old agent tells of the broken one; see {launched.log}",
    )
    assert plane.check_ins[-1].agent_release == release
    assert all(one.agent_release != broken for one in plane.check_ins)
    wait_until(lambda: launched.serves(bundles[0]), "and serves")
