"""Where the one-time enrolment token comes from, best not from the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from sightloop.device.errors import BadSetting
from sightloop.device.home import Home

VARIABLE = "SIGHTLOOP_ENROL_TOKEN"
LONGEST_TOKEN = 4096


def enrol_token(home: Path, *, flag: str, file: str, environment: Mapping[str, str]) -> str:
    """The token: of the flag, the file, or the environment, in this order; empty without any.

    An enrolled home needs none, so the file is not even opened: it may be gone by then.

    Raises:
        BadSetting: the home is new and the file cannot be read or is empty.
    """
    if flag:
        sys.stderr.write(
            "warning: --enrol-token can be read by every user of this machine in the list of "
            "processes; give --enrol-token-file FILE instead\n"
        )
        return flag
    if not file or Home(home).identity_file.exists():
        return environment.get(VARIABLE, "")
    try:
        # One line of a stream, so that a terminal need not be closed.
        text = sys.stdin.readline(LONGEST_TOKEN) if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {error}"
        raise BadSetting(setting="--enrol-token-file", value=file, problem=problem) from error
    if not (token := text.strip()) or len(token) > LONGEST_TOKEN:
        problem = "holds no token"
        raise BadSetting(setting="--enrol-token-file", value=file, problem=problem)
    return token
