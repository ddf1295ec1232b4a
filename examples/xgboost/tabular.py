"""What the LightGBM and the XGBoost trainer share: rows in, one ONNX graph out.

Trees read one matrix of float32. Tidemill gives a model one [N,1] input per
feature instead, numbers as float32 (null is NaN) and strings as they are. So
the graph begins by turning each string into a whole number and joining all
columns; a string that training hasn't seen becomes NaN, a missing value.
"""

import dataclasses
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx import helper

TOLERANCE = 1e-5  # between a probability in ONNX and the library's own
UNSEEN = "\x00unseen"  # a string that is in no data


@dataclasses.dataclass
class Rows:
    """The rows of one channel."""

    columns: pd.DataFrame  # features: float32 with NaN for null, or str with "" for null
    target: np.ndarray  # index into the classes, shape [N]
    weight: np.ndarray | None  # how much each row counts, shape [N]; None when all count the same


def read(channel, classes=None):
    """Rows and schema.json of a channel. Rows of a class that isn't in classes are left out."""
    folder = pathlib.Path(channel)
    schema = json.loads((folder / "schema.json").read_text())
    if schema["task"] not in ("binaryClassification", "multiclassClassification"):
        raise SystemExit(f"this trainer classifies; it has no {schema['task']}")
    path = folder / schema["file"]
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    target = table[schema["label"]]
    if schema["task"] == "multiclassClassification":
        target = target.map({name: i for i, name in enumerate(classes or schema["classes"])})
        table, target = table[target.notna()], target[target.notna()]
    columns = {}
    for feature in schema["features"]:
        column = table[feature["name"]]
        if feature["kind"] == "numeric":
            columns[feature["name"]] = column.astype("float32").to_numpy()
        else:
            columns[feature["name"]] = column.astype(object).where(column.notna(), "").astype(str).to_numpy(object)
    weight = table[schema["weight"]].to_numpy(float) if schema.get("weight") else None
    return Rows(pd.DataFrame(columns), target.to_numpy(int), weight), schema


class Codes:
    """Whole numbers for the categories of each string feature, in sorted order.

    Categories with fewer than min_count training rows have none: they are
    missing values, so that trees learn what to do with a value they don't know.
    """

    def __init__(self, features, columns, min_count):
        self.features = features
        self.categories = {}
        for feature in features:
            if feature["kind"] == "string":
                counts = columns[feature["name"]].value_counts()
                self.categories[feature["name"]] = sorted(counts.index[counts >= min_count])
        self.categorical = [i for i, f in enumerate(features) if f["name"] in self.categories]

    def matrix(self, columns):
        """Features as float32, shape [N,F]."""
        out = np.empty((len(columns), len(self.features)), np.float32)
        for i, feature in enumerate(self.features):
            name = feature["name"]
            if i in self.categorical:
                code = {category: float(k) for k, category in enumerate(self.categories[name])}
                out[:, i] = columns[name].map(code)
            else:
                out[:, i] = columns[name]
        return out

    def nodes(self, output):
        """ONNX nodes that make the same matrix from one input per feature."""
        nodes, parts = [], []
        for i, feature in enumerate(self.features):
            name = feature["name"]
            if i not in self.categorical or not self.categories[name]:
                parts.append(name)
                continue
            parts.append(f"{output}_{i}")
            nodes.append(
                helper.make_node(
                    "LabelEncoder",
                    [name],
                    [parts[-1]],
                    domain="ai.onnx.ml",
                    keys_strings=self.categories[name],
                    values_floats=[float(k) for k in range(len(self.categories[name]))],
                    default_float=float("nan"),
                )
            )
        return nodes + [helper.make_node("Concat", parts, [output], axis=1)]


def graph(trees, codes, classes):
    """Puts the codes in front of a converted tree ensemble; answers probabilities [N,C]."""
    ensembles = [node for node in trees.graph.node if node.op_type == "TreeEnsembleClassifier"]
    if len(ensembles) != 1:
        raise SystemExit(f"the converter made {len(ensembles)} tree ensembles, not one")
    ensemble = onnx.NodeProto()
    ensemble.CopyFrom(ensembles[0])
    ensemble.input[:], ensemble.output[:] = ["matrix"], ["class", "probabilities"]
    ensemble.name = "trees"
    kinds = {"numeric": onnx.TensorProto.FLOAT, "string": onnx.TensorProto.STRING}
    model = helper.make_model(
        helper.make_graph(
            codes.nodes("matrix") + [ensemble],
            "trees",
            [helper.make_tensor_value_info(f["name"], kinds[f["kind"]], [None, 1]) for f in codes.features],
            [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [None, len(classes)])],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=8,
        producer_name="tidemill-example",
    )
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def check(model, codes, columns, predict, rows=5000):
    """Ends the trial unless the graph answers as the library does, on rows and on one of which nothing is known.

    predict takes the matrix [N,F] and answers probabilities [N,C].
    """
    unknown = {f["name"]: [np.nan if f["kind"] == "numeric" else UNSEEN] for f in codes.features}
    sample = pd.concat([columns.head(rows), pd.DataFrame(unknown).astype(columns.dtypes)])
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = {
        f["name"]: sample[f["name"]].to_numpy(np.float32 if f["kind"] == "numeric" else object).reshape(-1, 1)
        for f in codes.features
    }
    answers = session.run(["probabilities"], inputs)[0]
    worst = np.abs(answers - predict(codes.matrix(sample))).max()
    if not worst <= TOLERANCE:
        raise SystemExit(f"the exported model answers differently: by {worst:.2g}, more than {TOLERANCE}")
    print(f"the exported model agrees on {len(sample)} rows: {worst:.1g} at most, {len(model) / 1e6:.1f} MB", flush=True)
