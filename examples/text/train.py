"""Trains a classifier of texts for Tidemill with scikit-learn and exports it to ONNX.

Words and pairs of words are counted and weighed by how rare they are (TF-IDF),
then a multinomial logistic regression tells the classes apart. All of it is in
the graph, which takes the text itself.
"""

import argparse
import json
import os
import pathlib

import numpy as np
import onnxruntime
import pandas as pd
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import Pipeline

TOLERANCE = 1e-5  # between a probability in ONNX and scikit-learn's own
WORD = "[a-z0-9]+"  # what both sides take as a word: letters are lower case by the model's SQL


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--C", type=float, default=10.0, help="inverse of the penalty")
    parser.add_argument("--words", type=int, default=2, help="words in a row that count as one term, at most")
    parser.add_argument("--min_count", type=int, default=3, help="terms in fewer texts are left out")
    env = os.environ
    parser.add_argument("--train", default=env.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--validation", default=env.get("SM_CHANNEL_VALIDATION"))
    parser.add_argument("--model-dir", default=env.get("SM_MODEL_DIR"))
    return parser.parse_args()


def read(channel):
    """Rows and schema of a channel, texts with "" for null."""
    folder = pathlib.Path(channel)
    schema = json.loads((folder / "schema.json").read_text())
    if any(feature["kind"] != "string" for feature in schema["features"]):
        raise SystemExit("this trainer reads texts only: leave numbers out of the model's features")
    rows = pd.read_parquet(folder / schema["file"])
    for feature in schema["features"]:
        rows[feature["name"]] = rows[feature["name"]].fillna("").astype(object)
    return rows, schema


def build(args, names):
    encode = [
        (
            f"words_{name}",
            TfidfVectorizer(
                lowercase=False, token_pattern=WORD, ngram_range=(1, args.words), min_df=args.min_count
            ),
            name,
        )
        for name in names
    ]
    return Pipeline([("encode", ColumnTransformer(encode)), ("learn", LogisticRegression(C=args.C, max_iter=1000))])


def export(pipeline, names):
    """One [N,1] input per text, by name; probabilities as a tensor, not as a ZipMap."""
    words = {id(step): {"tokenexp": WORD} for _, step, _ in pipeline.named_steps["encode"].transformers_}
    model = convert_sklearn(
        pipeline,
        "texts",
        initial_types=[(name, StringTensorType([None, 1])) for name in names],
        options={id(pipeline): {"zipmap": False}, **words},
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    return model.SerializeToString(deterministic=True)


def check(model, rows, names, answers):
    """Ends the trial unless the graph answers as scikit-learn does."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found = session.run(["probabilities"], {name: rows[name].to_numpy(object).reshape(-1, 1) for name in names})[0]
    worst = np.abs(found - answers).max()
    if not worst <= TOLERANCE:
        raise SystemExit(f"the exported model answers differently: by {worst:.2g}, more than {TOLERANCE}")
    print(f"the exported model agrees on {len(rows)} rows: {worst:.1g} at most", flush=True)


def main():
    args = arguments()
    train, schema = read(args.train)
    validation, _ = read(args.validation)
    label, names = schema["label"], [feature["name"] for feature in schema["features"]]
    weight = train[schema["weight"]] if schema.get("weight") else None
    print(f"{len(train)} texts to train on, {len(validation)} to look at", flush=True)

    pipeline = build(args, names)
    pipeline.fit(train[names], train[label], learn__sample_weight=weight)
    answers = pipeline.predict_proba(validation[names])
    known = validation[label].isin(pipeline.classes_)
    metrics = {
        "accuracy": accuracy_score(validation[label], pipeline.classes_[answers.argmax(axis=1)]),
        "logloss": log_loss(validation[label][known], answers[known], labels=pipeline.classes_),
    }
    # Shown beside the trial. Tidemill judges the model by figures of its own.
    print(json.dumps(metrics), flush=True)
    model = export(pipeline, names)
    check(model, validation, names, answers)
    (pathlib.Path(args.model_dir) / "model.onnx").write_bytes(model)


if __name__ == "__main__":
    main()
