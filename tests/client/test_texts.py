import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.client.texts import HIDDEN, without_secrets, writable


@pytest.mark.parametrize(
    "words",
    [
        ["--password", "hunter2"],
        ["--password=hunter2"],
        ["-token", "hunter2"],
        ["--hf_token", "hunter2"],
        ["--wandb-api-key=hunter2"],
        ["--apikey", "hunter2"],
        ["--apiKey", "hunter2"],
        ["AWS_SECRET_ACCESS_KEY=hunter2"],
        ["db.password=hunter2"],
        ["postgresql://me:hunter2@host/db"],
        ["--url=https://:hunter2@host"],
        ["--secret", "-hunter2"],
        ["--token=a", "--password", "hunter2"],
        ["--token", "--password", "hunter2"],
    ],
)
def test_a_secret_of_the_command_line_is_hidden(words: list[str]):
    shown = without_secrets(["train.py", *words, "--epochs", "3"])
    assert not any("hunter2" in one for one in shown)
    assert any(HIDDEN in one for one in shown)
    assert (shown[0], shown[-2:]) == ("train.py", ["--epochs", "3"])


@pytest.mark.parametrize(
    "words",
    [
        ["--tokenizer", "bpe"],
        ["--max-tokens=512"],
        ["--key", "value"],
        ["--keypoints", "17"],
        ["train.py", "data=coco.yaml", "lr0=0.01"],
        ["http://host:8470/path@2"],
        ["password.py", "x"],
    ],
)
def test_what_is_no_secret_is_shown(words: list[str]):
    assert without_secrets(words) == words


@given(st.lists(st.text(st.characters(exclude_categories=[]))))
def test_any_command_line_comes_out_as_long_and_can_be_written(words: list[str]):
    shown = [writable(one) for one in without_secrets(words)]
    assert len(shown) == len(words)
    "\n".join(shown).encode()
