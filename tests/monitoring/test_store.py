import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from sightloop.monitoring import store
from sightloop.monitoring.store import Progress


def test_of_two_who_read_the_same_revision_only_the_first_may_write(workspace):
    with workspace.db.read() as tx:
        read = store.read_progress(tx)
    with workspace.db.write() as tx:
        assert store.move_progress(tx, expected=read, to=read._replace(last_profile=7))
    with workspace.db.write() as tx:
        assert not store.move_progress(tx, expected=read, to=read._replace(last_profile=9))
        assert store.read_progress(tx) == Progress(1, 7, 0)


def test_a_batch_worked_out_before_an_incident_was_closed_is_not_written(workspace):
    with workspace.db.read() as tx:
        read = store.read_progress(tx)
    with workspace.db.write() as tx:
        store.raise_revision(tx)
    with workspace.db.write() as tx:
        assert not store.move_progress(tx, expected=read, to=read)


def test_a_number_can_be_noted_as_counted_only_once(plant):
    plant.window()
    plant.advance()
    with plant.workspace.db.read() as tx:
        (step,) = store.steps_of(tx, plant.monitors()[0].watched, limit=5)
    with pytest.raises(IntegrityError), plant.workspace.db.write() as tx:
        store.add_steps(tx, [step])


def test_a_monitor_is_read_back_as_it_was_saved(plant):
    plant.window()
    plant.advance()
    monitor = msgspec.structs.replace(plant.monitors()[0], reason="changed", incident="incident_1")
    with plant.workspace.db.write() as tx:
        store.save_monitors(tx, [monitor])
    assert monitor in plant.monitors()
    assert len(plant.monitors()) == 2


def test_a_monitor_with_other_bets_than_this_version_makes_begins_anew(plant):
    plant.window()
    plant.advance()
    monitor = plant.monitors()[0]
    fewer = msgspec.structs.replace(monitor.state, log_stakes=[0.0], since=[0])
    with plant.workspace.db.write() as tx:
        store.save_monitors(tx, [msgspec.structs.replace(monitor, state=fewer)])
    plant.window()
    plant.advance()
    assert [one.state.n_windows for one in plant.monitors()] == [1, 2]
