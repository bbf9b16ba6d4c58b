import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { type Engine, startEngine } from "../component/engine.ts";
import { runProgram } from "../component/host.ts";
import { type Plugin, servePlugin } from "../component/plugin.ts";
import { type Consumer, consumer } from "./consumer.ts";

// Compilers, on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 3 * 60_000 });

const PROGRAM = `import { MagicIpAddress, type Port, Protocol } from "magic-ip-address";

const ports: Port[] = [{ port: 8126 }, { port: 8125, protocol: Protocol.UDP }];
const apm = new MagicIpAddress("dd-agent", { ipAddress: "169.254.210.210", selector: "app=dd-agent", ports });

export const endpoint = apm.endpoint;
`;

// A mistake that a user makes has to be found: without an error the directive itself would be one.
const MISTAKE = `import { MagicIpAddress } from "magic-ip-address";

// @ts-expect-error -- a port is a number
new MagicIpAddress("dd-agent", { ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: "8126" }] });
`;

const strict = {
  strict: true,
  target: "ES2022",
  types: [],
  skipLibCheck: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
};

let user: Consumer;
beforeAll(async () => {
  user = await consumer();
  await user.write("index.ts", PROGRAM);
  await user.write("mistake.ts", MISTAKE);
});
afterAll(() => user?.remove());

describe("a TypeScript program in an empty folder with the packed package", () => {
  // Pulumi's host type-checks the program, too (below), with what `pulumi new typescript` writes.
  it.each([
    [
      "commonjs",
      {
        module: "nodenext",
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        isolatedModules: true,
      },
    ],
    [
      "module",
      { module: "esnext", moduleResolution: "bundler", verbatimModuleSyntax: true, erasableSyntaxOnly: true },
    ],
  ])("is type-checked as %s with %j", async (type, options) => {
    await user.write("package.json", { name: "infrastructure", private: true, type, main: "index.ts" });
    await user.write("tsconfig.json", { compilerOptions: { ...strict, ...options }, include: ["*.ts"] });
    expect(await user.typeCheck()).toBe("");
  });

  it("is previewed by Pulumi's Node.js host, with the chart from inside node_modules", async () => {
    await user.write("package.json", { name: "infrastructure", private: true, main: "index.ts" });
    await user.write("tsconfig.json", {
      compilerOptions: { ...strict, module: "node16", moduleResolution: "node16" },
      files: ["index.ts"],
    });
    const { complaints, exitCode, registrations } = await runProgram(
      new URL(`file://${user.directory}/index.ts`),
    );
    expect({ complaints, exitCode }).toEqual({ complaints: [], exitCode: 0 });
    const chart = registrations.find(({ type }) => type === "kubernetes:helm.sh/v4:Chart");
    expect(chart?.inputs.chart).toBe(`${user.installed}/component/chart`);
  });
});

describe("the package inside node_modules as a plugin for other languages", () => {
  let engine: Engine;
  let plugin: Plugin;
  beforeAll(async () => {
    engine = await startEngine();
    plugin = await servePlugin(user.installed, engine.address);
  });
  afterAll(() => {
    plugin?.stop();
    engine?.stop();
  });

  it("serves the schema", async () => {
    const { name, version, resources } = await plugin.schema();
    expect({ name, version }).toEqual({ name: packageJson.name, version: packageJson.version });
    expect(Object.keys(resources)).toContain("magic-ip-address:index:MagicIpAddress");
  });

  it("builds the component", async () => {
    const inputs = { ipAddress: "169.254.210.210", selector: "app=x", ports: [{ port: 80 }] };
    const state = await plugin.construct("magic-ip-address:index:MagicIpAddress", "from-elsewhere", inputs);
    expect(state).toMatchObject({ endpoint: "169.254.210.210:80", daemonSetName: "from-elsewhere" });
    const chart = engine.registrations.find(({ type }) => type === "kubernetes:helm.sh/v4:Chart");
    expect(chart?.inputs.chart).toBe(`${user.installed}/component/chart`);
  });
});
