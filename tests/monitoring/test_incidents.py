import pytest

from sightloop.kernel.events import history
from sightloop.monitoring.errors import IncidentClosed, IncidentUnknown
from sightloop.monitoring.incidents import (
    CloseIncident,
    FindIncident,
    close_incident,
    explain_incident,
    find_incident,
)
from sightloop.testing.workspaces import LOCAL_CALL


def explain(plant, incident):
    return explain_incident(plant.workspace, LOCAL_CALL, FindIncident(incident=incident))


def close(plant, incident, reason="lamp replaced"):
    request = CloseIncident(incident=incident, reason=reason)
    return close_incident(plant.workspace, LOCAL_CALL, request)


@pytest.fixture
def dark(plant):
    """An input incident: usual windows, then dark ones."""
    for _ in range(6):
        plant.window()
    plant.darken()
    (incident,) = plant.advance().incidents
    return explain(plant, incident)


@pytest.fixture
def worse(plant):
    """A loss incident: usual losses, then every image wrong."""
    for i in range(60):
        plant.label(0.4 if i % 4 == 0 else 0.0)
    for _ in range(20):
        plant.label(1.0)
    (incident,) = plant.advance().incidents
    return explain(plant, incident)


def test_an_incident_names_its_monitor_and_what_its_alarm_is_worth(dark):
    incident = dark.incident
    assert (incident.kind, incident.state, incident.measure) == ("input", "open", "brightness")
    assert incident.guarantee == "guaranteed"
    assert incident.statistic_nats >= incident.threshold_nats
    assert incident.stratum == "line=a"
    assert incident.model == "pcb"


def test_the_evidence_says_in_words_what_moved(dark):
    (change,) = dark.evidence.measures
    assert (
        change.words
        == "brightness moved down: 100 % of images where the lowest 10 % of the reference are"
    )


def test_the_evidence_holds_both_histograms_of_the_measure_that_moved(dark):
    (change,) = dark.evidence.measures
    assert change.reference_shares == [0.05] * 20
    assert change.live_shares[0] > 0.95
    assert len(change.edges) == len(change.live_shares) - 1
    assert change.n_reference == 100


def test_the_evidence_dates_the_change_to_the_window_where_it_began(dark):
    assert 20 <= dark.evidence.n_images_since_change <= 40
    leading = dark.evidence.traces[0]
    usual = [point.at_ms for point in leading.points[:6]]
    assert dark.evidence.change_at_ms >= usual[-1] - 1000


def test_the_evidence_traces_every_monitor_from_the_first_window_on(dark):
    leading, other = dark.evidence.traces
    assert (leading.measure, other.measure) == ("brightness", "contrast")
    assert len(leading.points) == len(other.points) >= 8
    assert leading.points[-1].statistic_nats == leading.statistic_nats
    assert leading.points[-1].n_images > leading.points[0].n_images == 100


def test_the_evidence_names_the_kept_images_that_show_the_change_first(plant):
    plant.window()
    plant.darken(2)
    bright, dark, middle = plant.keep(250), plant.keep(5), plant.keep(100)
    plant.keep(5, stream="other")
    plant.darken(3)
    (incident,) = plant.advance().incidents
    assert explain(plant, incident).evidence.kept == [dark, middle, bright]


def test_a_device_whose_clock_was_set_back_is_watched_all_the_same(plant, clock):
    for _ in range(3):
        plant.window()
    clock.set_back(100_000)
    plant.darken()
    (incident,) = plant.advance().incidents
    assert explain(plant, incident).evidence.measures[0].live_shares[0] > 0.95


def test_the_evidence_stays_as_it_was_when_more_arrives(plant, dark):
    plant.darken(10)
    plant.advance()
    assert explain(plant, dark.incident.id).evidence == dark.evidence


def test_worse_labels_open_a_loss_incident_of_their_own(plant, worse):
    assert worse.incident.kind == "loss"
    plant.darken(10)
    (other,) = plant.advance().incidents
    assert explain(plant, other).incident.kind == "input"


def test_the_evidence_of_a_loss_incident_holds_the_losses_since_the_change(worse):
    change = worse.evidence.loss
    assert change.reference_mean == 0.1
    assert set(change.losses[-8:]) == {1.0}
    assert len(change.losses) == worse.evidence.n_images_since_change <= 20
    assert change.words.endswith("audited images, 0.10 at release")


def test_the_evidence_of_a_loss_incident_names_the_worst_images(worse):
    assert 0 < len(worse.evidence.kept) <= 12
    assert all(kept.startswith("kept_") for kept in worse.evidence.kept)


def test_usual_losses_open_nothing(plant):
    for i in range(200):
        plant.label(0.4 if i % 4 == 0 else 0.0)
    assert plant.advance().incidents == []


def test_a_loss_that_cannot_be_is_noted_and_not_bet_on(plant):
    plant.label(0.0)
    plant.label(7.0)
    assert plant.advance().n_losses == 2
    assert plant.incidents() == []


def test_closing_tells_why(plant, dark):
    closed = close(plant, dark.incident.id)
    assert (closed.state, closed.closed_because) == ("closed", "lamp replaced")
    with plant.workspace.db.read() as tx:
        (event,) = [one for one in history(tx) if one.kind == "incident.closed"]
    assert event.data["reason"] == "lamp replaced"
    assert event.subject == dark.incident.id


def test_an_incident_is_closed_once(plant, dark):
    close(plant, dark.incident.id)
    with pytest.raises(IncidentClosed) as caught:
        close(plant, dark.incident.id, reason="again")
    assert caught.value.code == "MON-400"
    assert "(lamp replaced); nothing was changed" in caught.value.message


def test_closing_an_input_incident_leaves_the_loss_monitor_where_it_is(plant, dark):
    plant.label(0.4)
    plant.advance()
    close(plant, dark.incident.id)
    plant.label(0.4)
    plant.advance()
    (step,) = [one for one in plant.monitors() if one.watched.kind == "loss"]
    assert step.state.n_images == 2


def test_an_unknown_incident_is_said_to_be_unknown(plant):
    with pytest.raises(IncidentUnknown) as caught:
        find_incident(plant.workspace, LOCAL_CALL, FindIncident(incident="incident_x"))
    assert caught.value.code == "MON-200"
    assert "there is no incident 'incident_x'" in caught.value.message
