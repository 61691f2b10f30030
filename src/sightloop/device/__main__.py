"""`python -m sightloop.device`: start an agent; all flags but `--home` are kept for next time."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from sightloop.device import launcher, tuf_client
from sightloop.device.agent import run_agent
from sightloop.device.settings import AgentSettings, parse_shadow, parse_stream, settings_for
from sightloop.device.usb_update import update_from
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.errors import SightloopError

_FLAGS = {
    "server": "URL of the control plane",
    "enrol_token": "one-time token, needed when the home folder is new; never kept",
    "name": "what people call this device",
    "device_class": "what kind of machine this is, as gates and rollouts name it",
    "host": "address to listen on",
    "port": "port to listen on; 0 takes any free one",
    "threads": "processor threads of one worker's inference",
    "redaction": "module:function, bytes to bytes, run on every image before it is kept",
    "max_body_bytes": "longest request accepted",
    "max_pixels": "largest picture decoded",
    "max_buffered_bytes": "memory for all bodies together",
    "max_waiting": "requests that may wait for a worker",
    "queue_timeout_s": "seconds a request may wait for a worker",
    "max_batch": "images in one run of a model that takes several",
    "batch_delay_s": "seconds a batch that is not full waits for more",
    "max_growth_bytes": "memory a worker may gain before it is replaced",
    "body_deadline_s": "seconds in which a body must arrive",
    "answer_deadline_s": "seconds after which a request is given up",
    "hang_deadline_s": "silence after which a busy worker is replaced",
    "start_deadline_s": "seconds a worker may take to become ready",
    "spool_bytes": "disk space for what the server has not confirmed",
    "health_every_s": "length of a health window in seconds",
    "forward_every_s": "longest wait before spooled messages are sent on",
}


def main(arguments: list[str]) -> int:
    """Start an agent with these arguments, or do what the first word says; the exit code."""
    if arguments and arguments[0] in _VERBS:
        return _VERBS[arguments[0]](arguments[1:])
    given = vars(_parser().parse_args(arguments))
    home = Path(given.pop("home")).absolute()
    try:
        streams = [parse_stream(text) for text in given.pop("stream") or []]
        if streams:
            given["streams"] = [msgspec.structs.asdict(stream) for stream in streams]
        shadows = [parse_shadow(text) for text in given.pop("shadow") or []]
        if shadows:
            given["shadows"] = [msgspec.structs.asdict(shadow) for shadow in shadows]
        settings = settings_for(home, given)
    except SightloopError as error:
        sys.stderr.write(f"{error.code} {error.message}\n")
        return 1
    return run_agent(settings)


def _update(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="sightloop agent update",
        description="Bring this device up to date from a folder, with a server's verification.",
    )
    parser.add_argument("--home", required=True, help="the folder that is this device")
    parser.add_argument(
        "--from", dest="folder", required=True, help="written by `sightloop fleet export-usb`"
    )
    parser.add_argument(
        "--timeout-s", type=float, default=600.0, help="patience with a running agent"
    )
    given = parser.parse_args(arguments)
    try:
        taken = update_from(
            Path(given.home).absolute(),
            Path(given.folder),
            clock=SystemClock(),
            timeout_s=given.timeout_s,
        )
    except SightloopError as error:
        sys.stderr.write(f"{error.code} {error.message}\n")
        return 1
    sys.stdout.writelines(f"{line}\n" for line in taken.accepted)
    sys.stderr.writelines(f"{line}\n" for line in taken.problems)
    return 1 if taken.problems else 0


_VERBS = {"launch": launcher.main, "tuf": tuf_client.main, "update": _update}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sightloop.device",
        description="Serve the models this device is assigned, and tell the server how it goes.",
        epilog="sightloop agent launch, update, tuf and tune do what their --help says",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--home", required=True, help="the folder that is this device")
    parser.add_argument(
        "--stream",
        action="append",
        metavar="NAME[:SLOT[:FIELD=VALUE]]",
        default=None,
        help="a camera: its name, its slot (main), and the slice whose reference fits it; "
        "may be given several times",
    )
    parser.add_argument(
        "--shadow",
        action="append",
        metavar="SLOT=CHALLENGER[:SHARE]",
        default=None,
        help="let the version in slot CHALLENGER look at a share of SLOT's requests (0.1), "
        "without affecting an answer; may be given several times",
    )
    parser.add_argument(
        "--triton-metrics",
        action=argparse.BooleanOptionalAction,
        help="repeat the metrics under Triton's names",
    )
    defaults = msgspec.structs.asdict(AgentSettings(home=""))
    for name, meaning in _FLAGS.items():
        default = defaults[name]
        shown = f" (default: {default})" if default != "" else ""
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), help=meaning + shown)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
