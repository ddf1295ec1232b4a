import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-dev-shm-usage",
];

/** Starts the Chromium named by TIDEMILL_CHROMIUM (default: chromium of the system) with a profile of its own. */
export async function launch() {
  const profile = mkdtempSync(join(tmpdir(), "tidemill-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.TIDEMILL_CHROMIUM ?? "/usr/bin/chromium", headless: true, args: flags, viewport: null,
  });
  const browser = context.browser();
  return {
    browser, context,
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
