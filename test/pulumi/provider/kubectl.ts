import { execa } from "execa";
import { type KubernetesObject, titleOf } from "./object.ts";
import { whyNotReady } from "./reasons.ts";

/** Applies the object on the server and returns it as the server keeps it. */
export async function apply(object: KubernetesObject): Promise<KubernetesObject> {
  const options = [
    "--server-side",
    "--force-conflicts",
    "--field-manager=pulumi",
    "--output=json",
    "--filename=-",
  ];
  return JSON.parse(await kubectl("apply", object, options)) as KubernetesObject;
}

/** The object as the server keeps it, or undefined when it is gone. */
export async function read(object: KubernetesObject): Promise<KubernetesObject | undefined> {
  const live = await kubectl("get", object, [...place(object), "--output=json", "--ignore-not-found"]);
  return live === "" ? undefined : (JSON.parse(live) as KubernetesObject);
}

/** Deletes the object and returns when it and everything it owns is gone. */
export async function remove(object: KubernetesObject): Promise<void> {
  await kubectl("delete", object, [
    ...place(object),
    "--cascade=foreground",
    "--wait=true",
    "--ignore-not-found",
  ]);
}

/** Waits for a workload's rollout; the error says what its pods say. Anything else counts as ready at once. */
export async function awaitReady(object: KubernetesObject): Promise<void> {
  const { annotations, name, namespace } = object.metadata;
  if (!ROLLED_OUT.has(object.kind) || annotations?.["pulumi.com/skipAwait"] === "true") return;
  const seconds = annotations?.["pulumi.com/timeoutSeconds"] ?? String(DEFAULT_SECONDS);
  const workload = `${object.kind.toLowerCase()}/${name}`;
  const where = namespace ? [`--namespace=${namespace}`] : [];
  const rollout = await execa("kubectl", ["rollout", "status", workload, `--timeout=${seconds}s`, ...where], {
    reject: false,
    stdin: "ignore",
  });
  if (rollout.failed) {
    const said = (rollout.stderr || rollout.shortMessage || "").trim();
    throw new Error([`${titleOf(object)} is not ready: ${said}`, ...(await whyNotReady(object))].join("\n"));
  }
}

// What the real provider waits, too, unless the annotation says otherwise.
const DEFAULT_SECONDS = 600;
const ROLLED_OUT = new Set(["DaemonSet", "Deployment", "StatefulSet"]);

/** `DaemonSet.v1.apps agent --namespace=magic`: names one kind of one version, where plain names could be ambiguous. */
function place({ apiVersion, kind, metadata }: KubernetesObject): string[] {
  const [version, group = ""] = apiVersion.split("/").reverse();
  const namespace = metadata.namespace ? [`--namespace=${metadata.namespace}`] : [];
  return [`${kind}.${version}.${group}`, metadata.name, ...namespace];
}

async function kubectl(verb: string, object: KubernetesObject, options: string[]): Promise<string> {
  // Only apply reads it; the others must not wait for somebody to type a user name.
  const input = verb === "apply" ? JSON.stringify(object) : "";
  const result = await execa("kubectl", [verb, ...options], { input, reject: false });
  if (!result.failed) return result.stdout.trim();
  throw new Error(
    `kubectl ${verb} ${titleOf(object)}: ${(result.stderr || result.shortMessage || "").trim()}`,
  );
}
