"""An owner's list of builds: what an agent does not understand gates nothing, and costs nothing."""

from sightloop.contracts.gated_builds import (
    GATED_FIELD,
    GatedBuild,
    GatedBundle,
    as_fields,
    gated_in,
)
from sightloop.kernel.digests import digest_of

BUNDLE = digest_of(b"bundle")
BUILD = GatedBuild(device_class="box", runtime="openvino", precision="int8", images=BUNDLE)
LISTED = GatedBundle(bundle=BUNDLE, version=3, builds=[BUILD])


def test_a_list_reads_as_it_was_written():
    assert gated_in(as_fields([LISTED])) == [LISTED]


def test_metadata_without_a_list_gates_nothing():
    assert gated_in({}) == []
    assert as_fields([]) == {}


def test_a_runtime_of_a_newer_server_does_not_cost_an_agent_the_others():
    fields = as_fields([LISTED])
    newer = {"device_class": "", "runtime": "hailo", "precision": "int4"}
    fields[GATED_FIELD][0]["builds"].insert(0, newer)
    fields[GATED_FIELD].insert(0, {"bundle": BUNDLE, "version": "three"})
    assert gated_in(fields) == [LISTED]


def test_something_else_than_a_list_gates_nothing():
    assert gated_in({GATED_FIELD: "all of them"}) == []
