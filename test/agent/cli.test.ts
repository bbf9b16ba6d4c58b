import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCli } from "../../agent/commands/program.ts";
import manifest from "../../package.json" with { type: "json" };

const fixtures = new URL("../fixtures/", import.meta.url).pathname;
const planArguments = ["plan", "--config", `${fixtures}two-addresses.yaml`, "--pods", `${fixtures}pods.yaml`];

async function call(argv: string[], env: NodeJS.ProcessEnv = {}) {
  let out = "";
  let err = "";
  const terminal = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
  };
  return { code: await runCli(argv, env, terminal), out, err };
}

function file(name: string, text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "magic-ip-")), name);
  writeFileSync(path, text);
  return path;
}

describe("plan", () => {
  it("prints the ruleset on standard output and what is wrong on standard error", async () => {
    const { code, out, err } = await call(planArguments);
    expect(code).toBe(0);
    expect(out).toContain("169.254.210.210 . udp . 8125 : 10.244.1.7 . 8125");
    expect(out.startsWith("table inet magic-ip-monitoring.telemetry\n")).toBe(true);
    expect(err).toBe(
      "169.254.210.211:80/tcp has no target on this node: tracing/zipkin-5c9d8-qp2vz is not ready\n",
    );
  });

  it("reads one address from the environment", async () => {
    const env = { MAGIC_IP: "169.254.0.7", SELECTOR: "app=dd-agent", NAMESPACE: "monitoring", PORT: "8126" };
    await expect(call(["plan", "--pods", `${fixtures}pods.yaml`], env)).resolves.toMatchObject({ code: 2 });
    const { code, out } = await call(["plan", "--pods", `${fixtures}pods.yaml`], {
      ...env,
      MAGIC_IP: "169.254.207.7",
    });
    expect(code).toBe(0);
    expect(out).toContain("169.254.207.7 . tcp . 8126 : 10.244.1.7 . 8126");
  });

  it("asks which node when the pods are on several", async () => {
    const pods = file(
      "pods.json",
      JSON.stringify({ items: [{ spec: { nodeName: "a" } }, { spec: { nodeName: "b" } }] }),
    );
    const { code, err } = await call(["plan", "--config", `${fixtures}two-addresses.yaml`, "--pods", pods]);
    expect(code).toBe(2);
    expect(err).toContain("--node (a, b)");
  });

  it("says of a file that is no list of pods what it is", async () => {
    const pods = file("pods.yaml", "kind: ConfigMap");
    const { code, err } = await call(["plan", "--config", `${fixtures}two-addresses.yaml`, "--pods", pods]);
    expect(code).toBe(1);
    expect(err).toContain("holds ConfigMap where pods are expected");
  });
});

describe("every command", () => {
  it("is named by --help, with the exit codes and the environment", async () => {
    const { code, out } = await call(["--help"]);
    expect(code).toBe(0);
    for (const word of [
      "run",
      "once",
      "plan",
      "doctor",
      "call",
      "cleanup",
      "MAGIC_IP",
      "METRICS_PORT",
      "Exit codes",
    ])
      expect(out).toContain(word);
  });

  it("has the package's version", async () => {
    expect(await call(["--version"])).toMatchObject({ code: 0, out: `${manifest.version}\n` });
  });

  it.each([
    [["plam"], "unknown command"],
    [["plan"], "--pods"],
    [["run", "--confg", "x"], "unknown option"],
    [["run", "--config", "/nowhere.yaml"], "/nowhere.yaml cannot be read: there is no such file"],
    [["once"], "MAGIC_IP: is missing"],
    [["cleanup"], "say which installation"],
    [["cleanup", "--instance", "a b"], 'letters, digits, "." and "-" only'],
  ])("%j ends with 2 and says %s", async (argv, message) => {
    const { code, err } = await call(argv);
    expect(err).toContain(message);
    expect(code).toBe(2);
  });
});
