"""`sightloop agent launch`: starts the agent, tries new releases of it, and goes back if need be.

The one part of the device that a signed update does not replace, and therefore small: it starts a
process, waits, and writes down what to start next time. It needs no network and serves nothing.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sightloop.contracts.decode import WrongFormat
from sightloop.device.agent_choice import (
    MOST_QUICK_ENDS,
    AgentChoice,
    Begun,
    begin,
    give_way,
    prove,
    refuse,
)
from sightloop.device.agent_store import AgentStore
from sightloop.device.log import Log
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import DiskFull

RESTART = 75
"""The exit code of an agent that asks to be started again, as another release perhaps."""

RELEASE_VARIABLE = "SIGHTLOOP_AGENT_RELEASE"
"""Which release the agent is; empty for the one of the system's packages."""
PROBATION_VARIABLE = "SIGHTLOOP_AGENT_PROBATION"
"""The word to write down when it serves; empty for an agent that is proven."""

LOOK_EVERY_S = 0.05
QUICK_S = 60.0
LONGEST_PAUSE_S = 30.0
PATIENCE_S = 10.0


class Launcher:
    """Runs one agent after the other on one home, until it is told to stop."""

    def __init__(
        self,
        home: Path,
        flags: Sequence[str],
        *,
        probation_s: float,
        entry: str = "sightloop.device",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = AgentStore(home / "agents")
        self._flags = ["--home", str(home), *flags]
        self._probation_s = probation_s
        self._entry = entry
        self._sleep = sleep
        self._log = Log(SystemClock())
        self._agent: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._n_quick_ends = 0

    def stop(self) -> None:
        """Pass the wish to end on to the agent, and start none after it."""
        self._stopping = True
        if self._agent is not None:
            self._agent.terminate()

    def run(self) -> int:
        """Until `stop`; the last agent's exit code."""
        code = 0
        while not self._stopping:
            begun = self._begin()
            code = self._run_once(begun.choice, begun.release, on_probation=begun.on_probation)
        return code

    def _begin(self) -> Begun:
        """What to start; whatever is wrong with the disk, an agent is started."""
        try:
            before = self._store.read_choice()
        except WrongFormat as error:
            self._log.event("launcher.choice_damaged", reason=error.message)
            before = AgentChoice()
        begun = begin(before)
        if begun.choice != before:
            try:
                # Before the start: a probation that the power cuts short counts as one.
                self._store.write_choice(begun.choice)
            except DiskFull as error:
                self._log.event("launcher.choice_not_kept", reason=error.message)
                return Begun(before, before.current, on_probation=False)
        return begun

    def _run_once(self, choice: AgentChoice, release: Digest | None, *, on_probation: bool) -> int:
        word = secrets.token_hex(16) if on_probation else ""
        started_s = time.monotonic()
        self._log.event("launcher.starts", release=release or "system", on_probation=on_probation)
        self._agent = self._start(release, word)
        if self._stopping:
            self._agent.terminate()
        if on_probation:
            self._judge(choice, word)
        code = self._agent.wait()
        if not self._stopping and not on_probation and code != RESTART:
            self._after_an_end(code, lasted_s=time.monotonic() - started_s)
        return code

    def _judge(self, choice: AgentChoice, word: str) -> None:
        assert self._agent is not None, "it was started"
        deadline_s = time.monotonic() + self._probation_s
        while not self._store.is_healthy(word):
            if self._stopping:
                return  # undecided: it is tried again
            code = self._agent.poll()
            if code == RESTART:
                return  # undecided: a newer release was proposed before this one served
            if code is not None:
                self._refuse(choice, f"it ended with code {code} before it served")
                return
            if time.monotonic() > deadline_s:
                self._refuse(choice, f"it did not serve within {self._probation_s:g} s")
                self._end()
                return
            self._sleep(LOOK_EVERY_S)
        self._store.write_choice(prove(choice))
        self._store.keep_only_used()
        self._log.event("launcher.proved", release=choice.candidate)

    def _refuse(self, choice: AgentChoice, reason: str) -> None:
        self._log.event("launcher.refused", release=choice.candidate, reason=reason)
        self._store.write_choice(refuse(choice, reason))

    def _after_an_end(self, code: int, *, lasted_s: float) -> None:
        self._n_quick_ends = self._n_quick_ends + 1 if lasted_s < QUICK_S else 1
        if self._n_quick_ends >= MOST_QUICK_ENDS:
            reason = f"it ended {self._n_quick_ends} times within {QUICK_S:g} s, with code {code}"
            self._store.write_choice(give_way(self._store.read_choice(), reason))
        self._log.event("launcher.agent_ended", code=code, lasted_s=round(lasted_s))
        self._pause(min(2.0 ** (self._n_quick_ends - 2), LONGEST_PAUSE_S))

    def _pause(self, pause_s: float) -> None:
        until_s = time.monotonic() + pause_s
        while not self._stopping and time.monotonic() < until_s:
            self._sleep(LOOK_EVERY_S)

    def _end(self) -> None:
        assert self._agent is not None, "it was started"
        self._agent.terminate()
        try:
            self._agent.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._agent.kill()

    def _start(self, release: Digest | None, word: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, RELEASE_VARIABLE: release or "", PROBATION_VARIABLE: word}
        entry = self._entry
        if release is not None:
            entry = self._store.manifest(release).entry
            path = [str(self._store.library(release)), environment.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
        command = [sys.executable, "-m", entry, *self._flags]
        return subprocess.Popen(command, env=environment)


def main(arguments: list[str]) -> int:
    """`launch [--probation-s S] --home H [the agent's flags]`; the last agent's exit code."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="sightloop agent launch",
        description="Run the agent for ever, and replace it by signed releases of itself.",
    )
    parser.add_argument("--home", required=True, help="the folder that is this device")
    parser.add_argument(
        "--probation-s", type=float, default=180.0, help="in which a new release must serve"
    )
    given, flags = parser.parse_known_args(arguments)
    launcher = Launcher(Path(given.home).absolute(), flags, probation_s=given.probation_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: launcher.stop())
    return launcher.run()
