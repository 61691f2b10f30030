"""What can keep a demo from running at all; broken promises are results, not errors.

BadInput
├── UnusableDemoData     the folder cannot serve as the demo's world
└── FolderInUse          --out holds something the demo did not make
Refused
└── DemoStuck            a station did not finish in time
"""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, Refused


class UnusableDemoData(BadInput):
    """The data folder lacks what the demo needs."""

    code = "DEMO-001"

    def __init__(self, *, where: str, problem: str) -> None:
        super().__init__(
            f"{where}: {problem}; the demo takes a COCO folder (annotations.json, images/) whose "
            "images carry --split-key and --slice-field",
            where=where,
            problem=problem,
        )


class FolderInUse(BadInput):
    """The output folder is not empty and not an earlier demo's."""

    code = "DEMO-002"

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"{path} holds files that no demo made; nothing was touched - choose another --out",
            path=path,
        )


class DemoStuck(Refused):
    """A station took longer than the demo is willing to wait, or failed."""

    code = "DEMO-010"

    def __init__(self, *, station: str, waited_s: float, detail: str) -> None:
        super().__init__(
            f"the demo stopped at {station!r} after {waited_s:.0f} s: {detail}; "
            "the logs are in the output folder",
            station=station,
            waited_s=waited_s,
            detail=detail,
        )
