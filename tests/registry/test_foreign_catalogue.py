"""Versions that MLflow's clients registered, as people see them."""

import pytest

from sightloop.kernel.errors import NotFound
from sightloop.registry.catalogue import ListModels, ListVersions, list_models, list_versions
from sightloop.registry.errors import BadVersionReference
from sightloop.registry.foreign_catalogue import (
    WHY_NOT_RELEASED,
    ShowRegistered,
    show_registered,
)
from sightloop.registry.naming_models import CreateModel, create_model
from sightloop.registry.pointing import point_alias
from sightloop.registry.registered_sources import RegisterVersion
from sightloop.registry.registering import delete_version, register_version
from sightloop.testing.workspaces import LOCAL_CALL


@pytest.fixture
def register(workspace):
    def make(model: str = "pcb") -> int:
        request = RegisterVersion(model=model, source="s3://bucket/net")
        return register_version(workspace, LOCAL_CALL, request).number

    return make


def numbers_in(workspace, **more):
    found = list_versions(workspace, LOCAL_CALL, ListVersions(model="pcb", **more))
    own = [one.version.number for one in found.versions]
    return own, [one.number for one in found.foreign.versions], found.next_before


def test_both_kinds_are_listed_apart_with_the_reason(workspace, made_up, register):
    made_up()
    register()
    found = list_versions(workspace, LOCAL_CALL, ListVersions(model="pcb"))
    assert numbers_in(workspace) == ([1], [2], None)
    assert found.foreign.why_not_released == WHY_NOT_RELEASED


def test_pages_count_through_both_kinds(workspace, made_up, register):
    made_up()
    for _ in range(3):
        register()
    assert numbers_in(workspace, limit=2) == ([], [3, 4], 3)
    assert numbers_in(workspace, limit=2, before=3) == ([1], [2], None)
    assert numbers_in(workspace, limit=2, before=1) == ([], [], None)


def test_the_list_of_models_counts_them_apart(workspace, made_up, register):
    made_up()
    register()
    delete_version(workspace, LOCAL_CALL, "pcb", register())
    [model] = list_models(workspace, LOCAL_CALL, ListModels()).models
    assert (model.n_versions, model.newest) == (1, 1)
    assert (model.n_foreign, model.newest_foreign) == (1, 2)


def test_a_version_is_shown_whatever_its_model_is_called(workspace, register):
    create_model(workspace, LOCAL_CALL, CreateModel(name="My Net 2.0"))
    number = register("My Net 2.0")
    point_alias(workspace, LOCAL_CALL, "My Net 2.0", "staging", number)
    for named in ("1", "staging"):
        request = ShowRegistered(version=f"My Net 2.0@{named}")
        found = show_registered(workspace, LOCAL_CALL, request)
        assert (found.number, found.bundle, found.aliases) == (1, None, ["staging"])


@pytest.mark.parametrize("text", ["", "pcb", "@1", "pcb@"])
def test_what_names_no_version_is_refused(workspace, text):
    with pytest.raises(BadVersionReference):
        show_registered(workspace, LOCAL_CALL, ShowRegistered(version=text))


@pytest.mark.parametrize("text", ["pcb@9", "pcb@nobody", "none@1"])
def test_what_is_not_there_says_where_to_look(workspace, made_up, text):
    made_up()
    with pytest.raises(NotFound, match="sightloop models"):
        show_registered(workspace, LOCAL_CALL, ShowRegistered(version=text))
