"""Five hundred swaps of a small model under load: no failed request, flat memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.serving.agents import RunningAgent
from bench.serving.contestants import contestants
from bench.serving.swaps import slope_mb, swap_under_load, write_bodies
from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.bundles import make_toy_bundle
from sightloop.testing.control_plane import ENROL_TOKEN, running_control_plane
from sightloop.testing.models import draw_blob_image

N_SWAPS = 500
PER_SECOND = 60.0
MOST_SLOPE_MB = 0.5
"""Growth of the supervisor's memory per hundred swaps that still counts as flat."""


def soak(scratch: Path) -> str:
    rng = np.random.default_rng(3)
    ours = contestants(scratch)[0]
    bodies = write_bodies(
        scratch / "bodies", [ours.body(draw_blob_image(rng).content) for _ in range(16)]
    )
    bundles = [make_toy_bundle(scratch, created_at_ms=1_700_000_000_000 + n) for n in range(3)]
    with running_control_plane() as plane:
        for bundle in bundles:
            plane.add(bundle)
        plane.assign(bundles[0], version=1)
        flags = ["--server", plane.url, "--enrol-token", ENROL_TOKEN, "--stream", "cam1"]
        process = AgentProcess(scratch / "home", *flags)
        process.start()
        try:
            wait_until(lambda: process.serves(bundles[0]), "it serves")
            seen = swap_under_load(
                RunningAgent(process, plane, bundles), bodies, scratch,
                per_second=PER_SECOND, n_swaps=N_SWAPS, steady_s=10.0,
            )  # fmt: skip
        finally:
            process.kill()
    slope = slope_mb(seen["memory"])
    assert seen["n_failed"] == 0, seen["failures"]
    assert slope < MOST_SLOPE_MB, f"{slope:.2f} MB per 100 swaps"
    return (
        f"{N_SWAPS} swaps, {seen['n_requests']:,} requests at {PER_SECOND:g}/s, none failed; the "
        f"supervisor's memory grew by {slope:+.2f} MB per 100 swaps; 99 % of the requests within "
        f"{seen['steady_ms']['p99']:.1f} ms, of those during a swap within "
        f"{seen['during_ms']['p99']:.1f} ms."
    )
