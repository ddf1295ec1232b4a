// A writer of ONNX files: the few messages of onnx.proto that a small graph needs, in the wire format of Protocol
// Buffers. Field numbers are those of onnx.proto.

export const FLOAT = 1;
export const INT64 = 7;
export const STRING = 8;

/** A varint: seven bits a byte, lowest first. Takes non-negative whole numbers. */
function varint(value) {
  const bytes = [];
  let v = BigInt(value);
  while (v >= 0x80n) {
    bytes.push(Number(v & 0x7fn) | 0x80);
    v >>= 7n;
  }
  bytes.push(Number(v));
  return Buffer.from(bytes);
}

const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);

/** A field with a length: text, bytes or a message, which is the buffers of its fields. */
function block(field, value) {
  const body = typeof value === "string" ? Buffer.from(value) : Array.isArray(value) ? Buffer.concat(value) : value;
  return Buffer.concat([varint((field << 3) | 2), varint(body.length), body]);
}

const int64s = (values) => Buffer.from(BigInt64Array.from(values, BigInt).buffer);
const float32s = (values) => Buffer.from(Float32Array.from(values).buffer);

/** AttributeProto. Whole numbers become INT, arrays of text STRINGS, arrays of numbers INTS. */
function attribute(name, value) {
  if (typeof value === "number") return block(5, [block(1, name), number(3, value), number(20, 2)]);
  if (typeof value[0] === "string") return block(5, [block(1, name), ...value.map((v) => block(9, v)), number(20, 8)]);
  return block(5, [block(1, name), ...value.map((v) => number(8, v)), number(20, 7)]);
}

/** ValueInfoProto: a tensor [N, width]. */
function valueInfo(name, type, width) {
  const shape = [block(1, [block(2, "N")]), block(1, [number(1, width)])];
  return [block(1, name), block(2, [block(1, [number(1, type), block(2, shape)])])];
}

/** A graph that grows node by node. */
export class Graph {
  #nodes = [];
  #constants = [];
  #inputs = [];
  #outputs = [];

  input(name, type, width) {
    this.#inputs.push(block(11, valueInfo(name, type, width)));
    return name;
  }

  output(name, type, width) {
    this.#outputs.push(block(12, valueInfo(name, type, width)));
  }

  /** A constant tensor of FLOAT or INT64 in row-major order. */
  constant(name, type, shape, values) {
    const data = type === FLOAT ? float32s(values) : int64s(values);
    this.#constants.push(block(5, [...shape.map((n) => number(1, n)), number(2, type), block(8, name), block(9, data)]));
    return name;
  }

  /** A node with one output. */
  node(op, inputs, output, attributes = {}, domain = "") {
    const fields = [...inputs.map((name) => block(1, name)), block(2, output), block(4, op)];
    for (const [name, value] of Object.entries(attributes)) fields.push(attribute(name, value));
    if (domain) fields.push(block(7, domain));
    this.#nodes.push(block(1, fields));
    return output;
  }

  /** The whole model as the bytes of a .onnx file: opset 17, and 3 of ai.onnx.ml. */
  bytes(name) {
    const graph = [...this.#nodes, block(2, name), ...this.#constants, ...this.#inputs, ...this.#outputs];
    const opset = (domain, version) => block(8, [block(1, domain), number(2, version)]);
    return Buffer.concat([number(1, 8), block(2, "tidemill-example"), block(7, graph), opset("", 17), opset("ai.onnx.ml", 3)]);
  }
}
