import type { Namespaces } from "./namespaces.ts";

/**
 * Notes in a pod's own kernel who sent it something new, whether a program of it answered or not: a packet that reached
 * the wrong pod is seen even if its answer got lost, and so is a ping, which a kernel answers without a name.
 */
export const sightingsTable = `
table inet sightings
delete table inet sightings
table inet sightings {
	set from4 { type ipv4_addr . inet_proto; flags dynamic; }
	set from6 { type ipv6_addr . inet_proto; flags dynamic; }
	chain input {
		type filter hook input priority 0;
		tcp flags & (syn | ack) == syn jump note
		udp dport < 32768 jump note
		icmp type echo-request jump note
		icmpv6 type echo-request jump note
	}
	chain note {
		add @from4 { ip saddr . meta l4proto }
		add @from6 { ip6 saddr . meta l4proto }
	}
}
`;

/** What a pod saw of somebody: `10.9.0.2 tcp`. */
export type Sighting = string;

export async function watchSightings(namespaces: Namespaces, name: string): Promise<void> {
  await namespaces.in(name, ["nft", "-f", "-"], { input: sightingsTable });
}

/** What was seen since it was last asked for. */
export async function takeSightings(namespaces: Namespaces, name: string): Promise<Sighting[]> {
  const { stdout } = await namespaces.in(name, ["nft", "list", "table", "inet", "sightings"]);
  const elements = [...stdout.matchAll(/([0-9a-f.:]+) \. (tcp|udp|icmp|ipv6-icmp)\b/g)];
  // One transaction that lists and flushes would list what is left after it.
  const flush = "flush set inet sightings from4; flush set inet sightings from6";
  if (elements.length > 0) await namespaces.in(name, ["nft", flush]);
  return elements.map(([, address, protocol]) => `${address} ${protocol?.replace("ipv6-", "")}`);
}
