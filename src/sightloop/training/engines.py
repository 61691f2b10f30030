"""Which engines there are, and how each is started.

An engine is a program, never a module of ours: installed distributions name one in the entry
point group `sightloop.engines` (it is run as `python -m MODULE job.json`), and
`[training.commands]` in `sightloop.toml` names command lines of others. A configured command wins
over an installed engine of the same name.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import msgspec

from sightloop.kernel.config import TrainingConfig
from sightloop.training.errors import EngineUnknown

GROUP = "sightloop.engines"


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """A program that trains; the path of `job.json` is appended to `command`."""

    name: str
    command: list[str]
    version: str
    """Distribution and version, or empty for a configured command, which tells when it is done."""


def find_engine(name: str, config: TrainingConfig) -> Engine:
    """The engine of that name.

    Raises:
        EngineUnknown: there is none; the error lists those there are.
    """
    engines = known_engines(config)
    if name not in engines:
        raise EngineUnknown(engine=name, known=sorted(engines))
    return engines[name]


def known_engines(config: TrainingConfig) -> dict[str, Engine]:
    """Every engine by name; finding them imports none."""
    installed = {
        point.name: Engine(
            name=point.name,
            command=[sys.executable, "-m", point.module],
            version=f"{point.dist.name} {point.dist.version}" if point.dist else "",
        )
        for point in entry_points(group=GROUP)
    }
    configured = {
        name: Engine(name=name, command=list(command), version="")
        for name, command in config.commands.items()
    }
    return installed | configured
