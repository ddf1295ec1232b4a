"""Answers for the models of modeltest, and misbehaves when an origin says so. The Python of the system is enough."""

import json
import math
import os
import subprocess
import sys
import time

with open(os.path.join(os.environ["SM_MODEL_DIR"], "weights.json")) as f:
    model = json.load(f)

print("loaded", model["task"], file=sys.stderr, flush=True)


def answer(z):
    if model["task"] == "binaryClassification":
        return [1 / (1 + math.exp(z)), 1 / (1 + math.exp(-z))]
    s = math.exp(-z) + math.exp(z) + 1
    return [math.exp(-z) / s, math.exp(z) / s, 1 / s]


def misbehave(what, request):
    """Does what the first origin of a request names."""
    name, _, argument = what.partition(":")
    reply = {"id": request["id"], "probabilities": [[0.5, 0.5] for _ in request["rows"]]}
    if name == "exit":
        print("the last words", file=sys.stderr, flush=True)
        os._exit(int(argument))
    if name == "signal":
        os.kill(os.getpid(), int(argument))
    if name == "sleep":
        time.sleep(float(argument))
    if name == "print":
        sys.stdout.write(argument + "\n")
    if name == "id":
        reply["id"] = int(argument)
    if name == "width":
        reply["probabilities"] = [[1.0] * int(argument) for _ in request["rows"]]
    if name == "rows":
        reply["probabilities"] = reply["probabilities"] * int(argument)
    if name == "error":
        reply = {"id": request["id"], "error": argument}
    if name == "long":
        reply["comment"] = "x" * int(argument)
    if name == "children":
        for _ in range(int(argument)):
            child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
            print("child", child.pid, file=sys.stderr, flush=True)
    if name == "env":
        print("env", json.dumps(dict(os.environ)), file=sys.stderr, flush=True)
    if name == "again":
        print(json.dumps(reply), flush=True)
    return reply


for line in sys.stdin:
    request = json.loads(line)
    rows = request["rows"]
    if rows[0]["origin"].startswith("!"):
        print(json.dumps(misbehave(rows[0]["origin"][1:], request)), flush=True)
        continue
    zs = []
    for row in rows:
        d = row["distance"]
        zs.append((math.nan if d is None else d) + {"SFO": 1, "JFK": -1}.get(row["origin"], 0))
    if model["task"] == "regression":
        reply = {"id": request["id"], "prediction": zs}
    else:
        reply = {"id": request["id"], "probabilities": [answer(z) for z in zs]}
    print(json.dumps(reply), flush=True)
