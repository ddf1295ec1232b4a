"""Trains a classifier for Tidemill with scikit-learn and exports it to ONNX.

Tidemill runs this script with the environment of a SageMaker script-mode
trainer. It reads rows and schema.json from the channels, prints metrics as
JSON lines, and leaves model.onnx in SM_MODEL_DIR. All preparation of features
is inside the pipeline, hence inside the model: it takes raw features.
"""

import argparse
import json
import os
import pathlib

import pandas as pd
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learner", choices=["logistic", "boosting"], default="logistic")
    parser.add_argument("--C", type=float, default=1.0, help="inverse of the penalty (logistic)")
    parser.add_argument("--learning-rate", type=float, default=0.1, help="(boosting)")
    parser.add_argument("--max-iter", type=int, default=200)
    parser.add_argument("--min-frequency", type=int, default=1, help="rarer categories share no column")
    env = os.environ
    parser.add_argument("--train", default=env.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--validation", default=env.get("SM_CHANNEL_VALIDATION"))
    parser.add_argument("--model-dir", default=env.get("SM_MODEL_DIR"))
    return parser.parse_args()


def read(channel):
    """Rows and schema of a channel: numbers as float32 with NaN for null, strings with "" for null."""
    folder = pathlib.Path(channel)
    schema = json.loads((folder / "schema.json").read_text())
    path = folder / schema["file"]
    rows = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    for feature in schema["features"]:
        name = feature["name"]
        if feature["kind"] == "numeric":
            rows[name] = rows[name].astype("float32")
        else:
            rows[name] = rows[name].astype(object).where(rows[name].notna(), "").astype(str)
    return rows, schema


def build(args, numeric, strings):
    encode = ColumnTransformer(
        [
            ("numeric", make_pipeline(SimpleImputer(), StandardScaler()), numeric),
            (
                "strings",
                OneHotEncoder(
                    handle_unknown="ignore", sparse_output=False, min_frequency=args.min_frequency
                ),
                strings,
            ),
        ],
    )
    seed = int(os.environ.get("TIDEMILL_SEED", 0)) % 2**32
    if args.learner == "logistic":
        learner = LogisticRegression(C=args.C, max_iter=args.max_iter)
    else:
        learner = HistGradientBoostingClassifier(
            learning_rate=args.learning_rate, max_iter=args.max_iter, random_state=seed
        )
    return Pipeline([("encode", encode), ("learn", learner)])


def export(pipeline, features, path):
    """One [N,1] input per feature, by name; probabilities as a tensor, not as a ZipMap."""
    inputs = [
        (f["name"], (FloatTensorType if f["kind"] == "numeric" else StringTensorType)([None, 1]))
        for f in features
    ]
    # Without a name of its own the graph gets a random one: the same model would have other bytes each time.
    model = convert_sklearn(
        pipeline,
        "classifier",
        initial_types=inputs,
        options={id(pipeline): {"zipmap": False}},
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    path.write_bytes(model.SerializeToString(deterministic=True))


def main():
    args = arguments()
    train, schema = read(args.train)
    validation, _ = read(args.validation)
    features, label = schema["features"], schema["label"]
    names = [f["name"] for f in features]
    numeric = [f["name"] for f in features if f["kind"] == "numeric"]
    strings = [f["name"] for f in features if f["kind"] == "string"]
    print(f"{len(train)} rows to train on, {len(validation)} to look at", flush=True)

    pipeline = build(args, numeric, strings)
    pipeline.fit(train[names], train[label])
    answers = pipeline.predict_proba(validation[names])
    metrics = {"logloss": log_loss(validation[label], answers, labels=pipeline.classes_)}
    if len(pipeline.classes_) == 2:
        metrics["auc"] = roc_auc_score(validation[label], answers[:, 1])
    # Shown beside the trial. Tidemill judges the model by figures of its own.
    print(json.dumps(metrics), flush=True)
    export(pipeline, features, pathlib.Path(args.model_dir) / "model.onnx")


if __name__ == "__main__":
    main()
