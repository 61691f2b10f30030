import pytest

from sightloop.kernel.errors import NotFound
from sightloop.registry.aliases import SetAlias, set_alias
from sightloop.registry.catalogue import (
    ListModels,
    ListVersions,
    ShowVersion,
    list_models,
    list_versions,
    show_card,
    show_version,
)
from sightloop.registry.errors import BadVersionReference
from sightloop.registry.signing import SignVersion, sign_version
from sightloop.testing.workspaces import LOCAL_CALL


def test_models_are_listed_with_their_aliases(workspace, made_up):
    made_up(), made_up()
    set_alias(workspace, LOCAL_CALL, SetAlias(model="pcb", alias="challenger", number=2))
    (model,) = list_models(workspace, LOCAL_CALL, ListModels()).models
    assert (model.name, model.n_versions, model.aliases) == ("pcb", 2, {"challenger": 2})


def test_versions_are_listed_with_their_latest_verdicts(workspace, made_up, judged):
    judged(made_up(), "fail")
    made_up()
    found = list_versions(workspace, LOCAL_CALL, ListVersions(model="pcb")).versions
    assert [one.version.number for one in found] == [1, 2]
    assert found[0].verdict.verdict.outcome == "fail"
    assert found[1].verdict is None


def test_an_unknown_model_has_no_versions(workspace):
    assert list_versions(workspace, LOCAL_CALL, ListVersions(model="x")).versions == []


def test_a_card_says_where_a_version_comes_from_and_how_it_was_judged(
    workspace, version, judged, dataset
):
    made = version()
    judged(made, "pass")
    sign_version(workspace, LOCAL_CALL, SignVersion(model="pcb", number=1))
    card = show_version(workspace, LOCAL_CALL, ShowVersion(version="pcb@1"))
    assert card.origin.dataset_commit == dataset
    assert card.origin.n_samples == 40
    assert card.bundle.n_golden == 8
    assert card.verdict.verdict.outcome == "pass"
    assert card.owner_key_is_here


def test_a_card_is_written_for_people(workspace, version, judged, dataset):
    judged(version(), "fail")
    text = show_card(workspace, LOCAL_CALL, ShowVersion(version="pcb@1")).markdown
    assert text.startswith("# pcb@1\n")
    assert f"- data: `{dataset}`, 40 images: blobs" in text
    assert "**fail** on its own" in text
    assert "- overall: fail. 0.7 is below 0.8" in text
    assert "It is not signed; no device will install it." in text


def test_a_card_of_nothing_is_not_found(workspace):
    with pytest.raises(NotFound):
        show_version(workspace, LOCAL_CALL, ShowVersion(version="pcb@1"))
    with pytest.raises(BadVersionReference):
        show_version(workspace, LOCAL_CALL, ShowVersion(version="pcb"))
