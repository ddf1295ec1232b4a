// First run to first model, in a real browser against a real Tidemill. The Go test that starts it has applied the resources and
// published the rows, more than the policy's first model needs, so that a second cycle has something new to learn; this script
// only looks and clicks, as a person would.
//
//   TIDEMILL_LOGIN      the one-time link that `tidemill up` prints
//   TIDEMILL_MODEL      the model to wait for
//   TIDEMILL_CHROMIUM   the browser (default: the system's chromium)
//   TIDEMILL_ARTIFACTS  a folder for the screenshot (default: none is taken)
//
// Prints what it saw and exits 0; otherwise says what was missing, and exits 1 (2 when it was started wrongly).
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launch } from "../dev/browser.mjs";

const login = process.env.TIDEMILL_LOGIN;
const model = process.env.TIDEMILL_MODEL;
const artifacts = process.env.TIDEMILL_ARTIFACTS;
if (!login || !model) {
  console.error("first-model: TIDEMILL_LOGIN (the printed link) and TIDEMILL_MODEL are needed");
  process.exit(2);
}

const firstModel = 90_000;
const nextStep = 60_000;
const noise = []; // what the browser complained about
const began = Date.now();

function say(text) {
  console.log(`${((Date.now() - began) / 1000).toFixed(1)}s ${text}`);
}

/** Waits for a locator to be visible; the error says in words what never came. */
async function see(locator, what, timeout = 10_000) {
  try {
    await locator.first().waitFor({ state: "visible", timeout });
  } catch {
    throw new Error(`${what} did not appear within ${timeout / 1000} s`);
  }
  say(what);
}

async function shot(page, name) {
  if (!artifacts) return;
  mkdirSync(artifacts, { recursive: true });
  await page.screenshot({ path: join(artifacts, `${name}.png`), fullPage: true });
}

async function story(page) {
  const answer = await page.goto(login, { timeout: 30_000 });
  if (!answer || answer.status() >= 400) throw new Error(`the login link answered ${answer?.status()}: ${(await page.textContent("body"))?.slice(0, 200)}`);
  if (await page.locator(".sign-in").isVisible()) throw new Error("the login link opened no session: the page asks to sign in");
  await see(page.locator(".link-state.live"), "the page is live");

  await see(page.locator(`nav a[href="#/models/${model}"]`), `${model} is in the list of models`, nextStep);
  await page.locator(`nav a[href="#/models/${model}"]`).click();
  await see(page.getByRole("heading", { level: 1, name: model, exact: true }), "its view is open");

  await see(page.getByRole("heading", { name: /^Champion: version \S+/ }), "it has a champion", firstModel);
  await see(page.locator('tr[data-outcome="promoted"]'), "a promoted cycle is in the table");
  await see(page.locator(".fact"), "facts are listed");

  await page.getByRole("button", { name: "Why is it live?" }).click();
  await see(page.locator("dialog .chain li"), "why names the causes");
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached", timeout: 5_000 });

  await page.locator('[data-action="retrain"]').click();
  await page.locator('[data-action="confirm-retrain"]').click();
  await see(page.locator("[data-asked]"), "the wish is acknowledged");
  await newCycle(page);
  say("done");
}

/** Waits until the page names the cycle that the wish began, and that cycle's row is in the table: live, without a reload. */
async function newCycle(page) {
  const note = page.locator("[data-asked]");
  try {
    await page.locator('[data-asked="done"]').waitFor({ state: "visible", timeout: nextStep });
  } catch {
    throw new Error(`nothing came of the wish within ${nextStep / 1000} s; the page says: ${(await note.textContent())?.trim()}`);
  }
  const text = (await note.textContent())?.trim() ?? "";
  const cycle = /Cycle (\S+) has begun/.exec(text)?.[1];
  if (!cycle) throw new Error(`the wish began no cycle; the page says: ${text}`);
  await see(page.locator(`tr[data-cycle="${cycle}"]`), `${cycle}, the cycle asked for, is in the table`);
}

const { context, close } = await launch();
const page = await context.newPage();
await page.setViewportSize({ width: 1440, height: 1000 });
page.on("console", (m) => m.type() === "error" && noise.push(m.text()));
page.on("pageerror", (e) => noise.push(e.message));
try {
  await story(page);
  await shot(page, "first-model");
  if (noise.length > 0) throw new Error(`the browser complained:\n  ${noise.join("\n  ")}`);
} catch (e) {
  console.error(`first-model: ${e.message}`);
  if (noise.length > 0) console.error(`browser console:\n  ${noise.join("\n  ")}`);
  await shot(page, "first-model-failed").catch(() => undefined);
  process.exitCode = 1;
} finally {
  await close();
}
