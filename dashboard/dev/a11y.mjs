// Runs axe over the built page and its panels against the mock, in both themes: `npm run build && npm run a11y`.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { launch } from "./browser.mjs";
import { startMock } from "./server.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const click = (selector) => (page) => page.locator(selector).first().click();
const states = [
  ["page", "full", async () => {}],
  ["why", "full", (p) => p.getByText("Why is it live?").click()],
  ["cycle", "full", (p) => p.getByRole("button", { name: "flight-delay-3" }).click()],
  ["retrain", "full", click('[data-action="retrain"]')],
  ["rollback", "full", click('[data-action="rollback"]')],
  ["quarantine", "full", (p) => p.getByText("Show the quarantine").click()],
  ["fact", "full", click(".fact > button")],
  ["empty", "empty", async () => {}],
  ["signed out", "signed-out", async () => {}],
];

const { browser, close } = await launch();
let found = 0;
try {
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, mode, act] of states) {
      const mock = await startMock({ mode });
      const context = await browser.newContext({ colorScheme, viewport: { width: 1400, height: 1000 }, bypassCSP: true });
      const page = await context.newPage();
      await page.goto(mock.url);
      await page.waitForTimeout(3500);
      await act(page);
      await page.waitForTimeout(300);
      await page.addScriptTag({ content: axe });
      const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"] }));
      for (const v of violations) {
        found++;
        console.log(`${name} (${colorScheme}): ${v.id}: ${v.help}`);
        for (const n of v.nodes.slice(0, 4)) console.log(`    ${n.target.join(" ")}  ${n.any[0]?.message ?? ""}`);
      }
      await context.close();
      await mock.stop();
    }
  }
} finally {
  await close();
}
console.log(found === 0 ? `no finding in ${2 * states.length} states` : `${found} findings`);
process.exitCode = found === 0 ? 0 : 1;
