"""A trainer in plain NumPy that can be killed at any time and goes on where it was.

Logistic regression by stochastic gradient descent. After every epoch it saves
its weights to TIDEMILL_CHECKPOINT_DIR, first under another name, then renamed:
a checkpoint is there whole or not at all. The order of the rows in an epoch
comes from the seed and the epoch's number alone, so a run that was interrupted
ends with the same model as one that wasn't.
"""

import argparse
import json
import os
import pathlib
import signal
import sys
import threading

import numpy as np
import onnx
import pyarrow.parquet
from onnx import helper

STOPPED = 143  # 128 + SIGTERM, what a shell says of a process that was told to end


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=512, help="rows per step")
    parser.add_argument("--rate", type=float, default=0.5, help="of learning; it falls as 1/sqrt(epoch)")
    parser.add_argument("--l2", type=float, default=1e-5)
    env = os.environ
    parser.add_argument("--train", default=env.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--validation", default=env.get("SM_CHANNEL_VALIDATION"))
    parser.add_argument("--model-dir", default=env.get("SM_MODEL_DIR"))
    parser.add_argument("--checkpoints", default=env.get("TIDEMILL_CHECKPOINT_DIR"))
    return parser.parse_args()


def read(channel):
    """Columns by name, the label and the weight of each row, and schema.json."""
    folder = pathlib.Path(channel)
    schema = json.loads((folder / "schema.json").read_text())
    if schema["task"] != "binaryClassification":
        raise SystemExit(f"this trainer has two classes; it has no {schema['task']}")
    table = pyarrow.parquet.read_table(folder / schema["file"])
    columns = {}
    for feature in schema["features"]:
        values = table[feature["name"]].combine_chunks()
        if feature["kind"] == "numeric":
            columns[feature["name"]] = values.to_numpy(zero_copy_only=False).astype(np.float32)
        else:
            columns[feature["name"]] = np.array(["" if v is None else v for v in values.to_pylist()], dtype=object)
    label = table[schema["label"]].to_numpy().astype(np.float64)
    weight = table[schema["weight"]].to_numpy().astype(np.float64) if schema.get("weight") else np.ones(len(label))
    return columns, label, weight, schema


class Encoding:
    """Where each feature's weights lie.

    A number takes one place, standardized, a null as the mean. A string takes
    one per category; a category that isn't known takes none. The last place is
    the intercept.
    """

    def __init__(self, features, columns):
        self.features, self.size = features, 0
        self.mean, self.scale, self.categories, self.first = {}, {}, {}, {}
        for feature in features:
            name = feature["name"]
            self.first[name] = self.size
            if feature["kind"] == "numeric":
                known = columns[name][np.isfinite(columns[name])].astype(np.float64)
                self.mean[name] = np.float32(known.mean() if len(known) else 0)
                self.scale[name] = np.float32(known.std() if len(known) and known.std() > 0 else 1)
                self.size += 1
            else:
                self.categories[name] = sorted(set(columns[name]))
                self.size += len(self.categories[name]) + 1  # one for "unknown", whose weight stays 0
        self.size += 1

    def rows(self, columns):
        """Each row as places [N,F+1] and the values in them [N,F+1]: everything else is 0."""
        n = len(next(iter(columns.values())))
        places = np.zeros((n, len(self.features) + 1), np.int64)
        values = np.ones((n, len(self.features) + 1))
        for i, feature in enumerate(self.features):
            name = feature["name"]
            if feature["kind"] == "numeric":
                places[:, i] = self.first[name]
                values[:, i] = np.nan_to_num((columns[name] - self.mean[name]) / self.scale[name])
            else:
                code = {category: k for k, category in enumerate(self.categories[name])}
                unknown = len(code)
                codes = np.array([code.get(v, unknown) for v in columns[name]])
                places[:, i] = self.first[name] + codes
                values[codes == unknown, i] = 0
        places[:, -1] = self.size - 1
        return places, values


def probability(weights, places, values):
    return 1 / (1 + np.exp(-(weights[places] * values).sum(axis=1)))


def logloss(p, label, weight):
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return float(-np.average(label * np.log(p) + (1 - label) * np.log1p(-p), weights=weight))


def epoch_of(weights, data, args, seed, epoch):
    """One pass over the rows, in an order of its own."""
    places, values, label, weight = data
    rate = args.rate / np.sqrt(epoch)
    order = np.random.default_rng([seed, epoch]).permutation(len(label))
    for start in range(0, len(order), args.batch):
        rows = order[start : start + args.batch]
        error = (probability(weights, places[rows], values[rows]) - label[rows]) * weight[rows]
        gradient = np.bincount(
            places[rows].ravel(), weights=(error[:, None] * values[rows]).ravel(), minlength=len(weights)
        )
        weights -= rate * (gradient / len(rows) + args.l2 * weights)
    return weights


def save(folder, epoch, weights):
    """Leaves a whole checkpoint or none, and removes the older ones."""
    path = folder / f"epoch-{epoch:06d}.npy"
    with open(path.with_suffix(".tmp"), "wb") as f:
        np.save(f, weights)
        f.flush()
        os.fsync(f.fileno())
    os.replace(path.with_suffix(".tmp"), path)
    for old in folder.glob("epoch-*.npy"):
        if old < path:
            old.unlink()


def resume(folder, size):
    """The newest checkpoint's epoch and weights; epoch 0 where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("epoch-*.npy"), reverse=True):
        weights = np.load(path)  # arrays only: pickles stay off
        if weights.shape == (size,):
            return int(path.stem.removeprefix("epoch-")), weights
    return 0, np.zeros(size)


def graph(encoding, weights):
    """The model as ONNX: per feature a lookup of its weight or a scaled number, their sum, a sigmoid."""
    nodes, inputs, constants, terms = [], [], [], []

    def constant(name, value):
        constants.append(onnx.numpy_helper.from_array(np.array(value, np.float32).reshape(1, 1), name))
        return name

    for feature in encoding.features:
        name, at, out = feature["name"], encoding.first[feature["name"]], f"term_{feature['name']}"
        terms.append(out)
        if feature["kind"] == "numeric":
            inputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 1]))
            mean = constant(out + "_mean", encoding.mean[name])
            scale = constant(out + "_scale", encoding.scale[name])
            slope = constant(out + "_slope", weights[at])
            nodes += [
                helper.make_node("IsNaN", [name], [out + "_null"]),
                helper.make_node("Where", [out + "_null", mean, name], [out + "_known"]),
                helper.make_node("Sub", [out + "_known", mean], [out + "_moved"]),
                helper.make_node("Div", [out + "_moved", scale], [out + "_scaled"]),
                helper.make_node("Mul", [out + "_scaled", slope], [out]),
            ]
        else:
            inputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.STRING, [None, 1]))
            known = encoding.categories[name]
            lookup = {"keys_strings": known, "values_floats": [float(w) for w in weights[at : at + len(known)]]}
            nodes.append(helper.make_node("LabelEncoder", [name], [out], domain="ai.onnx.ml", default_float=0.0, **lookup))
    nodes += [
        helper.make_node("Sum", terms + [constant("intercept", weights[-1])], ["score"]),
        helper.make_node("Neg", ["score"], ["against"]),
        helper.make_node("Concat", ["against", "score"], ["both"], axis=1),
        helper.make_node("Sigmoid", ["both"], ["probabilities"]),
    ]
    answer = helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [None, 2])
    model = helper.make_model(
        helper.make_graph(nodes, "logistic", inputs, [answer], constants),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=8,
        producer_name="tidemill-example",
    )
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def main():
    stop = threading.Event()
    # Told to end, it finishes the epoch that it is in, saves it, and says by its exit code that it has no model.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    args = arguments()
    columns, label, weight, schema = read(args.train)
    encoding = Encoding(schema["features"], columns)
    data = (*encoding.rows(columns), label, weight)
    columns, judged, judged_weight, _ = read(args.validation)
    held_out = encoding.rows(columns)

    folder = pathlib.Path(args.checkpoints)
    done, weights = resume(folder, encoding.size)
    print(f"{len(label)} rows, {encoding.size} weights; resumed from epoch {done}" if done else
          f"{len(label)} rows, {encoding.size} weights; started anew", flush=True)
    for epoch in range(done + 1, args.epochs + 1):
        weights = epoch_of(weights, data, args, int(os.environ.get("TIDEMILL_SEED", 0)) % 2**63, epoch)
        save(folder, epoch, weights)
        loss = logloss(probability(weights, *held_out), judged, judged_weight)
        print(json.dumps({"epoch": epoch, "progress": epoch / args.epochs, "logloss": loss}), flush=True)
        if stop.is_set() and epoch < args.epochs:
            print(f"told to stop; epoch {epoch} is saved", flush=True)
            sys.exit(STOPPED)
    (pathlib.Path(args.model_dir) / "model.onnx").write_bytes(graph(encoding, weights))


if __name__ == "__main__":
    main()
