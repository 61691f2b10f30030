"""What can go wrong on a device, by what the reader of the message can do about it.

The audiences: whoever starts the agent (DEV-00x), the server's operator, who sees why a bundle
was not put to work (DEV-02x to DEV-04x), and the client of the HTTP interface (DEV-05x, DEV-06x).
Whoever looks after the cameras reads DEV-08x.
"""

from __future__ import annotations

from typing import Literal

from sightloop.kernel.errors import BadInput, Damaged, NotFound, Refused, Unavailable

# --- starting an agent ---------------------------------------------------------------------------


class BadSetting(BadInput):
    """A flag, or a kept setting, cannot be right."""

    code = "DEV-001"

    def __init__(self, *, setting: str, value: str, problem: str) -> None:
        super().__init__(
            f"{setting} {value!r} {problem}; see `python -m sightloop.device --help`",
            setting=setting,
            value=value,
        )


class NotEnrolled(BadInput):
    """The home folder holds no identity, and nothing to get one with was given."""

    code = "DEV-002"

    def __init__(self, *, home: str) -> None:
        super().__init__(
            f"{home} is not enrolled; start once with --server URL --enrol-token TOKEN "
            "(a token is made by `sightloop devices enroll`)",
            home=home,
        )


class HomeInUse(Unavailable):
    """Another agent runs on this home folder; two would answer for one device."""

    code = "DEV-003"

    def __init__(self, *, home: str, holder: str) -> None:
        super().__init__(
            f"{home} is in use by another agent ({holder}); stop it, or give this one another "
            "--home",
            home=home,
            holder=holder,
        )


class StaleBuild(Refused):
    """A build of a model file is not for this machine as it is now."""

    code = "DEV-006"

    def __init__(self, *, problem: str) -> None:
        super().__init__(f"the build cannot be used: {problem}; tune the device again")


class TuningAlready(Unavailable):
    """Another process measures this device; both would measure each other."""

    code = "DEV-005"

    def __init__(self, *, home: str) -> None:
        super().__init__(
            f"{home} is being tuned by another process; wait until it is done", home=home
        )


class AddressInUse(Unavailable):
    """The agent cannot listen where it should."""

    code = "DEV-004"

    def __init__(self, *, address: str, reason: str) -> None:
        super().__init__(
            f"cannot listen on {address}: {reason}; stop what uses it or choose another --port",
            address=address,
            reason=reason,
        )


# --- talking to the server -----------------------------------------------------------------------


class ServerAway(Unavailable):
    """No answer, or an answer that says to come back later; what waits stays in the spool."""

    code = "DEV-010"

    def __init__(self, *, url: str, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(
            f"{url} cannot be reached now: {reason}; the device goes on serving and tries again",
            url=url,
            reason=reason,
        )
        self.retry_after_s = retry_after_s


class ServerRefused(Refused):
    """The server understood and said no."""

    code = "DEV-011"

    def __init__(self, *, url: str, status: int, reason: str) -> None:
        super().__init__(
            f"{url} refused with status {status}: {reason}; "
            "check the device's token and its entry on the server",
            url=url,
            status=status,
            reason=reason,
        )
        self.status = status


# --- deciding what to run ------------------------------------------------------------------------


class AssignmentForAnother(Refused):
    """The assignment names another device."""

    code = "DEV-020"

    def __init__(self, *, named: str, device: str) -> None:
        super().__init__(
            f"the assignment is for {named}, this is {device}; it was not followed",
            named=named,
            device=device,
        )


class UnknownSlot(Refused):
    """The assignment names a slot the device was not configured with."""

    code = "DEV-021"

    def __init__(self, *, slot: str, slots: list[str]) -> None:
        super().__init__(
            f"the assignment is for slot {slot!r}, this device has {', '.join(slots)}; "
            "assign to one of those, or restart the agent with a --stream for it",
            slot=slot,
            slots=slots,
        )


class OldCounter(Refused):
    """The assignment was overtaken: following it could bring a withdrawn version back."""

    code = "DEV-022"

    def __init__(self, *, slot: str, counter: int, seen: int) -> None:
        super().__init__(
            f"the assignment for slot {slot!r} carries counter {counter}, "
            f"but {seen} was already accepted; issue a new one",
            slot=slot,
            counter=counter,
            seen=seen,
        )


class ForeignKey(Refused):
    """The assignment is not signed by a key the update metadata trusts with assignments."""

    code = "DEV-023"

    def __init__(self, *, key_id: str, reason: str) -> None:
        super().__init__(
            f"the assignment's signature by key {key_id[:12]} does not count: {reason}; "
            "it was not followed",
            key_id=key_id,
            reason=reason,
        )


class NotOffered(Refused):
    """The model's owner has not signed this bundle, or no longer stands by it."""

    code = "DEV-024"

    def __init__(self, *, model: str, bundle: str) -> None:
        super().__init__(
            f"{bundle} is not among the signed versions of {model!r}; "
            "sign the version before assigning it",
            model=model,
            bundle=bundle,
        )


class MetadataRefused(Refused):
    """The update metadata is expired, rolled back or wrongly signed; nothing is installed by it."""

    code = "DEV-025"

    def __init__(self, *, reason: str) -> None:
        super().__init__(
            f"the update metadata was refused: {reason}; the device keeps what it has",
            reason=reason,
        )


class Quarantined(Refused):
    """The bundle failed here before and is not tried again by this agent version."""

    code = "DEV-026"

    def __init__(self, *, bundle: str, reason: str) -> None:
        super().__init__(
            f"{bundle} is quarantined on this device: {reason}; assign another version",
            bundle=bundle,
            reason=reason,
        )


class Revoked(Refused):
    """The model's owner took the bundle back; it is not run again, whoever assigns it."""

    code = "DEV-032"

    def __init__(self, *, bundle: str, reason: str) -> None:
        super().__init__(
            f"{bundle} was revoked by its owner: {reason}; assign another version",
            bundle=bundle,
            reason=reason,
        )


class NoUpdateFolder(BadInput):
    """The folder does not carry updates."""

    code = "DEV-033"

    def __init__(self, *, folder: str, reason: str) -> None:
        super().__init__(
            f"{folder} is no folder of updates: {reason}; "
            "write one with `sightloop fleet export-usb FOLDER`",
            folder=folder,
            reason=reason,
        )


class UpdateNotTaken(Unavailable):
    """The running agent did not say that it looked into the folder."""

    code = "DEV-034"

    def __init__(self, *, home: str, timeout_s: float) -> None:
        super().__init__(
            f"the agent of {home} did not answer within {timeout_s:g} s; "
            "look at its log, or stop it and repeat the command",
            home=home,
            timeout_s=timeout_s,
        )


class TamperedFile(Damaged):
    """Bytes that arrived, or that lie on disk, are not those that were signed."""

    code = "DEV-027"

    def __init__(self, *, file: str, expected: str, found: str) -> None:
        super().__init__(
            f"{file} should be {expected} but is {found}; it was not used and is fetched again",
            file=file,
            expected=expected,
            found=found,
        )


class NotEnoughSpace(Unavailable):
    """What is fetched does not fit on the disk beside what the device needs to keep running."""

    code = "DEV-028"

    def __init__(self, *, needed_bytes: int, free_bytes: int, path: str) -> None:
        super().__init__(
            f"what is to be fetched needs {needed_bytes} bytes on the disk of {path}, "
            f"of which {free_bytes} are free; make room or lower --spool-bytes",
            needed_bytes=needed_bytes,
            free_bytes=free_bytes,
        )


class UnsafeName(BadInput):
    """A file of the bundle would be written outside the bundle's folder."""

    code = "DEV-029"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"the bundle names a file {name[:80]!r}, which is not a plain relative path; "
            "package the version again",
            name=name[:80],
        )


class BadWheel(BadInput):
    """A wheel of an agent release cannot be unpacked into the release's folder."""

    code = "DEV-069"

    def __init__(self, *, wheel: str, problem: str) -> None:
        super().__init__(
            f"the agent release has a file {wheel[:80]!r} that cannot be unpacked: {problem}; "
            "make another release with `sightloop fleet release-agent`",
            wheel=wheel[:80],
        )


# --- putting a bundle to work --------------------------------------------------------------------


class GoldenMismatch(Refused):
    """On this device the file does not find what it must find in its golden images."""

    code = "DEV-040"

    def __init__(self, *, file: str, difference: str) -> None:
        super().__init__(
            f"golden image {file}: {difference}; the bundle does not run correctly here",
            file=file,
            difference=difference,
        )


Blame = Literal["bundle", "disk", "settings", "crash"]
"""Why a worker did not start.

`bundle`: it does not run correctly here, and never will. `disk`: its bytes have changed, which
fetching them again mends. `settings`: the agent was set up wrongly, whatever the bundle.
`crash`: the process ended without a word, for which the machine may be to blame.
"""


class StartFailed(Refused):
    """A worker for the bundle ended before it could serve; `blame` says what to make of it."""

    code = "DEV-041"

    def __init__(self, *, bundle: str, reason: str, blame: Blame) -> None:
        super().__init__(
            f"no worker for {bundle} could be started: {reason}", bundle=bundle, reason=reason
        )
        self.blame = blame


class BadRedaction(BadInput):
    """The redaction hook cannot be used; without it nothing may be kept."""

    code = "DEV-042"

    def __init__(self, *, entry: str, reason: str) -> None:
        super().__init__(
            f"--redaction {entry!r} cannot be used: {reason}; name it as module:function, "
            "taking and returning the bytes of an image",
            entry=entry,
            reason=reason,
        )


# --- answering clients ---------------------------------------------------------------------------


class BodyTooLarge(BadInput):
    """The request is longer than the device accepts."""

    code = "DEV-050"
    http_status = 413

    def __init__(self, *, limit_bytes: int) -> None:
        super().__init__(
            f"the body is longer than {limit_bytes} bytes; send a smaller image, or start the "
            "agent with a larger --max-body-bytes",
            limit_bytes=limit_bytes,
        )


class WrongMediaType(BadInput):
    """The body is of a kind this route does not read."""

    code = "DEV-051"
    http_status = 415

    def __init__(self, *, media_type: str, wanted: str) -> None:
        super().__init__(
            f"content type {media_type[:80]!r} is not read here; send {wanted}",
            media_type=media_type[:80],
        )


class SlowBody(BadInput):
    """The body did not arrive in time; others are not kept waiting for it."""

    code = "DEV-052"
    http_status = 408

    def __init__(self, *, limit_s: float) -> None:
        super().__init__(
            f"the body did not arrive within {limit_s:g} s; send it again", limit_s=limit_s
        )


class NotDrawn(BadInput):
    """The image was answered, but no picture of the answer can be given."""

    code = "DEV-055"
    http_status = 422

    def __init__(self, *, problem: str) -> None:
        super().__init__(
            f"the answer cannot be drawn: {problem}; ask without drawn=1", problem=problem
        )


class MalformedBody(BadInput):
    """The body is not what its headers say."""

    code = "DEV-053"

    def __init__(self, *, problem: str) -> None:
        super().__init__(f"the request cannot be read: {problem}", problem=problem)


class ImageUnreadable(BadInput):
    """The image could not be decoded."""

    code = "DEV-054"
    http_status = 422

    def __init__(self, *, problem: str) -> None:
        super().__init__(problem, problem=problem)


class QueueFull(Unavailable):
    """More requests wait than the device can answer in time."""

    code = "DEV-060"

    def __init__(self, *, n_waiting: int) -> None:
        super().__init__(
            f"{n_waiting} requests wait already; send fewer at once and repeat this one",
            n_waiting=n_waiting,
        )


class DeadlinePassed(Unavailable):
    """No worker answered in time."""

    code = "DEV-061"
    http_status = 504

    def __init__(self, *, limit_s: float) -> None:
        super().__init__(f"no answer within {limit_s:g} s; repeat the request", limit_s=limit_s)


class WaitedTooLong(Unavailable):
    """The request waited for a worker until its time was up; nobody looked at it."""

    code = "DEV-068"

    def __init__(self, *, limit_s: float) -> None:
        super().__init__(
            f"no worker was free within {limit_s:g} s; send fewer at once and repeat this one",
            limit_s=limit_s,
        )


class NoModelYet(Unavailable):
    """The slot runs nothing so far."""

    code = "DEV-062"

    def __init__(self, *, slot: str) -> None:
        super().__init__(
            f"slot {slot!r} has no model yet; assign one on the server, or wait for the download",
            slot=slot,
        )


class WorkerLost(Unavailable):
    """Every worker that was given this image died of it."""

    code = "DEV-063"
    http_status = 500

    def __init__(self, *, n_sends: int) -> None:
        super().__init__(
            f"{n_sends} workers ended while they looked at this image; it is not tried again",
            n_sends=n_sends,
        )


class ModelBroken(Unavailable):
    """The model computed something that is not an answer."""

    code = "DEV-067"
    http_status = 500

    def __init__(self, *, problem: str) -> None:
        super().__init__(problem, problem=problem)


class ShuttingDown(Unavailable):
    """The agent is being stopped."""

    code = "DEV-064"

    def __init__(self) -> None:
        super().__init__("the agent is being stopped; repeat the request when it is back")


class UnknownModel(NotFound):
    """No slot runs this model, or not in this version."""

    code = "DEV-065"

    def __init__(self, *, model: str, version: str, running: list[str]) -> None:
        wanted = f"{model}@{version}" if version else model
        known = ", ".join(running) or "none yet"
        super().__init__(what="running model", name=wanted, hint=f"this device runs: {known}")


class UnknownStream(NotFound):
    """The request names a stream that was not declared."""

    code = "DEV-066"

    def __init__(self, *, stream: str, streams: list[str]) -> None:
        super().__init__(what="stream", name=stream, hint=f"declared are: {', '.join(streams)}")


# --- reading sources -----------------------------------------------------------------------------


class SourceLost(Unavailable):
    """A camera, film or folder gives nothing more for now; it is opened again after a while."""

    code = "DEV-080"

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason, reason=reason)
