import { type Cidr, cidrComplaint, cidrContains, parseCidr } from "./cidr";
import { Claims } from "./claims";
import type { Fault } from "./fault";
import { canonicalIp, type Ip, parseIp } from "./ip";
import { namespacePattern } from "./patterns";
import { portsFaults } from "./ports";
import { reservedFor } from "./reserved";
import { parseSelector, SelectorError } from "./selector";
import type { AddressSpec } from "./spec";

export type { Fault } from "./fault";
export { type PortSpec, Protocol } from "./ports";

/** What a client gets while no pod of its node can serve: an error at once, nothing, or the network's own answer. */
export const WhenNoTarget = { Reject: "Reject", Drop: "Drop", Pass: "Pass" } as const;
export type WhenNoTarget = (typeof WhenNoTarget)[keyof typeof WhenNoTarget];

const examples = { ipv4: "169.254.210.210", ipv6: "fd00:210::210" };

/**
 * Every fault of the addresses, in their order; none when they can be installed as they are. Where `allowedCidrs` are
 * given, every magic IP must lie in one of them.
 */
export function addressFaults(addresses: AddressSpec[], allowedCidrs: string[] = []): Fault[] {
  const claims = new Claims();
  const notAllowed = allowance(allowedCidrs);
  const none =
    addresses.length === 0 ? [{ path: "addresses", reason: "is empty: at least one address is needed" }] : [];
  const faults = addresses.flatMap((address, index) => {
    const path = `addresses[${index}]`;
    return [
      ...ipAddressFaults(address.ipAddress, `${path}.ipAddress`, notAllowed),
      ...ipv6AddressFaults(address, `${path}.ipv6Address`, notAllowed),
      ...namespaceFaults(address.namespace, `${path}.namespace`),
      ...selectorFaults(address.selector, `${path}.selector`),
      ...whenNoTargetFaults(address.whenNoTarget, `${path}.whenNoTarget`),
      ...portsFaults(address.ports ?? [], `${path}.ports`),
      ...claims.faultsOf(address, path),
    ];
  });
  return [...cidrFaults(allowedCidrs), ...none, ...faults];
}

/** Says what is wrong with an IP that may not be used here; undefined when it may. */
type Complaint = (ip: Ip) => string | undefined;

/** The check of an IP against the blocks; every IP is accepted while one of the blocks cannot be read. */
function allowance(allowedCidrs: string[]): Complaint {
  const blocks = allowedCidrs.map(parseCidr).filter((block): block is Cidr => block !== undefined);
  if (blocks.length === 0 || blocks.length < allowedCidrs.length) return () => undefined;
  return (ip) =>
    blocks.some((block) => cidrContains(block, ip))
      ? undefined
      : `is in none of the allowedCidrs: choose an address in ${allowedCidrs.join(", ")}`;
}

function cidrFaults(allowedCidrs: string[]): Fault[] {
  return allowedCidrs.flatMap((text, index) => {
    const reason = cidrComplaint(text);
    return reason === undefined ? [] : [{ path: `allowedCidrs[${index}]`, reason }];
  });
}

function ipAddressFaults(text: string, path: string, notAllowed: Complaint): Fault[] {
  const ip = parseIp(text);
  if (ip === undefined) return [{ path, reason: notAnIp(text, text.includes(":") ? "ipv6" : "ipv4") }];
  const owner = reservedFor(ip);
  if (owner !== undefined) {
    const reason = `${text} is reserved for ${owner}: choose another, as ${examples[ip.family]}`;
    return [{ path, reason }];
  }
  const complaint = notAllowed(ip);
  return complaint === undefined ? [] : [{ path, reason: `${text} ${complaint}` }];
}

function ipv6AddressFaults(address: AddressSpec, path: string, notAllowed: Complaint): Fault[] {
  const { ipAddress, ipv6Address } = address;
  if (ipv6Address === undefined) return [];
  if (!ipv6Address.includes(":")) return [{ path, reason: notAnIp(ipv6Address, "ipv6") }];
  if (parseIp(ipAddress)?.family === "ipv6") {
    const reason = `${ipv6Address} is set beside ipAddress ${canonicalIp(ipAddress)}, which is an IPv6 address already: leave one of them out, or write an IPv4 address there`;
    return [{ path, reason }];
  }
  return ipAddressFaults(ipv6Address, path, notAllowed);
}

function notAnIp(text: string, family: Ip["family"]): string {
  if (family === "ipv4")
    return `"${text}" is not an IPv4 address: write four numbers 0–255, as ${examples.ipv4}`;
  const zone = text.includes("%") ? " without a zone" : "";
  return `"${text}" is not an IPv6 address: write up to eight groups of hexadecimal digits${zone}, as ${examples.ipv6}`;
}

function namespaceFaults(namespace: string | undefined, path: string): Fault[] {
  if (namespace === undefined || namespacePattern.test(namespace)) return [];
  return [
    {
      path,
      reason: `"${namespace}" is no namespace: at most 63 lower-case letters, digits and "-", as monitoring`,
    },
  ];
}

function selectorFaults(selector: string, path: string): Fault[] {
  try {
    parseSelector(selector);
    return [];
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    return [{ path, reason: `${error.message}: write it as for kubectl -l, as app=dd-agent` }];
  }
}

function whenNoTargetFaults(whenNoTarget: string | undefined, path: string): Fault[] {
  if (whenNoTarget === undefined || Object.hasOwn(WhenNoTarget, whenNoTarget)) return [];
  return [{ path, reason: `"${whenNoTarget}" is no answer to clients: write Reject, Drop or Pass` }];
}
