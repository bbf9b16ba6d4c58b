/** The part of a cluster that is needed to call from its pods; any cluster has it. */
export interface Kubectl {
  kubectl(args: string[], options?: { input?: string }): Promise<string>;
}

/** What one call came back with: who answered, or why nobody did. */
export interface Call {
  pod?: string;
  node?: string;
  uid?: string;
  client?: string;
  error?: string;
  at: number;
  milliseconds: number;
}

/** A pod to call from. */
export interface Caller {
  pod: string;
  node: string;
  ip: string;
}

export async function callers(cluster: Kubectl, namespace: string): Promise<Caller[]> {
  const columns = "custom-columns=POD:.metadata.name,NODE:.spec.nodeName,IP:.status.podIP";
  const rows = await cluster.kubectl([
    "get",
    "pods",
    "-n",
    namespace,
    "-l",
    "app=client",
    "--no-headers",
    "-o",
    columns,
  ]);
  const all = rows
    .split("\n")
    .filter(Boolean)
    .map((row) => row.split(/\s+/));
  return all
    .map(([pod = "", node = "", ip = ""]) => ({ pod, node, ip }))
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** Calls once from inside the pod, as an application there would. */
export async function callFrom(
  cluster: Kubectl,
  namespace: string,
  { pod }: Caller,
  transport: "tcp" | "udp",
  address: string,
  port: number,
): Promise<Call> {
  const command = ["node", "/programs/call.mjs", transport, address, String(port)];
  return JSON.parse(await cluster.kubectl(["exec", "-n", namespace, pod, "--", ...command])) as Call;
}
