import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { only, render } from "../chart/render.ts";
import { type Run, runProgram } from "../component/host.ts";
import { startEngine } from "../component/engine.ts";
import { type Schema, servePlugin } from "../component/plugin.ts";
import { applications } from "./application.ts";
import { examples, promisedEnvironments, readExample, readYaml } from "./example.ts";
import { mentionsOfGo, mentionsOfPython, mentionsOfYaml, unknownTo } from "./languages.ts";
import { plain } from "./plain.ts";
import { type AddressValues, astray, targetsOf } from "./targets.ts";
import { makeWorkspace, type Workspace } from "./workspace.ts";

/** What each program must be told, by example. */
const programs: Record<string, Record<string, string>> = {
  "dd-agent": { apiKey: "top-secret" },
  "dd-zipkin": { apiKey: "top-secret" },
  "apm-server": { elasticsearchUrl: "https://elasticsearch:9200", elasticsearchApiKey: "top-secret" },
  "zipkin-gcp": { gcpProject: "project", gcpCredentials: "top-secret" },
  "otel-collector": {},
  "several-addresses": { apiKey: "top-secret" },
  ipv6: {},
};
const names = Object.keys(programs);

let workspace: Workspace;
const runs = new Map<string, Run>();
beforeAll(async () => {
  workspace = await makeWorkspace();
  // Types are checked once, for all of them, by a test of its own.
  process.env.PULUMI_NODEJS_TRANSPILE_ONLY = "true";
  const waiting = [...names];
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      runs.set(name, await runProgram(workspace.file(name, "index.ts"), programs[name]));
    }
  };
  await Promise.all([worker(), worker()]);
});
afterAll(() => workspace?.remove());

function runOf(example: string): Run {
  const run = runs.get(example);
  if (!run) throw new Error(`${example} has not run`);
  return run;
}

async function chartOf(example: string) {
  const chart = runOf(example).registrations.find(({ type }) => type === "kubernetes:helm.sh/v4:Chart");
  return plain(chart?.inputs);
}

describe.each(names)("the program of %s, run by Pulumi's Node.js host", (example) => {
  it("previews without a complaint", () => {
    const { complaints, exitCode } = runOf(example);
    expect(complaints).toEqual([]);
    expect(exitCode).toBe(0);
  });

  it("leads every address to a target of its own, which says when it is ready", async () => {
    const { values } = await chartOf(example);
    const targets = await targetsOf(runOf(example));
    expect(values.addresses.flatMap((address: AddressValues) => astray(address, targets))).toEqual([]);
    expect(targets.every(({ ready }) => ready)).toBe(true);
  });

  it("gives the chart values that it takes", async () => {
    const { values, name, namespace } = await chartOf(example);
    const manifests = await render({ values, name, namespace });
    expect(only(manifests, "DaemonSet").metadata).toMatchObject({ name, namespace });
  });

  it("tells its applications what its README says", async () => {
    const told = await applications(runOf(example));
    const promised = await promisedEnvironments(example);
    expect(told.map(({ environment }) => environment.toSorted())).toEqual(
      promised.map((each) => each.toSorted()),
    );
  });

  it("starts its applications when the magic IP and all targets are there", async () => {
    const { registrations } = runOf(example);
    const before = registrations
      .filter(({ type }) => /:(DaemonSet|Chart)$/.test(type))
      .map(({ type, name }) => `urn:pulumi:test::magic-ip-address::${type}::${name}`);
    for (const { name, dependencies } of await applications(runOf(example))) {
      expect(dependencies, name).toEqual(expect.arrayContaining(before));
    }
  });

  it("has the endpoints and the environments as outputs", () => {
    const outputs = runOf(example).outputs.get(
      "urn:pulumi:test::magic-ip-address::pulumi:pulumi:Stack::magic-ip-address-test",
    );
    expect(Object.keys(outputs ?? {}).sort()).toEqual(["endpoints", "environments"]);
  });

  it("keeps secrets out of everything but Secrets", () => {
    const knowing = runOf(example).registrations.filter(({ inputs }) =>
      JSON.stringify(inputs).includes("top-secret"),
    );
    const expected = Object.values(programs[example] ?? {}).includes("top-secret")
      ? ["kubernetes:core/v1:Secret"]
      : [];
    expect(knowing.map(({ type }) => type)).toEqual(expected);
    // Pulumi's wire format: the signature of a secret (sdk/nodejs/runtime/rpc.ts).
    for (const { inputs } of knowing)
      expect(JSON.stringify(inputs)).toContain("1b47061264138c4ac30d75fd1eb44270");
  });

  it("knows every key that its Pulumi.yaml describes, and no other", async () => {
    const { template } = await readYaml(example, "Pulumi.yaml");
    const source = await readExample(example, "index.ts");
    const asked = [...source.matchAll(/config\.(?:get|require)(?:Secret)?\("(\w+)"\)/g)].map(
      ([, key]) => key,
    );
    expect(Object.keys(template.config).sort()).toEqual(asked.sort());
    expect(asked).toEqual(expect.arrayContaining(Object.keys(programs[example] ?? {})));
  });
});

describe("the programs in other languages", () => {
  let schema: Schema;
  beforeAll(async () => {
    const engine = await startEngine();
    const plugin = await servePlugin(workspace.built.directory, engine.address);
    schema = await plugin.schema();
    plugin.stop();
    engine.stop();
  });

  it.each([
    ["Python", async () => mentionsOfPython(await readExample("python", "__main__.py"))],
    ["Go", async () => mentionsOfGo(await readExample("go", "main.go"))],
    ["YAML", async () => mentionsOfYaml(await readYaml("yaml", "Pulumi.yaml"))],
  ])("in %s name what the package has", async (_, mentions) => {
    const { types, inputs, outputs } = await mentions();
    expect(types).toContain("MagicIpAddress");
    expect(inputs).toEqual(expect.arrayContaining(["ipAddress", "selector", "port", "protocol", "image"]));
    expect(outputs).toEqual(["endpoints", "environments"]);
    expect(unknownTo(schema, { types, inputs, outputs })).toEqual([]);
  });

  it.each(["python", "yaml", "go"])("in %s take the package from this repository", async (example) => {
    const { packages } = await readYaml(example, "Pulumi.yaml");
    const directory = resolve(examples, example, packages[schema.name]);
    expect(JSON.parse(await readFile(`${directory}/package.json`, "utf8")).name).toBe(schema.name);
  });
});

describe("the collectors' configurations", () => {
  it.each(["otel-collector", "several-addresses", "ipv6"])(
    "of %s take what podinfo sends, traces and logs",
    async (example) => {
      const { pipelines } = (await readYaml(example, "collector.yaml")).service;
      expect(pipelines.traces.receivers).toContain("otlp");
      expect(pipelines.logs?.receivers).toContain("otlp");
    },
  );

  it.each(["dd-zipkin", "otel-collector", "several-addresses", "ipv6"])(
    "of %s are whole",
    async (example) => {
      const { service, ...components } = await readYaml(example, "collector.yaml");
      const { pipelines, extensions } = service as {
        pipelines: Record<string, Record<string, string[]>>;
        extensions: string[];
      };
      const used = Object.values(pipelines).flatMap((pipeline) => Object.values(pipeline).flat());
      const declared = Object.values(components).flatMap((each) => Object.keys(each as object));
      expect([...new Set([...used, ...extensions])].sort()).toEqual(declared.sort());
    },
  );

  it.each(["dd-zipkin", "otel-collector", "several-addresses", "ipv6"])(
    "of %s listen where the pod's ports say",
    async (example) => {
      const { receivers } = await readYaml(example, "collector.yaml");
      const listening = [
        ...JSON.stringify(receivers).matchAll(/"endpoint":"(?:0\.0\.0\.0|\[::\]):(\d+)"/g),
      ].map(([, port]) => Number(port));
      const targets = await targetsOf(runOf(example));
      const ports = targets.filter(({ labels }) => labels.app !== "datadog").flatMap(({ ports }) => ports);
      expect(listening).toEqual(expect.arrayContaining(ports.map(({ containerPort }) => containerPort)));
    },
  );
});
