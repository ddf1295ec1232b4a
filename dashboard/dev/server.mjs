// A mock of the API with a life of its own, to look at the dashboard without Tidemill: `npm run mock`, then `npm run dev`, or
// open the mock itself for what `npm run build` left in dist. MOCK: full (default), empty, signed-out, broken.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { createServer as createVite } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** Starts the mock on a port (0: any) and returns its URL and a way to stop it. */
export async function startMock({ port = 0, mode = "full" } = {}) {
  const vite = await createVite({ root, appType: "custom", logLevel: "error", server: { middlewareMode: true, hmr: false, ws: false, watch: null } });
  const fx = await vite.ssrLoadModule("/dev/fixtures.ts");
  const world = new World(fx, mode);
  const server = createServer((req, res) => {
    const url = new URL(req.url, "http://mock");
    const job = url.pathname.startsWith("/api/v1/") ? world.answer(req, res, url) : file(res, url.pathname);
    job.catch((e) => problem(res, 500, String(e)));
  });
  await new Promise((ok) => server.listen(port, "127.0.0.1", ok));
  const timer = setInterval(() => world.tick(), 1000);
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    world,
    async stop() {
      clearInterval(timer);
      server.closeAllConnections();
      server.close();
      await vite.close();
    },
  };
}

class World {
  constructor(fx, mode) {
    Object.assign(this, { fx, mode, clients: new Set(), seq: 400, ordinal: 96, ticks: 0, flight: undefined, n: 8, ended: [], started: Date.now() });
    this.facts = mode === "empty" ? [] : fx.history(Date.now());
  }

  say(entries) {
    for (const e of entries) {
      this.seq = Math.max(this.seq, e.seq);
      this.facts.push(e);
      for (const c of this.clients) send(c, "fact", e.fact, e.seq);
    }
  }

  one(short, data) {
    this.say([this.fx.fact(this.seq + 1, Date.now(), short, "flight-delay", data)]);
    return this.seq;
  }

  begin(manual) {
    this.flight = { ...this.fx.running(Date.now(), ++this.n), manual };
    this.one("cycle.requested", { ...this.flight });
    this.at = 0;
  }

  tick() {
    const i = this.ticks++;
    if (this.mode === "empty") return;
    const busy = 900 + 700 * Math.sin(i / 9) + 300 * Math.sin(i / 2.3);
    for (const c of this.clients) {
      send(c, "rates", { at: new Date(), datasets: { flights: { accepted: Math.max(0, busy), quarantined: i % 11 === 3 ? 14 : i % 5 ? 0 : 2.5 } } });
    }
    if (i % 6 === 2) this.say(this.fx.segmentFacts(this.seq + 1, Date.now(), ++this.ordinal));
    if (!this.flight && i === 2) this.begin(false);
    if (this.flight) this.fly();
  }

  fly() {
    const c = this.flight;
    const t = c.trials[0];
    this.at++;
    if (this.at === 2) this.one("trial.started", { candidate: "logistic", worker: "local-1", attempt: 1 });
    if (this.at <= 8) {
      const p = { trial: t.trial, cycle: c.cycle, model: c.model, attempt: 1, phase: this.at < 3 ? "preparing" : "training", fraction: this.at / 9, message: `iteration ${this.at * 12} of 100`, metrics: { logloss: 0.52 - this.at * 0.004 }, log: [`{"iteration": ${this.at * 12}}`] };
      for (const client of this.clients) send(client, "progress", p);
    }
    if (this.at === 9) { c.state = "evaluating"; t.state = "succeeded"; t.fraction = 1; this.one("trial.finished", { candidate: "logistic", succeeded: true, trainRows: 160_010, validation: { logloss: 0.488 } }); }
    if (this.at === 11) { c.state = "rollingOut"; this.one("candidate.approved", { version: String(c.number), verdict: { reason: "Both gates passed." } }); }
    if (this.at >= 13) {
      this.ended.unshift({ ...c, state: "ended", outcome: "promoted", reason: "Version passed its gates and is champion.", ended: new Date().toISOString() });
      this.flight = undefined;
      this.one("cycle.ended", { cycle: c.cycle, outcome: "promoted", reason: "Version passed its gates and is champion." });
    }
  }

  async answer(req, res, url) {
    const now = this.started;
    if (this.mode === "signed-out") return problem(res, 401, "There is no session.", "Open the link that `tidemill up` printed.");
    const path = url.pathname.slice("/api/v1/".length);
    if (path === "facts") return this.stream(req, res, url);
    if (this.mode === "broken") return problem(res, 503, "The ledger does not answer.", "Is NATS running? Look at `tidemill doctor`.");
    const [kind, name, what] = path.split("/").map(decodeURIComponent);
    const full = this.mode !== "empty";
    if (req.method === "POST") return this.post(req, res, kind, what);
    if (kind === "status") return json(res, { version: "mock", started: new Date(), targets: ["all"], nats: "", rates: { at: new Date(), datasets: {} } });
    if (kind === "models" && !name) return list(res, full ? this.fx.models(now, this.flight) : []);
    if (kind === "models") {
      const mine = name === "flight-delay";
      if (what === "cycles") return list(res, mine ? [...(this.flight ? [this.flight] : []), ...this.ended, ...this.fx.cycles(now)] : []);
      if (what === "versions") return list(res, mine ? this.fx.versions(now) : []);
      if (what === "metrics") return list(res, mine ? this.fx.metrics(parseInt(url.searchParams.get("bucket"), 10)) : []);
      if (what === "why") return json(res, this.fx.why(now));
      if (what === "why-not") return json(res, mine ? this.fx.whyNot : { model: name, text: "No policy is declared for this model: it retrains by hand only.", now: this.fx.zero, reasons: [] });
    }
    if (kind === "datasets" && !name) return list(res, full ? this.fx.datasets : []);
    if (kind === "datasets" && path.endsWith("/rows")) return list(res, this.fx.refused);
    if (kind === "datasets") return list(res, this.fx.quarantine(now));
    if (kind === "alerts") return list(res, full ? this.fx.alerts : []);
    return problem(res, 404, `There is no ${path}.`);
  }

  async post(req, res, kind, what) {
    let text = "";
    for await (const part of req) text += part;
    const body = JSON.parse(text || "{}");
    if (what === "retrain" && /^sliding -/.test(body.window ?? "")) {
      return problem(res, 400, `"${body.window}" is not a window.`, "Write expanding, or sliding and a duration, rows or segments: sliding 7d.");
    }
    if (what === "retrain") {
      const seq = this.one("retrain.asked", { model: "flight-delay", by: "admin", reason: body.reason });
      setTimeout(() => this.begin(true), 800); // a cycle in flight is simply forgotten
      return json(res, { id: "x", seq });
    }
    const verb = { rollback: "rollback.asked", pause: "model.paused", resume: "model.resumed" }[what] ?? "quarantine.released";
    return json(res, { id: "x", seq: this.one(verb, { model: "flight-delay", dataset: "flights", by: "admin", rows: 3 }) });
  }

  async stream(req, res, url) {
    res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    const since = Number(req.headers["last-event-id"] ?? url.searchParams.get("since") ?? 0);
    const old = since < 0 ? this.facts.slice(since) : this.facts.filter((e) => e.seq > since);
    res.write(": here\n\n");
    for (const e of old) send(res, "fact", e.fact, e.seq);
    this.clients.add(res);
    res.on("close", () => this.clients.delete(res));
  }
}

async function file(res, path) {
  const clean = normalize(path).replace(/^[/\\]+/, "") || "index.html";
  const body = await readFile(join(root, "dist", clean)).catch(() => undefined);
  if (!body) return problem(res, 404, "Not built: run npm run build.");
  res.writeHead(200, { "Content-Type": types[extname(clean)] ?? "application/octet-stream", "Content-Security-Policy": csp });
  res.end(body);
}

function send(res, event, data, id) {
  res.write(`${id ? `id: ${id}\n` : ""}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

function json(res, body, status = 200, type = "application/json") {
  res.writeHead(status, { "Content-Type": type });
  res.end(JSON.stringify(body));
}

const list = (res, items) => json(res, { items });
const problem = (res, status, detail, hint) => json(res, { status, detail, hint }, status, "application/problem+json");

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const mock = await startMock({ port: Number(process.env.PORT ?? 8099), mode: process.env.MOCK ?? "full" });
  console.log(`mock of the API at ${mock.url} (MOCK=full|empty|signed-out|broken)`);
}
