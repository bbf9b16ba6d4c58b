import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { execa } from "execa";
import { pulumiCli } from "../pulumi/engine.ts";
import { placePlugin } from "../pulumi/plugin.ts";
import { helmPath, kubectlPath } from "../support/tools.ts";
import { type Language, placeHosts, pythonExecutor } from "./hosts.ts";

/** Pulumi's CLI in a home of its own, with language hosts and the stand-in for the provider of Kubernetes. */
export interface Cli {
  directory: string;
  /** Runs `pulumi …`; rejects with what it printed. Returns its standard output. */
  pulumi(directory: string, ...args: string[]): Promise<string>;
  remove(): Promise<void>;
}

/** The kinds of resources that a preview would make, each once, and what the stack would put out. */
export interface Preview {
  types: string[];
  outputs: Record<string, unknown>;
}

const rights = ["Role", "RoleBinding"].map((kind) => `kubernetes:rbac.authorization.k8s.io/v1:${kind}`);

/** The examples in other languages do the same: one address for a Datadog agent's two ports. */
export const whatExamplesDo: Preview = {
  types: [
    ...rights,
    "kubernetes:core/v1:ServiceAccount",
    "kubernetes:apps/v1:DaemonSet",
    "kubernetes:core/v1:ConfigMap",
    "kubernetes:helm.sh/v4:Chart",
    "magic-ip-address:index:MagicIpAddress",
    "pulumi:providers:kubernetes",
    "pulumi:providers:magic-ip-address",
    "pulumi:pulumi:Stack",
  ].sort(),
  outputs: {
    endpoints: {
      apm: "169.254.210.210:8126",
      dogstatsd: "169.254.210.210:8125",
      "169.254.210.210:8126": "169.254.210.210:8126",
      "169.254.210.210:8125": "169.254.210.210:8125",
    },
    environment: {
      DD_AGENT_HOST: "169.254.210.210",
      DD_DOGSTATSD_PORT: "8125",
      DD_TRACE_AGENT_PORT: "8126",
      DD_TRACE_AGENT_URL: "http://169.254.210.210:8126",
    },
  },
};

/** As much of the engine's events as is looked at. */
interface Event {
  resourcePreEvent?: { metadata: { type: string } };
  resOutputsEvent?: { metadata: { type: string; new: { outputs?: Record<string, unknown> } } };
}

export async function openCli(): Promise<Cli> {
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-languages-"));
  const bin = join(directory, "bin");
  await placeHosts(bin);
  await placePlugin({ kind: "stand-in" }, bin);
  const tools = { pulumi: await pulumiCli(), kubectl: await kubectlPath(), helm: await helmPath() };
  for (const [name, executable] of Object.entries(tools)) await symlink(executable, join(bin, name));
  await symlink(process.execPath, join(bin, "node"));
  await mkdir(join(directory, "state"));
  await writeFile(join(directory, "kubeconfig"), JSON.stringify(nowhere));
  const env = {
    ...{ KUBECONFIG: join(directory, "kubeconfig"), PATH: [bin, process.env.PATH].join(delimiter) },
    PULUMI_HOME: join(directory, "home"),
    PULUMI_BACKEND_URL: pathToFileURL(join(directory, "state")).href,
    PULUMI_CONFIG_PASSPHRASE: "not a secret",
    // For --event-log.
    PULUMI_DEBUG_COMMANDS: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    LANGUAGE_HOST_PYTHON_EXEC: await pythonExecutor(),
  };
  return {
    directory,
    pulumi: async (cwd, ...args) =>
      (await execa("pulumi", [...args, "--non-interactive"], { cwd, env: { ...env, ...programs(cwd) } }))
        .stdout,
    remove: () => rm(directory, { recursive: true, force: true, maxRetries: 5 }),
  };
}

/** A copy of the example that names the package at the path; without one, none: `addPackage` will. */
export async function copyExample(cli: Cli, language: Language, packagePath?: string): Promise<string> {
  const directory = join(cli.directory, language);
  const example = fileURLToPath(new URL(`../../examples/${language}`, import.meta.url));
  await cp(example, directory, { recursive: true });
  const project = join(directory, "Pulumi.yaml");
  const text = await readFile(project, "utf8");
  const [entry = ""] = /^packages:\n {2}magic-ip-address: .*\n/m.exec(text) ?? [];
  if (!entry) throw new Error(`examples/${language}/Pulumi.yaml names no package magic-ip-address`);
  const wanted = packagePath ? `packages:\n  magic-ip-address: ${packagePath}\n` : "";
  await writeFile(project, text.replace(entry, wanted));
  return directory;
}

/** `pulumi package add`: asks the package for its schema, generates the SDK and notes the package in Pulumi.yaml. */
export async function addPackage(cli: Cli, directory: string, packagePath: string): Promise<void> {
  await cli.pulumi(directory, "package", "add", packagePath);
}

/** `pulumi preview` of the program in the directory. */
export async function preview(cli: Cli, directory: string): Promise<Preview> {
  const log = join(directory, "events.json");
  await cli.pulumi(directory, "stack", "init", "test");
  await cli.pulumi(directory, "preview", "--event-log", log);
  const lines = (await readFile(log, "utf8")).trim().split("\n");
  const events = lines.map((line) => JSON.parse(line) as Event);
  const all = events.flatMap(({ resourcePreEvent }) => resourcePreEvent?.metadata.type ?? []);
  // The engine's own, of which the component asks for the stack's state: some hosts of languages show it.
  const types = all.filter((type) => type !== "pulumi:providers:pulumi");
  const made = events.flatMap(({ resOutputsEvent }) => resOutputsEvent?.metadata ?? []);
  const stack = made.findLast(({ type }) => type === "pulumi:pulumi:Stack");
  return { types: [...new Set(types)].sort(), outputs: stack?.new.outputs ?? {} };
}

/** Where programs find the generated package: a user's would be installed into the program's own environment. */
function programs(cwd: string) {
  return { PYTHONPATH: join(cwd, "packages"), GOFLAGS: "-mod=mod" };
}

const nowhere = {
  apiVersion: "v1",
  kind: "Config",
  clusters: [{ name: "nowhere", cluster: { server: "https://127.0.0.1:1" } }],
  users: [{ name: "nobody", user: { token: "none" } }],
  contexts: [{ name: "nowhere", context: { cluster: "nowhere", user: "nobody" } }],
  "current-context": "nowhere",
};
