import { defineConfig } from "vite";

// During development the API comes from dev/server.mjs, or from a running `tidemill up` named by TIDEMILL_URL.
const target = process.env["TIDEMILL_URL"] ?? "http://127.0.0.1:8099";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: { proxy: { "/api": target, "/login": target } },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // data: URLs would need a wider Content-Security-Policy
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    emptyOutDir: true,
  },
});
