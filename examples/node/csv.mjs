// Reads CSV as RFC 4180 has it: fields may be quoted, and then hold commas, line ends and doubled quotes.

/** Yields each line as an array of its fields, the header first. */
export function* lines(text) {
  const next = /(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r?\n|$)/y;
  let fields = [];
  while (next.lastIndex < text.length || fields.length > 0) {
    const at = next.lastIndex;
    const [, quoted, plain, end] = next.exec(text) ?? fail(text, at);
    fields.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === ",") continue;
    yield fields;
    fields = [];
  }
}

function fail(text, at) {
  throw new Error(`line ${text.slice(0, at).split("\n").length} is no CSV`);
}
