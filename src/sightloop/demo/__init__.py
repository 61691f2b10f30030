"""One turn of the loop, played by the processes and services a user has, in front of a referee.

The demo starts a server and three device agents, shows images to them, labels what it is asked to
label, and checks afterwards what was promised. It takes no shortcut: whatever it changes, it
changes through a service. Only the annotator and the referee know what is truly in an image.
"""

__all__ = [
    "annotator",
    "cameras",
    "conveyor",
    "director",
    "errors",
    "pictures",
    "policy",
    "promises",
    "referee",
    "report",
    "screen",
    "stage",
    "story",
    "world",
]
