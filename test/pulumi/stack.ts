import { mkdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { EngineEvent } from "@pulumi/pulumi/automation/events.js";
import type { PulumiFn, Stack as PulumiStack } from "@pulumi/pulumi/automation/index.js";
import * as automation from "@pulumi/pulumi/automation/index.js";
import { helmPath, kubectlPath } from "../support/tools.ts";
import { pulumiCli } from "./engine.ts";
import { OperationFailed, type Outcome, outcomeOf } from "./outcome.ts";
import { type KubernetesPlugin, kubernetesPlugin, placePlugin } from "./plugin.ts";

const PROJECT = "magic-ip-address";

/** What to deploy, where to, and where to keep the state. */
export interface StackRequest {
  /** The program; this Node.js process is its language host. Its result becomes the stack's outputs. */
  program: PulumiFn;
  kubeconfig: string;
  stackName: string;
  /** Pulumi's home, the state file and the engine's tools. The same directory finds the same stack again. */
  stateDirectory: string;
  /** Stack configuration; a key without a colon belongs to the project. */
  config?: Record<string, string>;
  projectName?: string;
  /** Default: whichever kubernetesPlugin finds. */
  plugin?: KubernetesPlugin;
  /** Receives what the engine prints, piece by piece. */
  log?: (text: string) => void;
}

/** A stack of the real engine. Each operation throws OperationFailed when the engine gives up. */
export interface Stack {
  readonly plugin: KubernetesPlugin;
  preview(): Promise<Outcome>;
  up(): Promise<Outcome>;
  refresh(): Promise<Outcome>;
  destroy(): Promise<Outcome>;
  outputs(): Promise<Record<string, unknown>>;
  /** The URNs of everything that the state holds, the stack itself and its providers included. */
  resources(): Promise<string[]>;
  /** The same with all that the state says of them. */
  state(): Promise<StateResource[]>;
}

/** A resource of the state, as Pulumi exports it. */
export interface StateResource {
  urn: string;
  type: string;
  protect?: boolean;
  /** In seconds. */
  customTimeouts?: { create?: number; update?: number; delete?: number };
  /** The provider's URN and id. */
  provider?: string;
  inputs?: Record<string, unknown>;
}

/** Opens the stack, new or old, on the engine of engine.ts with the Kubernetes provider of plugin.ts. */
export async function openStack(request: StackRequest): Promise<Stack> {
  const plugin = request.plugin ?? (await kubernetesPlugin());
  await layOut(request.stateDirectory, plugin);
  const stack = await select(request);
  await configure(stack, request);
  const { log } = request;
  return {
    plugin,
    preview: () => observed("preview", (onEvent) => stack.preview({ onEvent, onOutput: log })),
    up: () => observed("up", (onEvent) => stack.up({ onEvent, onOutput: log })),
    refresh: () => observed("refresh", (onEvent) => stack.refresh({ onEvent, onOutput: log })),
    destroy: () => observed("destroy", (onEvent) => stack.destroy({ onEvent, onOutput: log })),
    outputs: async () =>
      Object.fromEntries(Object.entries(await stack.outputs()).map(([name, { value }]) => [name, value])),
    resources: async () => (await stateOf(stack)).map(({ urn }) => urn),
    state: () => stateOf(stack),
  };
}

/** `bin/` becomes the first directory on the engine's PATH. */
async function layOut(stateDirectory: string, plugin: KubernetesPlugin) {
  const bin = join(stateDirectory, "bin");
  for (const directory of ["bin", "home", "project", "state"]) {
    await mkdir(join(stateDirectory, directory), { recursive: true });
  }
  const tools = { pulumi: await pulumiCli(), kubectl: await kubectlPath(), helm: await helmPath() };
  for (const [name, executable] of Object.entries(tools)) {
    await rm(join(bin, name), { force: true });
    await symlink(executable, join(bin, name));
  }
  await placePlugin(plugin, bin);
}

async function select(request: StackRequest): Promise<PulumiStack> {
  const { program, stateDirectory, stackName, projectName = PROJECT } = request;
  return automation.LocalWorkspace.createOrSelectStack(
    { projectName, stackName, program },
    {
      workDir: join(stateDirectory, "project"),
      pulumiHome: join(stateDirectory, "home"),
      pulumiCommand: await automation.PulumiCommand.get({ root: stateDirectory }),
      envVars: {
        KUBECONFIG: request.kubeconfig,
        PULUMI_BACKEND_URL: pathToFileURL(join(stateDirectory, "state")).href,
        PULUMI_CONFIG_PASSPHRASE: "not a secret",
        PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
        PULUMI_SKIP_UPDATE_CHECK: "true",
      },
    },
  );
}

/** Sets the configuration that is asked for and removes what an earlier run left. */
async function configure(stack: PulumiStack, { config = {}, projectName = PROJECT }: StackRequest) {
  const wanted = Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key.includes(":") ? key : `${projectName}:${key}`,
      { value },
    ]),
  );
  const stale = Object.keys(await stack.getAllConfig()).filter((key) => !(key in wanted));
  if (stale.length > 0) await stack.removeAllConfig(stale);
  if (Object.keys(wanted).length > 0) await stack.setAllConfig(wanted);
}

async function observed(
  operation: string,
  run: (onEvent: (event: EngineEvent) => void) => Promise<unknown>,
): Promise<Outcome> {
  const events: EngineEvent[] = [];
  const start = performance.now();
  const outcome = () => outcomeOf(events, (performance.now() - start) / 1000);
  try {
    await run((event) => events.push(event));
  } catch (error) {
    throw new OperationFailed(operation, outcome(), error);
  }
  return outcome();
}

async function stateOf(stack: PulumiStack): Promise<StateResource[]> {
  const { deployment } = (await stack.exportStack()) as { deployment?: { resources?: StateResource[] } };
  return deployment?.resources ?? [];
}
