"""Work for people: which images are worth a look, who labelled them, and how labels become data.

Audited images become tasks at once, the others only when they were chosen: uncertain and unlike
what is known. Labels come in through one service, whether from a page, a file or a simulated
annotator; they give audited images their loss at once and a data set its next commit later. The
room never decides that something is wrong with a model: an incident reaches it as a value.
"""

__all__ = [
    "agreement",
    "blinding",
    "boxes",
    "bundles",
    "claiming",
    "claims",
    "coco",
    "committing",
    "errors",
    "exchange",
    "flagging",
    "images",
    "labelling",
    "labels",
    "listing",
    "opinions",
    "queue",
    "second_opinions",
    "selection",
    "store",
    "tasks",
    "values",
]
