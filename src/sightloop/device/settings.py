"""How one agent is set up: given once on the command line, kept in the home folder ever after."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.contracts.decode import decode, encode
from sightloop.device.errors import BadSetting
from sightloop.kernel.files import write_atomic

FORMAT: Literal["sightloop.agent-settings/1"] = "sightloop.agent-settings/1"
SETTINGS_NAME = "settings.json"

MiB = 1 << 20
Seconds = Annotated[float, Meta(gt=0, le=7 * 86400)]
Bytes = Annotated[int, Meta(ge=1024, le=1 << 44)]


class Shadow(msgspec.Struct, frozen=True):
    """A slot that looks at a sample of another's requests and answers none."""

    slot: str
    challenger: str
    """The slot whose version is tried; it is assigned like any other."""
    share: Annotated[float, Meta(gt=0, le=1)] = 0.1


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an agent may be told. Limits are bounded; units are in the names."""

    format: Literal["sightloop.agent-settings/1"] = FORMAT
    home: str
    """The folder that is this device: identity, bundles, spool."""
    server: str = ""
    """URL of the control plane."""
    enrol_token: str = ""
    """Needed once, when the home is new; never kept."""
    name: str = ""
    device_class: str = "cpu"
    """What kind of machine this is: what was gated for the class may run here."""
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8600
    """0 takes any free port, which the log and `/health` name."""
    streams: Annotated[list[StreamDeclaration], Meta(min_length=1, max_length=256)] = msgspec.field(
        default_factory=lambda: [StreamDeclaration("default", "main")]
    )
    threads: Annotated[int, Meta(ge=1, le=256)] = 1
    """Processor threads of one worker's inference."""
    redaction: str = ""
    """`module:function`, bytes to bytes, run on every image before it is kept."""

    max_body_bytes: Bytes = 16 * MiB
    max_pixels: Annotated[int, Meta(ge=1, le=200_000_000)] = 50_000_000
    """A larger picture is not decoded: its pixels would take more than 150 MB."""
    max_buffered_bytes: Bytes = 128 * MiB
    """All bodies in memory together, those still arriving included."""
    max_waiting: Annotated[int, Meta(ge=1, le=100_000)] = 256
    """Requests that may wait for a worker."""
    queue_timeout_s: Seconds = 30.0
    """A request that no worker took by then is refused."""
    max_batch: Annotated[int, Meta(ge=1, le=64)] = 8
    """Images in one run of a model that takes several; others always get one at a time."""
    batch_delay_s: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """How long a batch that is not full waits for more; 0 takes what is there."""
    body_deadline_s: Seconds = 30.0
    answer_deadline_s: Seconds = 30.0
    hang_deadline_s: Seconds = 10.0
    """A worker that is silent for so long while it has work is ended and replaced."""
    start_deadline_s: Seconds = 120.0
    """A worker that is not ready by then counts as failed."""
    max_growth_bytes: Bytes = 1024 * MiB
    """A worker whose own memory grew by more since it was ready is replaced: it leaks."""
    shadows: Annotated[list[Shadow], Meta(max_length=16)] = []
    """Slots whose requests others look at too, without ever affecting an answer."""
    triton_metrics: bool = False
    """Whether `/metrics` repeats itself under the names that Triton uses."""
    spool_bytes: Bytes = 1024 * MiB
    health_every_s: Seconds = 60.0
    """Length of a health window."""
    forward_every_s: Seconds = 5.0
    """Longest wait before spooled messages are sent on."""

    def slots(self) -> list[str]:
        """The slots the streams feed, in the order they were declared; then the challengers'."""
        fed = [stream.slot for stream in self.streams]
        return list(dict.fromkeys([*fed, *(one.challenger for one in self.shadows)]))


NO_STREAM = "none"
"""The name by which a request says that it comes from no camera."""

_STREAM = re.compile(r"([A-Za-z0-9_.-]+)(?::([A-Za-z0-9_.-]+)(?::(.+=.+)?)?)?")


def parse_stream(text: str) -> StreamDeclaration:
    """A `--stream` flag: `NAME[:SLOT[:FIELD=VALUE]]`.

    >>> parse_stream("cam1:main:product_line=20085")
    StreamDeclaration(name='cam1', slot='main', stratum='product_line=20085')
    >>> parse_stream("cam1").slot
    'main'

    Raises:
        BadSetting: it has another form.
    """
    found = _STREAM.fullmatch(text)
    if found is None:
        raise BadSetting(
            setting="--stream",
            value=text,
            problem="is not NAME, NAME:SLOT or NAME:SLOT:FIELD=VALUE",
        )
    name, slot, stratum = found.groups()
    return StreamDeclaration(name, slot or "main", stratum or "")


_SHADOW = re.compile(r"([A-Za-z0-9_.-]+)=([A-Za-z0-9_.-]+)(?::(0?\.\d+|1(?:\.0*)?))?")


def parse_shadow(text: str) -> Shadow:
    """A `--shadow` flag: `SLOT=CHALLENGER[:SHARE]`.

    >>> parse_shadow("main=candidate:0.25")
    Shadow(slot='main', challenger='candidate', share=0.25)

    Raises:
        BadSetting: it has another form, or the slot would be its own challenger.
    """
    found = _SHADOW.fullmatch(text)
    if found is None or found[1] == found[2]:
        raise BadSetting(
            setting="--shadow",
            value=text,
            problem="is not SLOT=CHALLENGER or SLOT=CHALLENGER:SHARE with a share up to 1",
        )
    return Shadow(found[1], found[2], *([float(found[3])] if found[3] else []))


def settings_for(home: Path, given: Mapping[str, object]) -> AgentSettings:
    """What is kept in `home`, overridden by what is given now (fields of `AgentSettings`).

    Raises:
        BadSetting: a value is unknown, out of its bounds, or names a stream twice.
        WrongFormat: the kept settings are not readable by this version.
    """
    kept = msgspec.structs.asdict(_kept(home))
    try:
        settings = msgspec.convert({**kept, **given, "home": str(home)}, AgentSettings)
    except msgspec.ValidationError as error:
        raise BadSetting(setting="setting", value=_path_in(error), problem=str(error)) from error
    names = [stream.name for stream in settings.streams]
    for name in names:
        if name == NO_STREAM:
            problem = "is reserved for requests that come from no camera"
            raise BadSetting(setting="--stream", value=name, problem=problem)
        if names.count(name) > 1:
            raise BadSetting(setting="--stream", value=name, problem="is declared twice")
    _check_shadows(settings)
    return settings


def _check_shadows(settings: AgentSettings) -> None:
    fed = {stream.slot for stream in settings.streams}
    for shadow in settings.shadows:
        value = f"{shadow.slot}={shadow.challenger}"
        if shadow.slot not in fed:
            problem = f"names the slot {shadow.slot!r}, which no stream feeds"
            raise BadSetting(setting="--shadow", value=value, problem=problem)
        if shadow.challenger in fed:
            problem = f"names {shadow.challenger!r} as challenger, which answers a stream itself"
            raise BadSetting(setting="--shadow", value=value, problem=problem)


def keep_settings(settings: AgentSettings) -> None:
    """Write the settings into the home, without the token, so that `--home` is enough next time."""
    kept = msgspec.structs.replace(settings, enrol_token="")
    write_atomic(Path(settings.home) / SETTINGS_NAME, encode(kept), mode=0o600)


def _kept(home: Path) -> AgentSettings:
    path = home / SETTINGS_NAME
    if not path.exists():
        return AgentSettings(home=str(home))
    return decode(path.read_bytes(), AgentSettings, what=str(path))


def _path_in(error: msgspec.ValidationError) -> str:
    """The field msgspec complains of, which it names at the end of its message."""
    found = re.search(r"`\$\.?([^`]*)`", str(error))
    return found.group(1) if found else ""
