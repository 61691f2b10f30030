"""`sightloop models gate-builds`: may other runtimes and precisions run a version?"""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session
from sightloop.cli.versions import Version, named_version


def gate_builds(
    session: Session,
    *,
    version: Version,
    device_class: Annotated[
        str, typer.Option(help="For devices that enrolled as this; every class unless given.")
    ] = "",
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="onnxruntime, openvino, cuda or tensorrt; may be repeated. All of this host "
            "unless given. What only devices have is judged by what they reported."
        ),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32 or int8; may be repeated. Both unless given.")
    ] = None,
    ref: Annotated[str, typer.Option("--data", help="Branch or commit to judge on.")] = "main",
    max_loss: Annotated[float, typer.Option(help="AP50 that a build may lose.")] = 0.02,
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 1,
) -> None:
    """Judge other ways to run a version, and let devices know which passed.

    Exits with 1 when one did not pass.
    """
    import msgspec

    from sightloop.cli.views import builds as views
    from sightloop.evaluation.build_gate import BuildRules
    from sightloop.fleet.gating_builds import BuildsGated
    from sightloop.registry.build_gating import GateBuilds

    named = named_version(session, version)
    said = {
        "model": named.model,
        "number": named.number,
        "commit": ref,
        "device_class": device_class,
        "runtimes": runtime or [],
        "precisions": precision or [],
        "rules": BuildRules(max_loss=max_loss),
        "threads": threads,
    }
    done = session.call("models.gate_builds", msgspec.convert(said, GateBuilds), BuildsGated)
    session.print(done, views.builds_gated)
    if any(one.verdict.outcome != "pass" for one in done.verdicts):
        raise typer.Exit(1)
