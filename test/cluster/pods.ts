import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { netnsPath } from "./machine.ts";
import { nodeRun } from "./node.ts";
import type { NodePlan } from "./plan.ts";
import type { State } from "./state.ts";

const BUNDLES = "containerd/io.containerd.runtime.v2.task/k8s.io";

/** The part of a container's OCI configuration that says which pod it belongs to. */
interface Bundle {
  annotations?: Record<string, string>;
  linux: { namespaces: { type: string; path?: string }[] };
}

/**
 * The file by which a pod's network namespace is entered from the host. It comes from the OCI bundle of the pod's sandbox:
 * neither kubelet nor API server nor containerd is asked, so it holds while they are down, and costs a millisecond.
 */
export function podNetnsPath(state: State, node: NodePlan, namespace: string, pod: string): string {
  const sandbox = newestFirst(join(nodeRun(state, node), BUNDLES))
    .map(readBundle)
    .find((bundle) => isSandboxOf(bundle, namespace, pod));
  if (!sandbox) throw new Error(`no pod ${namespace}/${pod} runs on ${node.name}`);
  const path = sandbox.linux.namespaces.find(({ type }) => type === "network")?.path;
  // A pod with hostNetwork has no network namespace of its own; the others' are mounted in the node's /run only.
  return path ? join(rootOf(state, node), path.replace(/^\/var\/run\//, "/run/")) : netnsPath(node.netns);
}

/** A pod that was made anew under its old name may still have its old sandbox beside the new one. */
function newestFirst(directory: string): string[] {
  try {
    const bundles = readdirSync(directory).map((id) => join(directory, id));
    const made = new Map(bundles.map((bundle) => [bundle, statSync(bundle).ctimeMs]));
    return bundles.sort((one, other) => (made.get(other) ?? 0) - (made.get(one) ?? 0));
  } catch {
    return []; // No container was ever made, or one vanished while its directory was read.
  }
}

function readBundle(bundle: string): Bundle | undefined {
  try {
    return JSON.parse(readFileSync(join(bundle, "config.json"), "utf8")) as Bundle;
  } catch {
    return undefined; // Not written yet, or already gone.
  }
}

function isSandboxOf(bundle: Bundle | undefined, namespace: string, pod: string): bundle is Bundle {
  const is = (key: string, value: string) => bundle?.annotations?.[`io.kubernetes.cri.${key}`] === value;
  return is("container-type", "sandbox") && is("sandbox-namespace", namespace) && is("sandbox-name", pod);
}

/** The node's file system as the host can reach it, with what is mounted in the node only. */
function rootOf(state: State, node: NodePlan): string {
  const init = state.machines[node.name];
  if (!init) throw new Error(`${node.name} does not run`);
  return `/proc/${init.pid}/root`;
}
