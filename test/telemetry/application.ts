import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** application.mjs in one file with the libraries that it uses, for an image that has only Node.js. */
export async function bundledApplication(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("./application.mjs", import.meta.url))],
    bundle: true,
    platform: "node",
    format: "esm",
    minify: true,
    write: false,
    // hot-shots takes it for Unix sockets only, and only where it is installed.
    external: ["unix-dgram"],
    // CommonJS dependencies call require, which an ES module does not have.
    banner: {
      js: 'import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url);',
    },
    logLevel: "warning",
  });
  return outputFiles[0]?.text ?? "";
}
