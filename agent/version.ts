import manifest from "./package.json" with { type: "json" };

/** The agent's version, equal to that of the package, the chart and the image. */
export const version: string = manifest.version;
