"""A sweep over the learning rate really trains with different ones."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sightloop.kernel.clock import SystemClock
from sightloop.kernel.config import Config, TrainingConfig
from sightloop.testing.blob_commits import commit_blobs
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace
from sightloop.tracking.points import metric_history
from sightloop.training.sweeps.services import ShowSweep, StartSweep, show_sweep, start_sweep
from sightloop.training.sweeps.working import work_on_sweep

pytestmark = [pytest.mark.torch, pytest.mark.processes]

TEXT = """
name: rates
engine: yolo26
epochs: 2
image_size_px: 64
batch_size: 4
fixed: {optimizer: SGD, warmup_epochs: 0, nbs: 4, plots: false}
space:
  lr0: {type: categorical, choices: [0.001, 0.05]}
objectives: [{metric: train/box_loss, direction: minimize, of: last}]
sampler: grid
trials: 2
"""


def test_each_trial_trains_with_the_learning_rate_it_was_given(tmp_path: Path):
    config = Config(training=TrainingConfig(threads=1))
    workspace = fresh_workspace(tmp_path / "workspace", config=config, clock=SystemClock())
    commit_blobs(workspace, n_images=8)
    start_sweep(workspace, LOCAL_CALL, StartSweep(sweep="sweep_1", text=TEXT))
    work_on_sweep(workspace, "sweep_1", stopping=threading.Event())
    facts = show_sweep(workspace, LOCAL_CALL, ShowSweep(sweep="sweep_1"))
    with workspace.db.read() as tx:
        rates = [metric_history(tx, one.run, "lr/pg0")[0].value for one in facts.trials]
    workspace.db.close()
    assert [one.state for one in facts.trials] == ["complete"] * 2, facts.trials
    assert rates == pytest.approx([0.001, 0.05])
    assert facts.trials[0].objectives != facts.trials[1].objectives
