import { type Config, parseConfig } from "../../agent/config/config.ts";
import { desired } from "../../agent/desired/desired.ts";
import type { Backend } from "../../agent/kernel.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { address, pod } from "../agent/state.ts";
import { type BackendName, makeBackend } from "./backends.ts";
import { type Switches, TestNode } from "./node.ts";

export const families = ["IPv4", "IPv6"] as const;
export type FamilyName = (typeof families)[number];

/** The families that a backend is tried with where matrix.test.ts has every cell: legacy's rules are those of iptables-nft. */
export const familiesOf = (backend: BackendName): readonly FamilyName[] =>
  backend === "iptables-legacy" ? ["IPv4"] : families;

/** The magic IP of both families. */
export const magicIps: Record<FamilyName, string> = { IPv4: "169.254.210.210", IPv6: "fd00:210::210" };

/** Everybody on a node who may call. */
export const clients = ["bridge-client", "routed-client", "node"] as const;

/** A configuration with one address of both families, unless `top` has other ones. */
export function dualStack(changes: Record<string, unknown> = {}, top: Record<string, unknown> = {}): Config {
  const addresses = [address({ ipv6Address: magicIps.IPv6, ...changes })];
  return parseConfig(JSON.stringify({ instance: "test.echo", addresses, ...top }), "a test");
}

/**
 * A node with clients on a bridge and on a routed veth, and with pods that serve: `old` and `young`, which is newer, on
 * the bridge, and `routed`, the oldest, on a routed veth.
 */
export class Scene {
  backend: Backend;

  private constructor(
    readonly node: TestNode,
    readonly old: Pod,
    readonly young: Pod,
    readonly routed: Pod,
  ) {
    this.backend = makeBackend("nftables", node.command, node.tables);
  }

  static async create(ports = [8080], switches: Partial<Switches> = {}): Promise<Scene> {
    const node = await TestNode.create(switches);
    await node.addPod("bridge-client", "bridge");
    await node.addPod("routed-client", "routed");
    const old = pod("old", { ips: await node.addPod("old", "bridge") });
    const young = pod("young", {
      ips: await node.addPod("young", "bridge"),
      created: "2026-11-02T00:00:00Z",
    });
    const routed = pod("routed", {
      ips: await node.addPod("routed", "routed"),
      created: "2026-10-01T00:00:00Z",
    });
    await Promise.all(["old", "young", "routed"].map((name) => node.serve(name, ports)));
    return new Scene(node, old, young, routed);
  }

  /** An empty kernel, and an agent that has just started. */
  async start(backendName: BackendName): Promise<void> {
    await this.node.clear();
    this.restart(backendName);
  }

  /** An agent that has just started; what the last one wrote is still there. */
  restart(backendName: BackendName): void {
    this.backend = makeBackend(backendName, this.node.command, this.node.tables);
  }

  /** Brings the node's kernel to what the agent would make of these pods. */
  async sync(pods: Pod[], config: Config = dualStack(), backend = this.backend): Promise<void> {
    await backend.write(desired(config, this.node.facts, pods));
  }

  async remove(): Promise<void> {
    await this.node.remove();
  }
}

/** The address of a pod, or of anything else that has one of each family. */
export function ipOf(ips: string[], family: FamilyName): string {
  return ips[families.indexOf(family)] ?? "";
}
