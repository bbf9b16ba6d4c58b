import { execa } from "execa";
import type { KubernetesObject } from "./object.ts";

/** What a workload's pods and events say about why it is not ready, one line each. */
export async function whyNotReady(workload: KubernetesObject): Promise<string[]> {
  const { namespace = "default", name } = workload.metadata;
  const [pods, events] = await Promise.all([
    list<Pod>(["pods", `--namespace=${namespace}`, `--selector=${selectorOf(workload)}`]),
    list<Event>([
      "events",
      `--namespace=${namespace}`,
      `--field-selector=involvedObject.name=${name},type=Warning`,
    ]),
  ]);
  return [...pods.flatMap(podReasons), ...events.map(({ reason, message }) => `  ${reason}: ${message}`)];
}

interface Pod {
  metadata: { name: string };
  spec: { nodeName?: string };
  status: {
    phase: string;
    conditions?: { type: string; status: string; message?: string }[];
    containerStatuses?: ContainerStatus[];
  };
}

interface ContainerStatus {
  name: string;
  ready: boolean;
  state: State;
  lastState?: State;
}

interface State {
  waiting?: { reason?: string; message?: string };
  terminated?: { reason?: string; exitCode: number; message?: string };
}

interface Event {
  reason: string;
  message: string;
}

function selectorOf(workload: KubernetesObject): string {
  const { selector } = workload.spec as { selector: { matchLabels?: Record<string, string> } };
  return Object.entries(selector.matchLabels ?? {})
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
}

async function list<Item>(what: string[]): Promise<Item[]> {
  const { stdout } = await execa("kubectl", ["get", ...what, "--output=json"], {
    reject: false,
    stdin: "ignore",
  });
  return stdout ? (JSON.parse(stdout) as { items: Item[] }).items : [];
}

function podReasons({ metadata, spec, status }: Pod): string[] {
  const pod = `  pod ${metadata.name} on ${spec.nodeName ?? "no node"}`;
  const containers = (status.containerStatuses ?? []).filter(({ ready }) => !ready);
  if (containers.length > 0) return containers.map((container) => `${pod}: ${containerReason(container)}`);
  return (status.conditions ?? [])
    .filter((condition) => condition.status !== "True" && condition.message)
    .map(({ message }) => `${pod}: ${status.phase}: ${message}`);
}

function containerReason({ name, state, lastState }: ContainerStatus): string {
  const ended = state.terminated ?? lastState?.terminated;
  const now = state.waiting ?? state.terminated;
  const states = [
    `${name}: ${now?.reason ?? "running, not ready"}`,
    ended ? `exit code ${ended.exitCode}` : undefined,
    ended?.message?.trim() || state.waiting?.message,
  ];
  return states.filter((text) => text !== undefined).join(", ");
}
