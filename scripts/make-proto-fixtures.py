"""Makes fixtures/proto: one model that uses every message of the schema, and typed tensors beside their raw bytes.

Needs the `onnx` package (made with 1.23.2). The tests read the results and need no Python.
    python scripts/make-proto-fixtures.py
"""
import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "proto"
# Field 1023, three bytes: no schema knows it.
UNKNOWN = b"\xfa\x3f\x03abc"


def typed_tensors():
    """(name, tensor with a typed field, the same elements as raw bytes)."""
    numbers = [0, 1, 2, 3, 1, 0]
    types = [
        "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "BOOL", "FLOAT16", "DOUBLE", "UINT32", "UINT64",
        "COMPLEX64", "COMPLEX128", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ",
        "UINT4", "INT4", "FLOAT4E2M1", "UINT2", "INT2",
    ]
    for name in types:
        values = [x % 2 for x in numbers] if name in ("BOOL", "INT2") else numbers
        if name in ("INT8", "INT16", "INT32", "INT64", "INT4", "FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16"):
            values = [-x for x in values]
        shape = [5] if name in ("UINT4", "INT4", "FLOAT4E2M1", "UINT2", "INT2") else [2, 3]
        tensor = h.make_tensor(name.lower(), getattr(T, name), shape, values[: int(np.prod(shape))])
        assert not tensor.HasField("raw_data"), name
        yield tensor, nh.from_array(nh.to_array(tensor)).raw_data


def everything():
    """A model in which every message type of ModelProto occurs."""
    weight = nh.from_array(np.arange(512, dtype=np.float32).reshape(16, 32), "weight")
    weight.doc_string = "a weight"
    weight.metadata_props.add(key="origin", value="fixture")
    weight.MergeFromString(UNKNOWN)
    sparse = h.make_sparse_tensor(
        nh.from_array(np.array([1.5, -2.5], np.float32), "sparse"), nh.from_array(np.array([1, 5], np.int64)), [2, 3]
    )
    inner = h.make_graph(
        [h.make_node("Add", ["x", "bias"], ["inner_out"])], "branch", [],
        [h.make_tensor_value_info("inner_out", T.FLOAT, ["n", 16])],
        [nh.from_array(np.ones(16, np.float32), "bias")],
    )
    other = h.make_graph(
        [h.make_node("Identity", ["x"], ["inner_out"])], "other", [],
        [h.make_tensor_value_info("inner_out", T.FLOAT, ["n", 16])],
    )
    node = h.make_node("Clip", ["x", "", "top"], ["clipped"], name="clip", doc_string="no lower bound")
    node.metadata_props.add(key="pkg", value="module")
    node.overload = "over"
    node.MergeFromString(UNKNOWN)
    device = node.device_configurations.add(configuration_id="two", pipeline_stage=1)
    spec = device.sharding_spec.add(tensor_name="x", device=[0, 1])
    spec.index_to_device_group_map.add(key=-1, value=[0, 1])
    axis = spec.sharded_dim.add(axis=0)
    axis.simple_sharding.add(dim_param="n", num_shards=2)
    rich = h.make_node(
        "Rich", ["clipped"], ["rich"], domain="test", name="rich", i=-(2**40), f=0.1, s="text", ints=[1, -2], floats=[0.5],
        strings=["a", "b"], g=inner, graphs=[other], tensors=[nh.from_array(np.ones(2, np.int64), "t")],
        tp=h.make_tensor_type_proto(T.FLOAT, [1]),
    )
    rich.attribute.append(h.make_attribute("sparse", sparse))
    rich.attribute.append(h.make_attribute("bytes", b"\xff\xfe"))
    rich.attribute[0].doc_string = "an attribute"
    rich.attribute[0].MergeFromString(UNKNOWN)
    branch = h.make_node("If", ["flag"], ["chosen"], then_branch=inner, else_branch=other)
    constant = h.make_node("Constant", [], ["top"], value=h.make_tensor("", T.FLOAT, [], [6.0]))
    call = h.make_node("Double", ["rich"], ["doubled"], domain="local")
    x = h.make_tensor_value_info("x", T.FLOAT, ["n", 16], doc_string="the input", shape_denotation=["N", ""])
    x.metadata_props.add(key="kind", value="data")
    outputs = [
        h.make_tensor_value_info("doubled", T.FLOAT, None),
        h.make_tensor_value_info("chosen", T.FLOAT, [None, 16]),
        h.make_tensor_sequence_value_info("list", T.FLOAT, None),
    ]
    listed = h.make_node("SequenceConstruct", ["chosen"], ["list"])
    graph = h.make_graph(
        [constant, node, rich, call, branch, listed], "main", [x, h.make_tensor_value_info("flag", T.BOOL, [])], outputs,
        [weight, *[tensor for tensor, _ in typed_tensors()], h.make_tensor("words", T.STRING, [2], [b"one", b"\xff"])],
        doc_string="", sparse_initializer=[sparse],
        value_info=[h.make_tensor_value_info("clipped", T.FLOAT, ["n", 16]), h.make_tensor_value_info("gone", T.FLOAT, [1])],
    )
    graph.metadata_props.add(key="graph", value="yes")
    note = graph.quantization_annotation.add(tensor_name="weight")
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="float")
    graph.MergeFromString(UNKNOWN)
    body = [h.make_node("Constant", [], ["two"], value=nh.from_array(np.full(300, 2, np.float32), "two")),
            h.make_node("Mul", ["a", "two"], ["b"])]
    function = h.make_function(
        "local", "Double", ["a"], ["b"], body, [h.make_opsetid("", 21)], attributes=["alpha"], doc_string="doubles"
    )
    function.overload = "first"
    function.metadata_props.add(key="f", value="g")
    function.attribute_proto.append(h.make_attribute("beta", 1.0))
    model = h.make_model(
        graph, functions=[function], producer_name="fixture", producer_version="1", ir_version=13, doc_string="everything",
        opset_imports=[h.make_opsetid("", 21), h.make_opsetid("test", 1), h.make_opsetid("local", 1)],
    )
    model.domain = "example"
    model.model_version = -3
    h.set_model_props(model, {"key": "value", "a": "b"})
    training = model.training_info.add()
    training.initialization.CopyFrom(other)
    training.algorithm.CopyFrom(inner)
    training.update_binding.add(key="weight", value="inner_out")
    model.configuration.add(name="two", num_devices=2, device=["a", "b"])
    model.MergeFromString(UNKNOWN)
    return model


OUT.mkdir(parents=True, exist_ok=True)
(OUT / "everything.onnx").write_bytes(everything().SerializeToString(deterministic=True))
(OUT / "typed-tensors.json").write_text(
    json.dumps({tensor.name: raw.hex() for tensor, raw in typed_tensors()}, indent=1) + "\n"
)
