"""A model file is understood from its own metadata and shapes, or refused with the reason."""

import onnx
import pytest

from sightloop.contracts.bundle import ModelInput
from sightloop.inference.errors import ForeignModel
from sightloop.inference.model_file import read_model_facts
from sightloop.testing.models import write_blob_model


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.onnx"
    write_blob_model(path, classes=["scratch", "dent"], size_px=64)
    return path


def change_metadata(path, **changes):
    """Set the given keys; None removes one."""
    model = onnx.load(path)
    properties = {prop.key: prop.value for prop in model.metadata_props} | changes
    kept = {key: value for key, value in properties.items() if value is not None}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, kept)
    onnx.save(model, path)


def change_input(path, change):
    model = onnx.load(path)
    change(model.graph.input[0].type.tensor_type)
    onnx.save(model, path)


@pytest.mark.parametrize("head", ["raw", "end_to_end"])
def test_a_file_tells_its_input_head_and_classes(tmp_path, head):
    path = tmp_path / "model.onnx"
    write_blob_model(path, classes=["scratch", "dent"], size_px=96, head=head)
    facts = read_model_facts(path)
    assert (facts.input, facts.head) == (ModelInput(96, 96), head)
    assert facts.class_names == ["scratch", "dent"]
    assert (facts.declared_licence, facts.engine_version) == ("Apache-2.0", "1")


def test_two_classes_in_the_raw_layout_are_not_taken_for_the_other_one(tmp_path):
    path = tmp_path / "model.onnx"
    write_blob_model(path, classes=["a", "b"], head="raw")
    assert read_model_facts(path).head == "raw"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"task": None}, "does not name a task"),
        ({"task": "track"}, "task is 'track'"),
        ({"task": "segment"}, "1 outputs, not two"),
        ({"task": "pose"}, "no 'kpt_shape'"),
        ({"task": "pose", "kpt_shape": "[5, 4]"}, "kpt_shape is"),
        ({"task": "obb"}, r"make \(1, k, 7\)"),
        ({"task": "classify"}, "output has the shape"),
        ({"names": None}, "no 'names'"),
        ({"names": "{}"}, "names no classes"),
        ({"names": "{0: 'a', 2: 'b'}"}, "class indices"),
        ({"names": "{0: 'a'"}, "'names' cannot be read"),
        ({"names": "__import__('os').getcwd()"}, "'names' cannot be read"),
        ({"batch": "4"}, "batch is 4"),
        ({"channels": "1"}, "channels is 1"),
        ({"imgsz": "[32, 64]"}, "imgsz"),
        ({"end2end": None}, "no 'end2end'"),
        ({"end2end": "7"}, "end to end"),
        ({"end2end": "False"}, "suppression with fixed thresholds"),
    ],
)
def test_metadata_that_is_missing_or_contradicts_the_shapes_is_refused(
    model_file, changes, problem
):
    change_metadata(model_file, **changes)
    with pytest.raises(ForeignModel, match=problem) as caught:
        read_model_facts(model_file)
    assert caught.value.code == "INFER-010"
    assert str(model_file) in caught.value.message


def test_a_raw_output_of_another_number_of_classes_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    write_blob_model(path, classes=["a", "b", "c"], head="raw")
    change_metadata(path, names="{0: 'a', 1: 'b'}")
    with pytest.raises(ForeignModel, match=r"\[1, 7, 64\].*make \(1, 6, n\)"):
        read_model_facts(path)


def test_an_open_dimension_is_refused(model_file):
    def name_height(tensor):
        tensor.shape.dim[2].dim_param = "height"

    change_input(model_file, name_height)
    with pytest.raises(ForeignModel, match=r"'images' is open.*dynamic=False"):
        read_model_facts(model_file)


def test_a_file_that_takes_other_numbers_is_refused(tmp_path):
    path = tmp_path / "half.onnx"
    write_identity(path, onnx.TensorProto.FLOAT16)
    with pytest.raises(ForeignModel, match=r"float16.*not tensor\(float\)"):
        read_model_facts(path)


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_what_is_no_onnx_file_is_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ForeignModel, match="ONNX Runtime cannot load it"):
        read_model_facts(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ForeignModel, match=r"gone\.onnx"):
        read_model_facts(tmp_path / "gone.onnx")


def write_identity(path, dtype):
    helper = onnx.helper
    port = [helper.make_tensor_value_info(name, dtype, [1, 3, 32, 32]) for name in ("in", "out")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["in"], ["out"])], "half", port[:1], port[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    facts = {"task": "detect", "names": "{0: 'a'}", "end2end": "True"}
    helper.set_model_props(model, facts)
    onnx.save(model, path)
