import { pathToFileURL } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { expectGolden } from "../support/golden.ts";
import { type Engine, startEngine } from "./engine.ts";
import { type BuiltPackage, buildPackage } from "./package.ts";
import { type Plugin, type Schema, servePlugin } from "./plugin.ts";

let built: BuiltPackage;
beforeAll(async () => {
  built = await buildPackage();
});
afterAll(() => built.remove());

const exported = [
  ...["Backend", "Client", "ImagePullPolicy", "MagicIpAddress", "MagicIpAddresses", "Masquerade"],
  ...["Protocol", "UpdateStrategyType", "WhenNoTarget"],
];

describe("the built package", () => {
  const run = async (type: string, code: string) => {
    const args = [`--input-type=${type}`, "--eval", code];
    return JSON.parse((await execa(process.execPath, args, { cwd: built.directory })).stdout);
  };

  it("is required from CommonJS, by its name", async () => {
    const code = `console.log(JSON.stringify(Object.keys(require("${packageJson.name}")).sort()))`;
    expect(await run("commonjs", code)).toEqual(exported);
  });

  it("is imported from an ES module, name by name", async () => {
    const code = `import { ${exported} } from "${packageJson.name}"; console.log(JSON.stringify([${exported}].length))`;
    expect(await run("module", code)).toBe(exported.length);
  });

  it("loads nothing of Kubernetes that it does not use, so that a preview starts quickly", async () => {
    const url = pathToFileURL(`${built.directory}/dist/index.js`);
    const code = `require(${JSON.stringify(url.pathname)});
      const loaded = Object.keys(require.cache).filter((file) => file.includes("@pulumi/kubernetes/"));
      console.log(JSON.stringify(loaded.filter((file) => !/kubernetes\\/(helm\\/v4|core\\/v1\\/namespace\\.js|package.json|provider|utilities)/.test(file))))`;
    expect(await run("commonjs", code)).toEqual([]);
  });
});

describe("the package as a plugin for other languages", () => {
  let engine: Engine;
  let plugin: Plugin;
  let schema: Schema;
  beforeAll(async () => {
    engine = await startEngine();
    plugin = await servePlugin(built.directory, engine.address);
    schema = await plugin.schema();
  });
  afterAll(() => {
    plugin?.stop();
    engine?.stop();
  });

  const single = "magic-ip-address:index:MagicIpAddress";
  const several = "magic-ip-address:index:MagicIpAddresses";

  it("has two components", () => {
    expect([schema.name, schema.version]).toEqual([packageJson.name, packageJson.version]);
    expect(Object.keys(schema.resources).sort()).toEqual([single, several]);
  });

  it("has the schema that programs in other languages were written for", () => {
    const text = `${JSON.stringify({ ...schema, version: "<version>" }, undefined, 2)}\n`;
    expectGolden(new URL("./golden/schema.json", import.meta.url), text);
  });

  it("asks for as little as possible", () => {
    expect(schema.resources[single]?.requiredInputs).toEqual(["ipAddress", "selector"]);
    expect(schema.resources[several]?.requiredInputs).toEqual(["addresses"]);
  });

  it("takes and gives what it says, nothing private among it", () => {
    const fields = (type: string) => {
      const { inputProperties = {}, properties = {} } = schema.resources[type] ?? {};
      return [Object.keys(inputProperties).sort(), Object.keys(properties).sort()];
    };
    expect(fields(single)).toEqual([
      [
        ...["agent", "hostNetworkTargets", "ipAddress", "ipv6Address", "loadBalance", "namespace", "ports"],
        ...["selector", "skipAwait", "values", "whenNoTarget"],
      ],
      ["daemonSetName", "endpoint", "endpoints", "environments", "ipAddress", "namespace"],
    ]);
    expect(fields(several)).toEqual([
      ["addresses", "agent", "skipAwait", "values"],
      ["daemonSetName", "endpoints", "environments", "namespace"],
    ]);
  });

  it("describes every property", () => {
    const described = [
      ...Object.values(schema.resources).flatMap(({ inputProperties, properties }) => [
        inputProperties,
        properties,
      ]),
      ...Object.values(schema.types).map(({ properties = {} }) => properties),
    ].flatMap((properties) => Object.entries(properties as Record<string, { description?: string }>));
    expect(described.filter(([, { description }]) => !description).map(([name]) => name)).toEqual([]);
    expect(described.length).toBeGreaterThan(30);
  });

  it("has enums where only some words will do", () => {
    const words = (type: string) =>
      schema.types[`magic-ip-address:index:${type}`]?.enum?.map(({ value }) => value);
    expect(words("Protocol")).toEqual(["TCP", "UDP", "SCTP"]);
    expect(words("WhenNoTarget")).toEqual(["Reject", "Drop", "Pass"]);
    expect(words("Backend")).toEqual(["auto", "nftables", "iptables"]);
    expect(words("Masquerade")).toEqual(["auto", "always"]);
    expect(words("UpdateStrategyType")).toEqual(["RollingUpdate", "OnDelete"]);
    expect(words("ImagePullPolicy")).toEqual(["Always", "IfNotPresent", "Never"]);
  });

  it("needs no other provider's schema: resource types in it would pin that provider's version", () => {
    expect(schema.dependencies).toEqual([]);
  });

  it("makes a component, with the chart that the package carries", async () => {
    const inputs = {
      ipAddress: "169.254.210.210",
      selector: "app=x",
      ports: [{ port: 80, protocol: "UDP" }],
    };
    expect(await plugin.construct(single, "from-python", inputs)).toEqual({
      ipAddress: "169.254.210.210",
      endpoint: "169.254.210.210:80",
      endpoints: { "169.254.210.210:80": "169.254.210.210:80" },
      environments: {},
      namespace: "kube-system",
      daemonSetName: "from-python",
    });
    const chart = engine.registrations.find(({ type }) => type === "kubernetes:helm.sh/v4:Chart");
    expect(chart?.inputs.chart).toBe(`${built.directory}/component/chart`);
  });

  it("says what is wrong", async () => {
    const inputs = { ipAddress: "localhost", selector: "app=x", ports: [{ port: 80 }] };
    await expect(plugin.construct(single, "from-python", inputs)).rejects.toThrow(
      'ipAddress: "localhost" is not an IPv4 address: write four numbers 0–255, as 169.254.210.210',
    );
  });
});
