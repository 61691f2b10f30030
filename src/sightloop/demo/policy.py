"""The `loop.yaml` the demo writes: one model, rules in the sizes of a demo.

A plant would count its horizons in weeks and bake for hours; the demo has minutes and a few
hundred images, so its windows are short. The rules themselves are the ones everybody uses.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.evaluation.gate import GateRules
from sightloop.fleet.health import HealthCriteria
from sightloop.loop.policy import (
    InputIncidentRules,
    KeepRules,
    ModelPolicy,
    Policy,
    Recipe,
    RetrainRules,
)
from sightloop.loop.policy_file import POLICY_NAME
from sightloop.monitoring.settings import MonitorSettings

MODEL = "parts"
RINGS = ("canary", "line-2", "line-3")
WINDOW_IMAGES = 8
COLLECT_LIMIT_S = 60.0


class Scale(NamedTuple):
    """What differs between drawn images, which are many, and a replay of real ones."""

    first_epochs: int
    retrain_epochs: int
    label_budget: int
    alarm_within: int
    """Images of the new line after which the alarm is promised."""
    audit_rate: float
    """Which share of the new line is audited once its inputs look different."""
    per_second: float
    """How many images each camera shows."""


GENERATED = Scale(
    first_epochs=12,
    retrain_epochs=8,
    label_budget=80,
    alarm_within=400,
    audit_rate=0.35,
    per_second=4.0,
)
REPLAY = Scale(
    first_epochs=30,
    retrain_epochs=10,
    label_budget=60,
    alarm_within=100,
    audit_rate=1.0,
    per_second=2.0,
)


def demo_policy(scale: Scale, *, slice_field: str, image_size_px: int) -> Policy:
    """The policy at this scale."""
    recipe = Recipe(
        weights="starter",
        epochs=scale.first_epochs,
        image_size_px=image_size_px,
        batch_size=16,
        parameters={"optimizer": "AdamW", "lr0": 0.002, "flipud": 0.5, "warmup_epochs": 1},
    )
    again = msgspec.structs.replace(recipe, weights="champion", epochs=scale.retrain_epochs)
    return Policy(
        models={
            MODEL: ModelPolicy(
                recipe=recipe,
                keep=KeepRules(audit_rate=0.1, window_images=WINDOW_IMAGES, window_s=30.0),
                monitoring=MonitorSettings(
                    alpha_loss=0.05,
                    horizon_windows=200,
                    horizon_labels=100,
                    n_streams=len(RINGS),
                ),
                on_input_incident=InputIncidentRules(
                    audit_rate=scale.audit_rate, drift_rate=1.0, flag=scale.label_budget
                ),
                retrain=RetrainRules(
                    label_budget=scale.label_budget,
                    collect_limit_s=COLLECT_LIMIT_S,
                    retire_audit=0.0,
                    recipe=again,
                ),
                gate=GateRules(min_ap50=0.3, max_drop=0.05),
                protect={slice_field: 0.1},
                rings=RINGS,
                health=HealthCriteria(
                    bake_s=5.0, min_requests=5, offline_after_s=30.0, deadline_s=600.0
                ),
            )
        }
    )


def write_policy(policy: Policy, workspace: Path) -> None:
    """Write `loop.yaml`, as a user would by hand."""
    (workspace / POLICY_NAME).write_bytes(msgspec.yaml.encode(policy))
