import pytest
from sqlalchemy import text

from sightloop.kernel import audit, events
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.events import EventKind
from sightloop.kernel.workspace import Workspace

pytestmark = pytest.mark.both_databases


def tell_and_seal(workspace: Workspace, n_events: int) -> audit.Seal | None:
    with workspace.db.write() as tx:
        for index in range(n_events):
            events.tell(tx, EventKind("thing.made"), str(index), by=LOCAL, at_ms=index)
        return audit.seal_events(tx, now_ms=99)


def test_seals_chain_over_all_events(workspace: Workspace):
    first, second = tell_and_seal(workspace, 3), tell_and_seal(workspace, 2)
    assert first is not None
    assert second is not None
    assert second.previous == first.seal
    with workspace.db.read() as tx:
        assert audit.verify(tx) == 5


def test_nothing_new_is_not_sealed(workspace: Workspace):
    tell_and_seal(workspace, 1)
    assert tell_and_seal(workspace, 0) is None


def test_an_empty_log_verifies(workspace: Workspace):
    with workspace.db.read() as tx:
        assert audit.verify(tx) == 0


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE events SET actor = 'someone else' WHERE number = 4",
        "UPDATE events SET at_ms = at_ms + 1 WHERE number = 4",
        "DELETE FROM events WHERE number = 4",
        "UPDATE audit_seals SET last_event = 4 WHERE number = 2",
        "UPDATE audit_seals SET sealed_at_ms = 0 WHERE number = 2",
        "DELETE FROM audit_seals WHERE number = 1",
    ],
)
def test_any_change_to_the_sealed_past_is_found(workspace: Workspace, forgery: str):
    tell_and_seal(workspace, 3)
    tell_and_seal(workspace, 3)
    with workspace.db.write() as tx:
        tx.execute(text(forgery))
    with workspace.db.read() as tx, pytest.raises(audit.AuditBroken, match="at seal 2"):
        audit.verify(tx)
