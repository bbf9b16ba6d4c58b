import { bindingName, type Claim, type DesiredState, familyOf, type Frontend } from "../desired.ts";
import { isDefault, type Route, routesTo } from "../node.ts";
import { chainPrefix, ownerName, removal, ruleset, type SegmentLength } from "../ruleset/iptables.ts";
import { countKey, type Installation, nothing, parseListing } from "../ruleset/iptables-listing.ts";
import { families } from "../ruleset/objects.ts";
import type { Family } from "../target.ts";
import type { Backend, BindingCount } from "./backend.ts";
import { type Command, CommandError, command } from "./command.ts";
import { readRoutes } from "./node.ts";

/** Which of the kernel's two machines iptables feeds: nf_tables, or the older one of its own. */
export type Flavour = "nft" | "legacy";

/** Makes the flavour of the node sure, and says why. */
export interface FlavourChoice {
  flavour: Flavour;
  reason: string;
}

/** What a family's tables hold of ours, as far as we know. */
interface Held {
  /** The rules as text, as if there had been nothing before. */
  wanted: string;
  /** The rules as the kernel listed them right after they were written. */
  rules: string;
}

interface Written {
  state: DesiredState;
  held: Map<Family, Held>;
}

const tool = { ipv4: "iptables", ipv6: "ip6tables" } as const;

/** Seconds to wait for iptables-legacy's lock: less than a command may take, so that the tool can say what it waited for. */
const lockPatience = "4";

/** The rules as chains of our own in iptables' tables mangle, filter and nat, each family's in one restore. */
export class IptablesBackend implements Backend {
  readonly name: string;
  #written: Written | undefined;
  #writing = false;

  constructor(
    readonly flavour: Flavour,
    readonly run: Command = command,
  ) {
    this.name = `iptables-${flavour}`;
  }

  /** Always the whole of it, but nothing where the kernel holds it already. */
  async write(state: DesiredState): Promise<void> {
    this.#writing = true;
    await this.#write(state).finally(() => {
      this.#writing = false;
    });
  }

  async #write(state: DesiredState): Promise<void> {
    const before = this.#written;
    this.#written = undefined;
    const held = new Map<Family, Held>();
    for (const family of families) {
      const now = await this.#writeFamily(state, family, before);
      if (now !== undefined) held.set(family, now);
    }
    this.#written = { state, held };
  }

  /** A write that comes in between makes the answer worthless, and then it is no reason to write again. */
  async holds(): Promise<boolean> {
    if (this.#writing) return true;
    const written = this.#written;
    if (written === undefined) return false;
    for (const [family, { rules }] of written.held) {
      const now = await this.#installation(family, written.state.instance);
      if (this.#writing || this.#written !== written) return true;
      if (now.displaced || now.rules !== rules) {
        this.#written = undefined;
        return false;
      }
    }
    return true;
  }

  async claims(instance: string): Promise<Claim[]> {
    const others = (await this.#installations()).filter((other) => other.instance !== ownerName(instance));
    return others.flatMap(({ instance: other, frontends }) =>
      other === undefined ? [] : frontends.map((frontend) => ({ instance: other, ...frontend })),
    );
  }

  async counts(): Promise<BindingCount[]> {
    if (this.#written === undefined) return [];
    const { state, held } = this.#written;
    const listed = new Map<Family, Installation>();
    for (const family of held.keys()) listed.set(family, await this.#installation(family, state.instance));
    return state.bindings.map((binding) => {
      const name = bindingName(binding);
      const counts = listed.get(familyOf(binding.ipAddress))?.counts;
      const of = (role: string) => counts?.get(countKey(role, name)) ?? { packets: 0, bytes: 0 };
      return {
        binding: name,
        traffic: of("COUNT"),
        rejected: sum(of("REFUSE"), of("LIVE")),
        outside: of("GUARD"),
      };
    });
  }

  /** iptables has no place for it. */
  async writeTime(): Promise<undefined> {
    return undefined;
  }

  async instances(): Promise<string[]> {
    const names = (await this.#installations()).flatMap(({ instance }) => instance ?? []);
    return [...new Set(names)].toSorted();
  }

  async frontends(instance: string): Promise<Frontend[]> {
    const all: Frontend[] = [];
    for (const family of families) all.push(...(await this.#installation(family, instance)).frontends);
    return all;
  }

  async remove(instance: string): Promise<Frontend[] | undefined> {
    if (this.#written?.state.instance === instance) this.#written = undefined;
    const gone: Frontend[] = [];
    let found = false;
    for (const family of families) {
      const present = await this.#installation(family, instance);
      if (present.rules === "") continue;
      await this.#restore(family, removal(present));
      found = true;
      gone.push(...present.frontends);
    }
    return found ? gone : undefined;
  }

  /** What the family's tables hold afterwards; undefined when that is nothing. */
  async #writeFamily(
    state: DesiredState,
    family: Family,
    before: Written | undefined,
  ): Promise<Held | undefined> {
    const held = before?.held.get(family);
    const used = state.bindings.some(({ ipAddress }) => familyOf(ipAddress) === family);
    if (!used && before !== undefined && held === undefined) return undefined;
    const present = await this.#installation(family, state.instance);
    if (!used) {
      if (present.rules !== "") await this.#restore(family, removal(present));
      return undefined;
    }
    const segment = await this.#segments(state, family);
    const wanted = ruleset(state, family, segment);
    if (held?.wanted === wanted && held.rules === present.rules && !present.displaced) return held;
    await this.#restore(family, ruleset(state, family, segment, present));
    const { rules } = await this.#installation(family, state.instance);
    // A tool may say that it works and not do so, and somebody may have been faster than the look.
    if (count(rules, /^[^:]/gm) !== count(wanted, /^(\[\d+:\d+\] )?-[AI] /gm))
      throw new Error(`${tool[family]}-${this.flavour} lists other rules than were just written`);
    return { wanted, rules };
  }

  /** What the pods of a bridge have in common, where it matters. Read by a command, which sees the node's own network. */
  async #segments(state: DesiredState, family: Family): Promise<SegmentLength> {
    if (state.masquerade[family] !== "bridged") return () => undefined;
    const routes = await readRoutes((path) => this.run("cat", [path]).catch(() => undefined));
    return (podIp) => segmentLength(podIp, routes);
  }

  async #restore(family: Family, text: string): Promise<void> {
    const args = ["--noflush", "--counters", "-w", lockPatience];
    await this.run(`${tool[family]}-${this.flavour}-restore`, args, text);
  }

  async #installation(family: Family, instance: string): Promise<Installation> {
    return parseListing(await this.#save(family)).get(chainPrefix(instance)) ?? nothing;
  }

  async #installations(): Promise<Installation[]> {
    const found: Installation[] = [];
    for (const family of families) found.push(...parseListing(await this.#save(family)).values());
    return found;
  }

  /** All tables at once: to name one would make iptables-legacy load its module. */
  async #save(family: Family): Promise<string> {
    return await this.run(`${tool[family]}-${this.flavour}-save`, ["--counters"]);
  }
}

/** Kubernetes' own chains; KUBE-IPTABLES-HINT is kubelet's word for which flavour the node uses (KEP-3178). */
const kubernetesChains = /^:KUBE-/m;

/**
 * The flavour that the node's Kubernetes uses, so that all rules are in one order. iptables-legacy is not asked unless
 * it is in use, for the question would load its kernel modules.
 */
export async function detectFlavour(run: Command = command): Promise<FlavourChoice> {
  try {
    if (await hasKubernetes(run, "nft"))
      return { flavour: "nft", reason: "Kubernetes' chains are in iptables-nft" };
  } catch (error) {
    if (!(error instanceof CommandError) || /permission denied|not permitted/i.test(error.stderr))
      throw error;
    return { flavour: "legacy", reason: `iptables-nft does not work on this node: ${error.message}` };
  }
  const legacyTables = await run("cat", ["/proc/net/ip_tables_names"]).catch(() => "");
  if (legacyTables !== "" && (await hasKubernetes(run, "legacy")))
    return { flavour: "legacy", reason: "Kubernetes' chains are in iptables-legacy" };
  return {
    flavour: "nft",
    reason: "the kernel has nf_tables, and Kubernetes has no chains in iptables-legacy",
  };
}

async function hasKubernetes(run: Command, flavour: Flavour): Promise<boolean> {
  for (const family of families) {
    if (kubernetesChains.test(await run(`${tool[family]}-${flavour}-save`, []))) return true;
  }
  return false;
}

function count(text: string, line: RegExp): number {
  return text.match(line)?.length ?? 0;
}

function sum(a: BindingCount["traffic"], b: BindingCount["traffic"]): BindingCount["traffic"] {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes };
}

/**
 * A pod on a bridge is reached by the route of the bridge's network; one with a veth of its own (Calico, the AWS VPC CNI)
 * by a route of its own, and it has no neighbours.
 */
function segmentLength(podIp: string, routes: Route[]): number | undefined {
  const [route] = routesTo(podIp, routes);
  const alone = familyOf(podIp) === "ipv4" ? 32 : 128;
  if (route === undefined || route.kind !== "unicast" || isDefault(route) || route.bits === alone)
    return undefined;
  return route.bits;
}
