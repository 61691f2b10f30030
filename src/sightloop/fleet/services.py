"""The use cases of the fleet, gathered for their callers; each lives in the file of its topic."""

from __future__ import annotations

from sightloop.fleet.check_ins import check_in
from sightloop.fleet.devices import list_devices, show_device
from sightloop.fleet.enrolment import create_enrolment, enrol_device
from sightloop.fleet.rollout_status import list_rollouts, rollout_status
from sightloop.fleet.rollouts import (
    abort_rollout,
    advance_rollouts,
    pause_rollout,
    resume_rollout,
    start_rollout,
    start_rollout_step,
)
from sightloop.fleet.streams import set_stream_policy
from sightloop.fleet.update_repository import create_repository, publish

__all__ = [
    "abort_rollout",
    "advance_rollouts",
    "check_in",
    "create_enrolment",
    "create_repository",
    "enrol_device",
    "list_devices",
    "list_rollouts",
    "pause_rollout",
    "publish",
    "resume_rollout",
    "rollout_status",
    "set_stream_policy",
    "show_device",
    "start_rollout",
    "start_rollout_step",
]
