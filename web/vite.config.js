import { defineConfig } from "vite";

// Three files with fixed names: the server embeds them.
export default defineConfig({
  base: "/",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    modulePreload: false,
    rollupOptions: { output: { entryFileNames: "app.js", assetFileNames: "style.css", inlineDynamicImports: true } },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8080" } },
});
