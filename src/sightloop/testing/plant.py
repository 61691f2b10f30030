"""A plant in miniature: a real server, worker and device around an engine that takes a second.

For tests of what only shows when all processes run.
"""

from __future__ import annotations

import sys

import msgspec

from sightloop.datasets.splits import SplitRule
from sightloop.demo.stage import Stage
from sightloop.fleet.health import HealthCriteria
from sightloop.loop.policy import ModelPolicy, Policy, Recipe
from sightloop.loop.policy_file import POLICY_NAME
from sightloop.testing.blob_commits import commit_blobs
from sightloop.wiring import create_workspace, ensure_token

MODEL = "blobs"
_SETTINGS = f"""
check_in_every_s = 0.3
[worker]
lease_s = 2.0
poll_every_s = 0.05
[training]
threads = 1
[training.commands]
tiny = [{sys.executable!r}, "-m", "sightloop.testing.tiny_engine"]
"""
_POLICY = Policy(
    models={
        MODEL: ModelPolicy(
            recipe=Recipe(
                engine="tiny",
                weights="blobs",
                epochs=2,
                image_size_px=64,
                parameters={"run_for_s": 1.0},
            ),
            rings=("fleet",),
            health=HealthCriteria(bake_s=0.0, min_requests=0),
        )
    }
)


def start_plant(stage: Stage) -> None:
    """150 images of blobs, a policy, a server with its worker, and one device."""
    workspace = create_workspace(stage.workspace, {})
    ensure_token(workspace)
    settings = stage.workspace / "sightloop.toml"
    settings.write_text(settings.read_text() + _SETTINGS)
    (stage.workspace / POLICY_NAME).write_bytes(msgspec.yaml.encode(_POLICY))
    rule = SplitRule(train=0.4, val=0.3, test=0.3)
    commit_blobs(workspace, n_images=150, slices={"line": "a"}, split_rule=rule)
    workspace.db.close()
    stage.start_server()
    stage.start_agent(name="box", ring="fleet", stratum="line=a", model=MODEL)
