import type { Protocol } from "../config.ts";
import type { Binding, DesiredState } from "../desired.ts";

/**
 * The chains never change; bindings are elements of maps and sets, so one rule serves any number of them.
 *
 * - nat at -110, before kube-proxy's and iptables' -100: with equal numbers the order would be that of registration.
 *   Numbers, because nft 1.0.6 refuses `dstnat` in the output hook.
 * - guard runs after the destination NAT (which the kernel does at -100 whatever a nat chain's priority is): a packet
 *   that still has a magic IP as destination found no binding. Refusing it in forward and in output lets pods and the
 *   node fail in milliseconds, keeps it off the uplink, and leaves no un-NATed conntrack entry that would outlive it.
 * - its second half cuts flows to a pod that left the live set, in the transaction that removes it. It looks at our
 *   own ports only, so that another installation may use the same IP on other ports.
 * - hairpin: a target that dials its own magic IP would get an answer from itself without the masquerade.
 */
const chains = `
	chain nat-prerouting {
		type nat hook prerouting priority -110; policy accept;
		dnat ip to ip daddr . meta l4proto . th dport map @targets4
	}

	chain nat-output {
		type nat hook output priority -110; policy accept;
		dnat ip to ip daddr . meta l4proto . th dport map @targets4
	}

	chain nat-postrouting {
		type nat hook postrouting priority 90; policy accept;
		ct original ip daddr @ips4 ip saddr . ip daddr @hairpin4 masquerade
	}

	chain filter-forward {
		type filter hook forward priority -10; policy accept;
		jump guard
	}

	chain filter-output {
		type filter hook output priority -10; policy accept;
		jump guard
	}

	chain guard {
		ip daddr @ips4 jump refuse
		ct direction original ct original ip daddr @ips4 jump stale
	}

	chain stale {
		ct original ip daddr . ip daddr @live4 return
		meta l4proto tcp ct original proto-dst @tcp-ports jump refuse
		meta l4proto udp ct original proto-dst @udp-ports jump refuse
	}

	chain refuse {
		meta l4proto tcp counter reject with tcp reset
		counter reject with icmpx port-unreachable
	}
`;

/** The name of an installation's table, in family inet. The instance is validated where it is configured. */
export function tableName(instance: string): string {
  return `magic-ip-${instance}`;
}

/**
 * The whole table as nft text, for one `nft -f -`: add, delete and define make one transaction that replaces the table
 * of this installation whatever stood in it, or leaves everything as it was.
 */
export function ruleset(instance: string, state: DesiredState): string {
  const name = tableName(instance);
  return [
    `table inet ${name}`,
    `delete table inet ${name}`,
    `table inet ${name} {`,
    ...objects(state),
    `${chains.trimEnd()}\n}\n`,
  ].join("\n");
}

/** The transaction that takes an installation's table away; it succeeds when there is none. */
export function removal(instance: string): string {
  const name = tableName(instance);
  return `table inet ${name}\ndelete table inet ${name}\n`;
}

function objects({ bindings, live }: DesiredState): string[] {
  const served = bindings.filter(({ target }) => target !== undefined);
  return [
    object(
      "map targets4",
      "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
      served.map(targetElement),
      "counter",
    ),
    object(
      "set ips4",
      "ipv4_addr",
      bindings.map(({ ipAddress }) => ipAddress),
    ),
    object("set tcp-ports", "inet_service", portNumbers(bindings, "tcp")),
    object("set udp-ports", "inet_service", portNumbers(bindings, "udp")),
    object(
      "set live4",
      "ipv4_addr . ipv4_addr",
      live.map(({ ipAddress, podIp }) => `${ipAddress} . ${podIp}`),
    ),
    object(
      "set hairpin4",
      "ipv4_addr . ipv4_addr",
      live.map(({ podIp }) => `${podIp} . ${podIp}`),
    ),
  ];
}

function targetElement({ ipAddress, protocol, port, target }: Binding): string {
  return `${ipAddress} . ${protocol} . ${port} : ${target?.ip} . ${target?.port}`;
}

function portNumbers(bindings: Binding[], protocol: Protocol): string[] {
  return bindings.filter((binding) => binding.protocol === protocol).map(({ port }) => String(port));
}

function object(name: string, type: string, elements: string[], flags = ""): string {
  const distinct = [...new Set(elements)].toSorted();
  const lines = [`	${name} {`, `		type ${type}`];
  if (flags !== "") lines.push(`		${flags}`);
  if (distinct.length > 0)
    lines.push(`		elements = {\n${distinct.map((element) => `			${element}`).join(",\n")}\n		}`);
  return [...lines, "	}\n"].join("\n");
}
