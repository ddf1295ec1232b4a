"""Trains gradient-boosted trees for Tidemill with LightGBM and exports them to ONNX.

String features are categories to LightGBM: a split parts any set of them from
the others. How many rounds are worth it is found on the validation rows. When
Tidemill refits the recipe that it approved, those rows are trained on too: then
the number of rounds is the one that the judged trial reported.
"""

import argparse
import json
import os
import pathlib
import time

import lightgbm
import numpy as np
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.metrics import log_loss, roc_auc_score

import tabular


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="trees per class, at most")
    parser.add_argument("--early_stopping", type=int, default=30, help="rounds without a better loss; 0: never")
    parser.add_argument("--learning_rate", type=float, default=0.1)
    parser.add_argument("--num_leaves", type=int, default=31)
    parser.add_argument("--min_data_in_leaf", type=int, default=100)
    parser.add_argument("--feature_fraction", type=float, default=1.0)
    parser.add_argument("--lambda_l2", type=float, default=0.0)
    parser.add_argument("--min_count", type=int, default=20, help="rarer categories count as unknown")
    env = os.environ
    parser.add_argument("--train", default=env.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--validation", default=env.get("SM_CHANNEL_VALIDATION"))
    parser.add_argument("--model-dir", default=env.get("SM_MODEL_DIR"))
    return parser.parse_args()


def settings(args, classes):
    """LightGBM's own parameters. The same rows and seed give the same trees, on any number of threads."""
    many = {"objective": "multiclass", "num_class": len(classes)}
    return {
        **({"objective": "binary"} if len(classes) == 2 else many),
        "learning_rate": args.learning_rate,
        "num_leaves": args.num_leaves,
        "min_data_in_leaf": args.min_data_in_leaf,
        "feature_fraction": args.feature_fraction,
        "lambda_l2": args.lambda_l2,
        "seed": int(os.environ.get("TIDEMILL_SEED", 0)) % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": int(os.environ.get("SM_NUM_CPUS", 1)),
        "verbosity": -1,
    }


def report(rounds):
    """Says how far the training is, twice a second at most."""
    last = 0.0

    def callback(env):
        nonlocal last
        if time.monotonic() - last < 0.5:
            return
        last = time.monotonic()
        line = {"progress": (env.iteration + 1) / rounds}
        for _, _, loss, _ in env.evaluation_result_list or []:
            line["loss"] = loss
        print(json.dumps(line), flush=True)

    return callback


def boost(args, classes, codes, train, validation):
    """A booster and its number of rounds."""
    data = lightgbm.Dataset(
        codes.matrix(train.columns),
        train.target,
        weight=train.weight,
        categorical_feature=codes.categorical,
    )
    rounds, watched, callbacks = args.rounds, [], []
    if os.environ.get("TIDEMILL_REFIT") == "1":
        reported = json.loads(os.environ.get("TIDEMILL_REPORTED") or "{}")
        rounds = int(reported.get("best_iteration", rounds))
    elif args.early_stopping > 0:
        watched = [data.create_valid(codes.matrix(validation.columns), validation.target, weight=validation.weight)]
        callbacks = [lightgbm.early_stopping(args.early_stopping, verbose=False)]
    booster = lightgbm.train(
        settings(args, classes), data, rounds, valid_sets=watched, callbacks=callbacks + [report(rounds)]
    )
    return booster, booster.best_iteration if booster.best_iteration > 0 else rounds


def single(booster, rounds):
    """The booster with thresholds that float32 holds exactly, which ONNX has them in.

    LightGBM's are doubles halfway between two values. Rounded to the nearest
    float32 they may become the upper value; rounded down they part the same rows.
    """

    def down(threshold):
        near = np.float32(threshold)
        if float(near) > float(threshold):  # as doubles: NumPy would compare them as float32
            near = np.nextafter(near, np.float32(-np.inf))
        return repr(float(near))

    lines = []
    for line in booster.model_to_string(num_iteration=rounds).split("\n"):
        name, _, values = line.partition("=")
        if name == "threshold":  # of splits by category it is a small whole number, which stays as it is
            line = "threshold=" + " ".join(map(down, values.split()))
        if name != "tree_sizes":  # optional; true no more
            lines.append(line)
    return lightgbm.Booster(model_str="\n".join(lines))


def main():
    args = arguments()
    train, schema = tabular.read(args.train)
    classes = schema["classes"]
    validation, _ = tabular.read(args.validation, classes)
    print(f"{len(train.target)} rows to train on, {len(validation.target)} to look at", flush=True)

    codes = tabular.Codes(schema["features"], train.columns, args.min_count)
    booster, rounds = boost(args, classes, codes, train, validation)

    def predict(matrix):
        answers = booster.predict(matrix, num_iteration=rounds)
        return np.column_stack([1 - answers, answers]) if len(classes) == 2 else answers

    answers = predict(codes.matrix(validation.columns))
    metrics = {
        "best_iteration": rounds,
        "logloss": log_loss(validation.target, answers, labels=range(len(classes)), sample_weight=validation.weight),
    }
    if len(classes) == 2 and len(set(validation.target)) == 2:
        metrics["auc"] = roc_auc_score(validation.target, answers[:, 1], sample_weight=validation.weight)
    # Shown beside the trial. Tidemill judges the model by figures of its own.
    print(json.dumps(metrics), flush=True)

    trees = convert_lightgbm(
        single(booster, rounds),
        name="trees",
        initial_types=[("matrix", FloatTensorType([None, len(codes.features)]))],
    )
    model = tabular.graph(trees, codes, classes)
    tabular.check(model, codes, validation.columns, predict)
    (pathlib.Path(args.model_dir) / "model.onnx").write_bytes(model)


if __name__ == "__main__":
    main()
