// Trains a naive Bayes classifier for Tidemill in plain JavaScript, with nothing but Node, and writes it as ONNX.
//
// Each feature is a lookup: a string's row is its category, a number's row is the range that it falls in, and the row
// holds log P(value | class) for each class. The sum of the rows and log P(class), through a softmax, is the answer.
// Nothing iterates and nothing is random, so the same rows give the same bytes.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lines } from "./csv.mjs";
import { FLOAT, Graph, INT64, STRING } from "./onnx.mjs";

const { SM_CHANNEL_TRAIN, SM_CHANNEL_VALIDATION, SM_MODEL_DIR, SM_HPS } = process.env;
const { smoothing = 1, bins = 16 } = JSON.parse(SM_HPS || "{}");

/** Rows of a channel: columns by name (text, or float32 with NaN for null), the class of each row, and its weight. */
function read(channel) {
  const schema = JSON.parse(readFileSync(join(channel, "schema.json"), "utf8"));
  if (!schema.classes) throw new Error(`this trainer classifies; it has no ${schema.task}`);
  const names = schema.task === "binaryClassification" ? ["0", "1"] : schema.classes;
  const columns = Object.fromEntries(schema.features.map(({ name }) => [name, []]));
  const [label, weight] = [[], []];
  const rows = lines(readFileSync(join(channel, schema.file), "utf8"));
  const place = Object.fromEntries(rows.next().value.map((name, i) => [name, i]));
  for (const fields of rows) {
    for (const { name, kind } of schema.features) {
      const field = fields[place[name]];
      columns[name].push(kind === "string" ? field : field === "" ? NaN : Math.fround(field));
    }
    label.push(names.indexOf(fields[place[schema.label]]));
    weight.push(schema.weight ? Number(fields[place[schema.weight]]) : 1);
  }
  return { schema, columns, label, weight };
}

/** Which row of its table a value has: the last two rows of numbers are the highest range and null. */
class Lookup {
  constructor({ name, kind }, values) {
    Object.assign(this, { name, kind });
    if (kind === "string") {
      this.categories = [...new Set(values)].sort();
      this.index = new Map(this.categories.map((category, i) => [category, i]));
      this.size = this.categories.length + 1; // and one for what training hasn't seen
    } else {
      const known = Float32Array.from(values.filter((v) => !Number.isNaN(v))).sort();
      const edges = Array.from({ length: bins - 1 }, (_, i) => known[Math.floor((known.length * (i + 1)) / bins)]);
      this.edges = [...new Set(edges.filter((edge) => edge !== undefined))];
      this.size = this.edges.length + 2; // the ranges between edges, and one for null
    }
  }

  row(value) {
    if (this.kind === "string") return this.index.get(value) ?? this.size - 1;
    return Number.isNaN(value) ? this.size - 1 : this.edges.filter((edge) => value >= edge).length;
  }

  /**
   * Learns log P(value | class), shape [size, classes]. Every value counts as if there were `smoothing` rows more of it,
   * with the classes in their usual shares: so a value that training hasn't seen speaks for no class.
   */
  fit(values, label, weight, totals) {
    const share = totals.map((n) => (smoothing * n) / totals.reduce((a, b) => a + b));
    const counts = Array.from({ length: this.size }, () => [...share]);
    values.forEach((value, i) => (counts[this.row(value)][label[i]] += weight[i]));
    this.table = counts.map((row) => row.map((n, c) => Math.log(n / (totals[c] + share[c] * this.size))));
  }

  /** Adds the nodes that turn the feature [N,1] into its rows [N, classes]. */
  add(graph, classes) {
    const { name, size } = this;
    const its = (what) => `${name}:${what}`;
    graph.input(name, this.kind === "string" ? STRING : FLOAT, 1);
    if (this.kind === "string") {
      const attributes = { keys_strings: this.categories, values_int64s: [...this.categories.keys()], default_int64: size - 1 };
      graph.node("LabelEncoder", [name], its("row"), attributes, "ai.onnx.ml");
    } else {
      graph.constant(its("edges"), FLOAT, [this.edges.length], this.edges);
      graph.constant(its("null"), INT64, [1], [size - 1]);
      graph.constant(its("across"), INT64, [1], [1]);
      graph.node("GreaterOrEqual", [name, its("edges")], its("above"));
      graph.node("Cast", [its("above")], its("ones"), { to: INT64 });
      graph.node("ReduceSum", [its("ones"), its("across")], its("range"));
      graph.node("IsNaN", [name], its("unknown"));
      graph.node("Where", [its("unknown"), its("null"), its("range")], its("row"));
    }
    graph.constant(its("table"), FLOAT, [size, classes], this.table.flat());
    graph.node("Gather", [its("table"), its("row")], its("found")); // [N, 1, classes]
    return graph.node("Squeeze", [its("found"), "middle"], its("score"));
  }
}

function softmax(scores) {
  const top = Math.max(...scores);
  const powers = scores.map((s) => Math.exp(s - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((p) => p / sum);
}

/** Mean negative log likelihood of the classes that training has seen. */
function logloss({ columns, label, weight }, lookups, prior) {
  let [sum, total] = [0, 0];
  label.forEach((y, i) => {
    if (y < 0) return;
    const scores = prior.map((p, c) => lookups.reduce((s, l) => s + l.table[l.row(columns[l.name][i])][c], p));
    sum -= weight[i] * Math.log(Math.max(softmax(scores)[y], 1e-15));
    total += weight[i];
  });
  return sum / total;
}

const train = read(SM_CHANNEL_TRAIN);
const { features, classes } = train.schema;
console.log(`${train.label.length} rows to train on`);

const totals = classes.map(() => 0);
train.label.forEach((y, i) => (totals[y] += train.weight[i]));
const sum = totals.reduce((a, b) => a + b);
const prior = totals.map((n) => Math.log(n / sum));
const lookups = features.map((feature, i) => {
  const lookup = new Lookup(feature, train.columns[feature.name]);
  lookup.fit(train.columns[feature.name], train.label, train.weight, totals);
  console.log(JSON.stringify({ progress: (i + 1) / features.length }));
  return lookup;
});
// Shown beside the trial. Tidemill judges the model by figures of its own.
console.log(JSON.stringify({ logloss: logloss(read(SM_CHANNEL_VALIDATION), lookups, prior) }));

const graph = new Graph();
graph.constant("middle", INT64, [1], [1]);
graph.constant("prior", FLOAT, [1, classes.length], prior);
const scores = lookups.map((lookup) => lookup.add(graph, classes.length));
graph.node("Sum", [...scores, "prior"], "scores");
graph.node("Softmax", ["scores"], "probabilities"); // over the last axis
graph.output("probabilities", FLOAT, classes.length);
writeFileSync(join(SM_MODEL_DIR, "model.onnx"), graph.bytes("naive-bayes"));
