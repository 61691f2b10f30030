"""Why a device's message is not taken.

BadInput
├── BatchTooLarge         send fewer envelopes at a time
├── ImpossibleEnvelope    a value that no device can have measured
├── UploadTooLarge        the image is over the workspace's limit
└── UploadDiffers         the bytes are not those of the digest they came under
NotAllowed
└── SentForAnother        a device speaks only for itself
"""

from __future__ import annotations

from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import BadInput, NotAllowed, SightloopError


class BatchTooLarge(BadInput):
    """More envelopes than one write transaction should hold; nothing of it was stored."""

    code = "TEL-101"

    def __init__(self, *, n_envelopes: int, limit: int) -> None:
        super().__init__(
            f"the batch has {n_envelopes} envelopes and at most {limit} are taken at a time; "
            "send it in parts",
            n_envelopes=n_envelopes,
            limit=limit,
        )


class ImpossibleEnvelope(BadInput):
    """An envelope holds a value that cannot be; the sender is faulty, sending again is no help."""

    code = "TEL-102"

    def __init__(self, *, device: str, sequence: int, problem: str) -> None:
        super().__init__(
            f"envelope {sequence} of device {device}: {problem}; nothing of its batch was stored - "
            "update the agent or send the batch without it",
            device=device,
            sequence=sequence,
            problem=problem,
        )


class UploadTooLarge(BadInput):
    """An image is larger than the workspace takes."""

    code = "TEL-110"
    http_status = 413

    def __init__(self, *, digest: Digest, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the upload {digest} has {size_bytes} bytes, the limit is {limit_bytes}; "
            "raise max_request_bytes under [server] in sightloop.toml, or send a smaller image",
            digest=digest,
            size_bytes=size_bytes,
            limit_bytes=limit_bytes,
        )


class UploadDiffers(BadInput):
    """The bytes that came are not the ones that were announced; the transfer damaged them."""

    code = "TEL-111"

    def __init__(self, *, announced: Digest, received: Digest) -> None:
        super().__init__(
            f"the upload should be {announced} but its bytes are {received}; send it again",
            announced=announced,
            received=received,
        )


class SentForAnother(NotAllowed):
    """A device sent an envelope in another device's name."""

    code = "TEL-300"

    def __init__(self, *, sender: str, device: str, sequence: int) -> None:
        SightloopError.__init__(
            self,
            f"{sender} sent envelope {sequence} in the name of device {device}; "
            "a device may only send for itself - enrol it anew if it was renamed",
            sender=sender,
            device=device,
            sequence=sequence,
        )
