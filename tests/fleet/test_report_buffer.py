import msgspec
import pytest
from sqlalchemy import event

from sightloop.fleet import store
from sightloop.fleet.check_ins import SLOT_SWITCHED
from sightloop.fleet.report_buffer import ReportBuffer
from sightloop.fleet.values import Report
from sightloop.kernel.errors import Unavailable
from sightloop.kernel.events import history


@pytest.fixture
def buffer(workspace):
    # Written when a test says so, never by the timer.
    opened = ReportBuffer(workspace.db, window_s=3600)
    yield opened
    opened.close()


@pytest.fixture
def n_commits(workspace):
    counted = []
    event.listen(workspace.db._backend.writing, "commit", lambda _: counted.append(1))
    return lambda: len(counted)


def seen_at(workspace, device):
    with workspace.db.read() as tx:
        found = store.report_of(tx, device.id)
    return None if found is None else found.seen_at_ms


def switches(workspace, device):
    with workspace.db.read() as tx:
        return [one.kind for one in history(tx, subject=device.id)].count(SLOT_SWITCHED)


def test_the_first_check_in_of_a_device_is_written_at_once(workspace, enrol, buffer):
    device = enrol("box")
    device.check_in(buffer)
    assert seen_at(workspace, device) == workspace.clock.now_ms()


def test_devices_that_are_all_well_share_one_commit(workspace, enrol, buffer, n_commits, clock):
    devices = [enrol(f"box{n}") for n in range(5)]
    for device in devices:
        device.check_in(buffer)
    clock.advance(60)
    before = n_commits()
    for device in devices:
        device.check_in(buffer)
    assert n_commits() == before
    assert buffer.write() == 5
    assert n_commits() == before + 1
    assert {seen_at(workspace, device) for device in devices} == {clock.now_ms()}


def test_what_an_auditor_would_ask_about_does_not_wait(workspace, enrol, buffer, release, clock):
    version = release(champion=True)
    device = enrol("box")
    device.check_in(buffer)
    clock.advance(60)
    device.report(running=version.bundle)
    device.check_in(buffer)
    assert seen_at(workspace, device) == clock.now_ms()


def test_an_older_report_never_replaces_a_newer_one(workspace, enrol, buffer, release, clock):
    version = release(champion=True)
    device = enrol("box")
    device.check_in(buffer)
    clock.advance(60)
    device.check_in(buffer)  # waits
    clock.advance(60)
    device.report(running=version.bundle)
    device.check_in(buffer)  # is written at once
    buffer.write()
    assert seen_at(workspace, device) == clock.now_ms()


def test_a_switch_is_told_once_though_the_report_of_it_was_followed_by_others(
    workspace, enrol, buffer, release
):
    version = release(champion=True)
    device = enrol("box")
    for _ in range(3):
        device.report(running=version.bundle)
        device.check_in(buffer)
    assert switches(workspace, device) == 1
    buffer.write()
    device.report(running=version.bundle)
    device.check_in(buffer)
    assert switches(workspace, device) == 1


def test_reports_wait_on_when_the_database_cannot_be_written(
    workspace, enrol, buffer, clock, monkeypatch
):
    device = enrol("box")
    device.check_in(buffer)
    clock.advance(60)
    device.check_in(buffer)
    with monkeypatch.context() as patched:
        patched.setattr(workspace.db, "write", lambda: (_ for _ in ()).throw(Unavailable("away")))
        with pytest.raises(Unavailable):
            buffer.write()
    assert buffer.latest(device.id).seen_at_ms == clock.now_ms()
    assert buffer.write() == 1
    assert seen_at(workspace, device) == clock.now_ms()


def test_a_device_that_was_removed_meanwhile_holds_nobody_up(workspace, enrol, buffer, clock):
    device = enrol("box")
    device.check_in(buffer)
    clock.advance(60)
    device.check_in(buffer)
    with workspace.db.read() as tx:
        known = store.get_device(tx, device.id)
        report = store.report_of(tx, device.id)
    gone = msgspec.structs.replace(known, id="dev_gone", name="gone")
    buffer.keep(gone, Report(seen_at_ms=clock.now_ms(), check_in=report.check_in))
    buffer.write()
    assert seen_at(workspace, device) == clock.now_ms()


def test_the_window_ends_by_itself(workspace, enrol, clock):
    buffer = ReportBuffer(workspace.db, window_s=0.01)
    device = enrol("box")
    device.check_in(buffer)
    clock.advance(60)
    device.check_in(buffer)
    timer = buffer._timer
    timer.join(10)
    assert seen_at(workspace, device) == clock.now_ms()


def test_closing_writes_what_waits(workspace, enrol, buffer, clock):
    device = enrol("box")
    device.check_in(buffer)
    clock.advance(60)
    device.check_in(buffer)
    buffer.close()
    assert seen_at(workspace, device) == clock.now_ms()
