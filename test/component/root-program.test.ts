import { readFile } from "node:fs/promises";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type Run, runProgram } from "./host.ts";

const root = new URL("../../", import.meta.url);
const project = parse(await readFile(new URL("Pulumi.yaml", root), "utf8"));
const program = new URL(project.main, root);

/** Values of the chart that a program installed. */
async function chartValues({ registrations }: Run) {
  const chart = registrations.find(({ type }) => type === "kubernetes:helm.sh/v4:Chart");
  // Pulumi's wire format wraps what was an Output in the program (sdk/nodejs/runtime/rpc.ts).
  return pulumi.runtime.deserializeProperty(chart?.inputs.values).promise();
}

describe("the program that Pulumi.yaml at the root names, run by Pulumi's Node.js host", () => {
  it("installs a magic IP without any configuration", async () => {
    const run = await runProgram(program);
    expect(run.complaints).toEqual([]);
    expect(run.exitCode).toBe(0);
    expect(await chartValues(run)).toEqual({
      fullnameOverride: "magic-ip",
      addresses: [{ ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] }],
    });
    expect(run.registrations.map(({ type, name }) => `${type} ${name}`)).toEqual([
      "pulumi:pulumi:Stack magic-ip-address-test",
      "magic-ip-address:index:MagicIpAddress magic-ip",
      "kubernetes:helm.sh/v4:Chart magic-ip",
    ]);
    const outputs = {
      ipAddress: "169.254.210.210",
      endpoint: "169.254.210.210:8126",
      namespace: "kube-system",
      daemonSetName: "magic-ip",
    };
    const [ofStack, ofComponent] = [...run.outputs.values()];
    expect(ofStack).toMatchObject(outputs);
    expect(ofComponent).toMatchObject(outputs);
  });

  it("says in a debug line that an engine does not tell what the stack had before, and goes on", async () => {
    const { logs, exitCode } = await runProgram(program);
    expect(exitCode).toBe(0);
    expect(logs.filter(({ message }) => /^The stack's state/.test(message))).toEqual([
      {
        severity: 0,
        message: expect.stringContaining(
          "The stack's state cannot be read, so it is not known whether an installation is renamed: ",
        ),
      },
    ]);
  });

  it("does what the configuration says", async () => {
    const run = await runProgram(program, {
      ipAddress: "10.1.2.3",
      selector: "app=echo",
      namespace: "demo",
      ports: '[{"port":80,"targetPortName":"http"},{"port":53,"protocol":"UDP"}]',
      image: "agent:1",
      imagePullPolicy: "Never",
    });
    expect(await chartValues(run)).toMatchObject({
      addresses: [
        {
          ipAddress: "10.1.2.3",
          selector: "app=echo",
          namespace: "demo",
          ports: [
            { port: 80, targetPort: "http" },
            { port: 53, protocol: "UDP" },
          ],
        },
      ],
      image: { repository: "agent", tag: "1", pullPolicy: "Never" },
    });
  });

  it("knows every key that Pulumi.yaml describes, and takes an empty one for none", async () => {
    const keys = Object.keys(project.template.config);
    expect(keys.sort()).toEqual(["image", "imagePullPolicy", "ipAddress", "namespace", "ports", "selector"]);
    const run = await runProgram(program, Object.fromEntries(keys.map((key) => [key, " "])));
    expect(run.complaints).toEqual([]);
  });

  it.each(["8126", "[{port:8126}]"])("says how to set ports that are %s", async (ports) => {
    const { complaints, exitCode } = await runProgram(program, { ports });
    expect(exitCode).not.toBe(0);
    expect(complaints).toEqual([
      `the configuration magic-ip-address:ports is not a JSON list of ports: ${ports}\n` +
        `  set it with: pulumi config set ports '[{"port":8126},{"port":8125,"protocol":"UDP"}]'`,
    ]);
  });

  it("prints every fault of the configuration at once, without a stack trace, and installs nothing", async () => {
    const config = { ipAddress: "127.0.0.1", ports: '[{"port":"8126"}]', imagePullPolicy: "always" };
    const { complaints, exitCode, registrations } = await runProgram(program, config);
    expect(complaints).toEqual([
      [
        'MagicIpAddress "magic-ip" cannot be installed, 3 arguments are wrong:',
        "  ipAddress: 127.0.0.1 is reserved for loopback: every pod has its own: choose another, as 169.254.210.210",
        '  ports[0].port: "8126" is not a number: write 8126',
        '  agent.imagePullPolicy: "always" is no pull policy: write Always, IfNotPresent or Never',
      ].join("\n"),
    ]);
    expect(exitCode).not.toBe(0);
    expect(registrations.map(({ type }) => type)).toEqual(["pulumi:pulumi:Stack"]);
  });
});

describe("a program whose wrong values come out of Outputs", () => {
  it("is told just the same, and installs no chart", async () => {
    const file = new URL("./programs/wrong-outputs.ts", import.meta.url);
    const { complaints, exitCode, registrations } = await runProgram(file);
    expect(complaints).toEqual([
      [
        'MagicIpAddress "dd-agent" cannot be installed, 3 arguments are wrong:',
        "  ipAddress: 169.254.169.254 is reserved for the cloud's instance metadata service: choose another, as 169.254.210.210",
        "  ports[0].port: 0 is not a port: write a whole number from 1 to 65535",
        '  agent.image: "Agent" is no image: write repository[:tag][@sha256:digest], as magic-ip-address-agent:0.1.0',
      ].join("\n"),
    ]);
    expect(exitCode).not.toBe(0);
    expect(registrations.map(({ type }) => type)).not.toContain("kubernetes:helm.sh/v4:Chart");
  });
});
