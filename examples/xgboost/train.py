"""Trains gradient-boosted trees for Tidemill with XGBoost and exports them to ONNX.

String features are categories to XGBoost, and a split parts one of them from
the others: onnxmltools 1.16 takes exponential time to unroll splits by sets of
categories (LightGBM's it unrolls at once; see the example there).

How many rounds are worth it is found on the validation rows. When Tidemill
refits the recipe that it approved, those rows are trained on too: then the
number of rounds is the one that the judged trial reported.
"""

import argparse
import json
import os
import pathlib
import time

import numpy as np
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.metrics import log_loss, roc_auc_score

import tabular


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="trees per class, at most")
    parser.add_argument("--early_stopping", type=int, default=30, help="rounds without a better loss; 0: never")
    parser.add_argument("--learning_rate", type=float, default=0.2)
    parser.add_argument("--max_depth", type=int, default=8)
    parser.add_argument("--min_child_weight", type=float, default=20.0)
    parser.add_argument("--colsample_bytree", type=float, default=1.0)
    parser.add_argument("--reg_lambda", type=float, default=1.0)
    parser.add_argument("--min_count", type=int, default=20, help="rarer categories count as unknown")
    env = os.environ
    parser.add_argument("--train", default=env.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--validation", default=env.get("SM_CHANNEL_VALIDATION"))
    parser.add_argument("--model-dir", default=env.get("SM_MODEL_DIR"))
    return parser.parse_args()


def settings(args, classes):
    """XGBoost's own parameters. The same rows and seed give the same trees, on the same number of threads."""
    many = {"objective": "multi:softprob", "num_class": len(classes), "eval_metric": "mlogloss"}
    return {
        **({"objective": "binary:logistic", "eval_metric": "logloss"} if len(classes) == 2 else many),
        "learning_rate": args.learning_rate,
        "max_depth": args.max_depth,
        "min_child_weight": args.min_child_weight,
        "colsample_bytree": args.colsample_bytree,
        "reg_lambda": args.reg_lambda,
        "tree_method": "hist",
        "max_cat_to_onehot": 2**30,
        "seed": int(os.environ.get("TIDEMILL_SEED", 0)) % 2**31,
        "nthread": int(os.environ.get("SM_NUM_CPUS", 1)),
    }


class Report(xgboost.callback.TrainingCallback):
    """Says how far the training is, twice a second at most."""

    def __init__(self, rounds):
        super().__init__()
        self.rounds, self.last = rounds, 0.0

    def after_iteration(self, model, epoch, evals_log):
        if time.monotonic() - self.last >= 0.5:
            self.last = time.monotonic()
            line = {"progress": (epoch + 1) / self.rounds}
            for losses in evals_log.get("validation", {}).values():
                line["loss"] = losses[-1]
            print(json.dumps(line), flush=True)
        return False


def boost(args, classes, codes, train, validation):
    """A booster of exactly the rounds that are worth it."""
    kinds = ["c" if i in codes.categorical else "q" for i in range(len(codes.features))]

    def data(matrix, rows=None):
        labels = {} if rows is None else {"label": rows.target, "weight": rows.weight}
        return xgboost.DMatrix(matrix, feature_types=kinds, enable_categorical=True, **labels)

    rounds, watched, stop = args.rounds, [], None
    if os.environ.get("TIDEMILL_REFIT") == "1":
        reported = json.loads(os.environ.get("TIDEMILL_REPORTED") or "{}")
        rounds = int(reported.get("best_iteration", rounds))
    elif args.early_stopping > 0:
        watched, stop = [(data(codes.matrix(validation.columns), validation), "validation")], args.early_stopping
    booster = xgboost.train(
        settings(args, classes),
        data(codes.matrix(train.columns), train),
        rounds,
        evals=watched,
        early_stopping_rounds=stop,
        verbose_eval=False,
        callbacks=[Report(rounds)],
    )
    if stop is not None:
        booster = booster[: booster.best_iteration + 1]  # later trees made it worse

    def predict(matrix):
        answers = booster.predict(data(matrix))
        return np.column_stack([1 - answers, answers]) if len(classes) == 2 else answers

    return booster, predict


def main():
    args = arguments()
    train, schema = tabular.read(args.train)
    classes = schema["classes"]
    validation, _ = tabular.read(args.validation, classes)
    print(f"{len(train.target)} rows to train on, {len(validation.target)} to look at", flush=True)

    codes = tabular.Codes(schema["features"], train.columns, args.min_count)
    booster, predict = boost(args, classes, codes, train, validation)
    answers = predict(codes.matrix(validation.columns))
    metrics = {
        "best_iteration": booster.num_boosted_rounds(),
        "logloss": log_loss(validation.target, answers, labels=range(len(classes)), sample_weight=validation.weight),
    }
    if len(classes) == 2 and len(set(validation.target)) == 2:
        metrics["auc"] = roc_auc_score(validation.target, answers[:, 1], sample_weight=validation.weight)
    # Shown beside the trial. Tidemill judges the model by figures of its own.
    print(json.dumps(metrics), flush=True)

    trees = convert_xgboost(
        booster, name="trees", initial_types=[("matrix", FloatTensorType([None, len(codes.features)]))]
    )
    model = tabular.graph(trees, codes, classes)
    tabular.check(model, codes, validation.columns, predict)
    (pathlib.Path(args.model_dir) / "model.onnx").write_bytes(model)


if __name__ == "__main__":
    main()
