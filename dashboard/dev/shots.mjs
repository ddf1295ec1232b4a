// Screenshots of the built page against the mock, to look at: `npm run build && npm run shots -- DIR`.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launch } from "./browser.mjs";
import { startMock } from "./server.mjs";

const dir = process.argv[2] ?? "shots";
mkdirSync(dir, { recursive: true });
const wide = { width: 1500, height: 1300 };
const views = [
  { name: "light", size: wide, scheme: "light", wait: 9000 },
  { name: "dark", size: wide, scheme: "dark", wait: 7000 },
  { name: "phone", size: { width: 400, height: 860 }, scheme: "light", wait: 6000, whole: true },
  { name: "tablet", size: { width: 900, height: 1200 }, scheme: "dark", wait: 5000, whole: true },
  { name: "why", size: wide, scheme: "light", wait: 1500, act: (p) => p.getByText("Why is it live?").click() },
  { name: "retrain", size: { width: 1100, height: 800 }, scheme: "dark", wait: 1500, act: (p) => p.locator('[data-action="retrain"]').click() },
  { name: "asked", size: { width: 1300, height: 900 }, scheme: "light", wait: 1500, act: async (p) => { await p.locator('[data-action="retrain"]').click(); await p.locator('[data-action="confirm-retrain"]').click(); await p.waitForTimeout(1500); } },
  { name: "hover", size: { width: 1300, height: 800 }, scheme: "light", wait: 1500, act: hover },
  { name: "cycle", size: wide, scheme: "dark", wait: 1500, act: (p) => p.getByRole("button", { name: "flight-delay-3" }).click() },
  { name: "quarantine", size: wide, scheme: "light", wait: 1500, whole: true, act: (p) => p.getByText("Show the quarantine").click() },
  { name: "young", size: { width: 1300, height: 900 }, scheme: "light", wait: 1500, hash: "#/models/arrival-minutes" },
  { name: "empty", mode: "empty", size: { width: 1300, height: 700 }, scheme: "light", wait: 1500 },
  { name: "signed-out", mode: "signed-out", size: { width: 900, height: 600 }, scheme: "dark", wait: 1500 },
  { name: "broken", mode: "broken", size: { width: 1300, height: 700 }, scheme: "light", wait: 1500 },
];
const only = process.argv.slice(3);

async function hover(page) {
  const box = await page.locator(".u-over").boundingBox();
  await page.mouse.move(box.x + box.width * 0.212, box.y + 90);
}

const { browser, close } = await launch();
try {
  for (const v of views.filter((x) => only.length === 0 || only.includes(x.name))) {
    const mock = await startMock({ mode: v.mode ?? "full" });
    const page = await browser.newPage({ viewport: v.size, colorScheme: v.scheme });
    page.on("console", (m) => m.type() === "error" && console.log(`${v.name}: ${m.text()}`));
    page.on("pageerror", (e) => console.log(`${v.name}: ${e.message}`));
    await page.goto(mock.url + (v.hash ?? ""));
    await page.waitForTimeout(v.wait);
    await v.act?.(page);
    await page.waitForTimeout(500);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) console.log(`${v.name}: the page is ${overflow}px too wide`);
    await page.screenshot({ path: join(dir, `${v.name}.png`), fullPage: v.whole ?? false });
    await page.close();
    await mock.stop();
  }
} finally {
  await close();
}
