"""The workspace's settings: `sightloop.toml`, then the environment, nothing else.

Unknown keys are refused, every limit is bounded, and no other module reads the environment.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sightloop.kernel.errors import BadInput, NotFound

CONFIG_NAME = "sightloop.toml"
STATE_FOLDER = ".sightloop"

Port = Annotated[int, Meta(ge=0, le=65535)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=7 * 86400)]


class ConfigError(BadInput):
    """A setting is unknown, missing or out of its bounds."""

    code = "SL-130"

    def __init__(self, *, where: str, problem: str) -> None:
        super().__init__(
            f"{where}: {problem}; see docs/reference/settings.md", where=where, problem=problem
        )


class StoreConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a store is. An empty URL means: inside the workspace."""

    url: str = ""


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The control plane's own settings."""

    host: str = "127.0.0.1"
    port: Port = 8470
    max_request_bytes: Annotated[int, Meta(ge=1024, le=1 << 32)] = 64 << 20
    check_in_every_s: PositiveSeconds = 60.0
    """How often a device should come by; each adds its own jitter of up to a fifth."""


class WorkerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a worker takes steps."""

    lease_s: PositiveSeconds = 15.0
    poll_every_s: PositiveSeconds = 0.25
    seal_audit_every_s: PositiveSeconds = 30.0


class TrainingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of every training job, whatever its recipe asks for."""

    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    """Processor threads of one job; 0 means as many as the machine has cores."""
    time_limit_s: PositiveSeconds = 86400.0
    silence_limit_s: PositiveSeconds = 600.0
    """A job whose heartbeat stops for this long counts as hung and is ended."""
    memory_limit_bytes: Annotated[int, Meta(ge=0)] = 0
    """Resident bytes at which a job is ended; 0 means no limit."""
    copy_limit_bytes: Annotated[int, Meta(ge=0)] = 1 << 30
    """Where there are no reflinks, views up to this size are copies and larger ones hard links."""
    commands: dict[str, list[str]] = {}
    """Command lines of engines beside those installed, by name."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything `sightloop.toml` may say, with its defaults."""

    database: StoreConfig = StoreConfig()
    blobs: StoreConfig = StoreConfig()
    server: ServerConfig = ServerConfig()
    worker: WorkerConfig = WorkerConfig()
    training: TrainingConfig = TrainingConfig()


_FROM_ENVIRONMENT = {
    "SIGHTLOOP_DATABASE_URL": ("database", "url"),
    "SIGHTLOOP_BLOBS_URL": ("blobs", "url"),
}


def load_config(workspace: Path, environment: Mapping[str, str]) -> Config:
    """The settings of this workspace.

    Raises:
        NotFound: the folder holds no `sightloop.toml`.
        ConfigError: the file is not TOML, or a key is unknown or out of bounds.
    """
    path = workspace / CONFIG_NAME
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise NotFound(
            what="workspace", name=str(workspace), hint="make one with `sightloop init`"
        ) from error
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(where=str(path), problem=str(error)) from error
    for variable, (section, key) in _FROM_ENVIRONMENT.items():
        if variable in environment:
            values.setdefault(section, {})[key] = environment[variable]
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(where=str(path), problem=str(error)) from error


def default_config_text() -> str:
    """What `sightloop init` writes: every default, ready to be changed."""
    return (
        "# Settings of this Sightloop workspace. Every key is listed in\n"
        "# docs/reference/settings.md; unknown keys are refused.\n"
        "[database]\n"
        '# url = "sqlite:////var/lib/sightloop/sightloop.db"\n'
        '# url = "postgresql://sightloop@db.plant/plant"\n'
        "[server]\n"
        'host = "127.0.0.1"\n'
        "port = 8470\n"
    )
