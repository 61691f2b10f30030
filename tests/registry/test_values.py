import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.registry.errors import BadAliasName, BadModelName, BadVersionReference
from sightloop.registry.values import ModelName, parse_alias, parse_model, parse_reference

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)


@given(NAMES, st.integers(1, 999))
def test_a_number_reads_back_from_the_name_of_a_version(model, number):
    found = parse_reference(f"{model}@{number}")
    assert (found.model, found.number, found.alias) == (ModelName(model), number, None)


@pytest.mark.parametrize("text", ["pcb", "pcb@", "@3", "pcb@3@4", "PCB@3", "pcb@-1", "pcb@3.0", ""])
def test_anything_else_is_no_version(text):
    with pytest.raises(BadVersionReference, match="MODEL@NUMBER") as caught:
        parse_reference(text)
    assert caught.value.code == "REG-003"


@pytest.mark.parametrize("name", ["", "a/b", "..", "a*", "A", "a.b", "-a", "x" * 64])
def test_a_model_name_is_safe_in_a_path_a_pattern_and_a_role(name):
    with pytest.raises(BadModelName) as caught:
        parse_model(name)
    assert caught.value.code == "REG-001"


@pytest.mark.parametrize("name", ["3", "", "a b", "Champion"])
def test_an_alias_cannot_be_taken_for_a_number(name):
    with pytest.raises(BadAliasName) as caught:
        parse_alias(name)
    assert caught.value.code == "REG-002"
