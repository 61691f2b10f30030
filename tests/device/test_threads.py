import threading
from pathlib import Path

from sightloop.contracts.telemetry import DroppedBody
from sightloop.device.log import Log
from sightloop.device.outbox import MOST_WAITING, Outbox
from sightloop.device.repeating import RepeatingThread
from sightloop.device.spool import Spool
from sightloop.testing.clock import ManualClock

BODY = DroppedBody(n_envelopes=1, by_kind={"health": 1})


def test_a_step_is_repeated_after_the_time_it_asks_for_and_survives_a_bug(capsys, monkeypatch):
    monkeypatch.setattr("sightloop.device.repeating.AFTER_A_BUG_S", 0.0)
    done = threading.Event()
    calls = []

    def step() -> float:
        calls.append(len(calls))
        if len(calls) == 2:
            raise ValueError("a bug")
        if len(calls) == 4:
            done.set()
        return 0.0

    thread = RepeatingThread("test", step, log=Log(ManualClock()))
    thread.start()
    assert done.wait(10)
    thread.stop(timeout_s=10)
    assert "agent.bug thread=test" in capsys.readouterr().err


def test_a_sleeping_thread_can_be_woken_and_stopped():
    stepped = threading.Semaphore(0)

    def step() -> float:
        stepped.release()
        return 3600.0

    thread = RepeatingThread("test", step, log=Log(ManualClock()))
    thread.start()
    assert stepped.acquire(timeout=10)
    thread.wake()
    assert stepped.acquire(timeout=10)
    thread.stop(timeout_s=10)


def test_everything_put_is_on_disk_when_the_outbox_is_closed(tmp_path: Path):
    spool = Spool(tmp_path, device="device_1", limit_bytes=1 << 20)
    outbox = Outbox(spool, ManualClock())
    outbox.start()
    for _ in range(20):
        outbox.put(BODY)
    outbox.close()
    assert spool.facts.n_envelopes == 20


def test_a_disk_that_is_too_slow_loses_messages_and_counts_them(tmp_path: Path):
    outbox = Outbox(Spool(tmp_path, device="device_1", limit_bytes=1 << 20), ManualClock())
    for _ in range(MOST_WAITING + 3):
        outbox.put(BODY)
    assert outbox.n_lost == 3
