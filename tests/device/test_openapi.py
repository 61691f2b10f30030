"""The document and the agent agree: schemathesis asks whatever the document allows, and more."""

import contextlib
import json
import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.bundles import ToyBundle
from sightloop.testing.control_plane import ENROL_TOKEN, running_control_plane

pytestmark = pytest.mark.processes

EXAMPLES = int(os.environ.get("SIGHTLOOP_FUZZ_EXAMPLES", "60")) // 4


@pytest.fixture(scope="module")
def serving(
    tmp_path_factory: pytest.TempPathFactory, bundles: list[ToyBundle]
) -> Iterator[AgentProcess]:
    folder = tmp_path_factory.mktemp("agent")
    with running_control_plane() as plane:
        plane.add(bundles[0])
        plane.assign(bundles[0], version=7)
        agent = AgentProcess(
            folder / "home", "--server", plane.url, "--enrol-token", ENROL_TOKEN,
            "--stream", "cam1",
        )  # fmt: skip
        agent.start()
        wait_until(lambda: agent.serves(bundles[0]), "the agent serves")
        yield agent
        agent.kill()


def test_nothing_that_the_document_describes_makes_the_agent_fail(serving):
    document = json.loads(serving.ask("GET", "/openapi.json").body)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.base_url = serving.url
    statuses: set[int] = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in schemathesis.GenerationMode:
            strategy = operation.as_strategy(generation_mode=mode)

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
                database=None,
            )
            @given(strategy)
            def ask(case: schemathesis.Case) -> None:
                answer = case.call()
                statuses.add(answer.status_code)
                assert answer.status_code < 500, (case.as_curl_command(), answer.text)
                if answer.status_code >= 400 and answer.content:
                    assert "\n" not in answer.json()["error"]

            with contextlib.suppress(Unsatisfiable):  # an operation that nothing is wrong with
                ask()
    assert {200, 400, 404} <= statuses
    assert serving.slot().n_replaced == 0
