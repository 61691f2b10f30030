"""Training as jobs of a child process: engines, jobs, supervision, what surrounded a run.

The room starts engines and keeps what they leave; it never imports one, nor the libraries they
drive, and it does not judge the models that come out.
"""

__all__ = [
    "attempts",
    "endings",
    "engines",
    "errors",
    "folders",
    "jobs",
    "launcher",
    "limits",
    "lines",
    "logs",
    "process",
    "reasons",
    "recording",
    "reproducing",
    "requests",
    "services",
    "sources",
    "store",
    "supervision",
    "sweeps",
    "tail",
    "weights",
    "weights_digest",
]
