"""Models, their versions, what was decided about them, and the owner's signature.

A run becomes a version: an immutable bundle with a number. A verdict says whether it may be
released, an alias points at the one that is, and the owner's key vouches for it in update metadata
that devices verify. This room never trains, never measures (evaluation does) and never talks to a
device.
"""

__all__ = [
    "aliases",
    "approvals",
    "build_gating",
    "build_verdicts",
    "card",
    "card_origins",
    "catalogue",
    "comparison",
    "errors",
    "foreign",
    "gating",
    "golden",
    "keys",
    "labelling",
    "likeness",
    "naming_models",
    "of_runs",
    "origins",
    "owner_fields",
    "packaging",
    "pointing",
    "reference",
    "registered",
    "registered_sources",
    "registering",
    "release",
    "reproducing",
    "reproductions",
    "revoking",
    "services",
    "signing",
    "store",
    "threshold",
    "tracked_recipes",
    "unseen",
    "update_metadata",
    "values",
]
