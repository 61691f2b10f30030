"""Remotes have names; addresses never hold a secret."""

import msgspec
import pytest

from sightloop.datasets.errors import BadRemote, NoSuchRemote, RemoteExists
from sightloop.datasets.remotes.naming import (
    AddRemote,
    RemoveRemote,
    add_remote,
    known_remotes,
    remove_remote,
)
from sightloop.kernel.actors import LOCAL, Actor, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call
from sightloop.testing.workspaces import LOCAL_CALL


def add(workspace, url, name="origin", **fields):
    return add_remote(workspace, LOCAL_CALL, AddRemote(name=name, url=url, **fields))


def test_remotes_are_added_listed_and_removed(workspace, tmp_path):
    add(workspace, "s3://bucket/set/", endpoint="http://127.0.0.1:9000", region="eu")
    add(workspace, str(tmp_path / "x" / ".." / "disk"), name="disk")
    found = [(one.name, one.url, one.endpoint) for one in known_remotes(workspace, LOCAL_CALL)]
    assert found == [
        ("disk", str(tmp_path / "disk"), ""),
        ("origin", "s3://bucket/set", "http://127.0.0.1:9000"),
    ]
    remove_remote(workspace, LOCAL_CALL, RemoveRemote(name="disk"))
    assert [one.name for one in known_remotes(workspace, LOCAL_CALL)] == ["origin"]
    with pytest.raises(NoSuchRemote, match="there is no remote 'disk'; there is origin"):
        remove_remote(workspace, LOCAL_CALL, RemoveRemote(name="disk"))


def test_adding_the_same_again_changes_nothing_and_another_address_is_refused(workspace):
    assert add(workspace, "gs://bucket") == add(workspace, "gs://bucket")
    with pytest.raises(RemoteExists, match="remote origin exists and is gs://bucket") as caught:
        add(workspace, "gs://other")
    assert caught.value.code == "DATA-052"


@pytest.mark.parametrize(
    ("name", "url", "endpoint", "problem"),
    [
        ("o/r", "s3://bucket", "", "a name has up to 50 letters"),
        ("origin", "", "", "the address is empty"),
        ("origin", "ftp://host/x", "", "ftp:// is not known"),
        ("origin", "s3://", "", "an address names bucket and prefix only"),
        ("origin", "s3://KEY:hidden@bucket/x", "", "credentials come from the environment"),
        ("origin", "az://account/box?sig=hidden", "", "credentials come from the environment"),
        ("origin", "s3://bucket", "http://u:hidden@host", "an endpoint is https://HOST"),
        ("origin", "s3://bucket", "ftp://host", "an endpoint is https://HOST"),
        ("origin", "/folder", "http://host", "goes with s3://"),
    ],
)
def test_an_address_that_will_not_do_is_refused_without_repeating_secrets(
    workspace, name, url, endpoint, problem
):
    with pytest.raises(BadRemote, match=problem) as caught:
        add(workspace, url, name, endpoint=endpoint)
    assert caught.value.code == "DATA-050"
    assert "hidden" not in caught.value.message
    assert "hidden" not in msgspec.json.encode(caught.value.facts).decode()


def test_only_an_admin_says_where_data_may_go(workspace):
    engineer = Call(Actor("engineer", "person", Role.ENGINEER))
    with pytest.raises(NotAllowed):
        add_remote(workspace, engineer, AddRemote(name="origin", url="/tmp/elsewhere"))
    assert LOCAL.role is Role.ADMIN
