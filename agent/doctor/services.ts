import type { ServiceAddress } from "./scope.ts";
import type { ForeignChains } from "./chains.ts";
import type { Reader } from "./reader.ts";

/** Chains of kube-proxy in iptables' tables that name Services' addresses, with and without endpoints. */
const serviceChains = [
  ["nat", "KUBE-SERVICES"],
  ["filter", "KUBE-SERVICES"],
  ["filter", "KUBE-EXTERNAL-SERVICES"],
] as const;

/** Those of the addresses for which kube-proxy has rules. Only lines with one of them are kept. */
export async function readServices(
  reader: Reader,
  { sizes, known }: ForeignChains,
  ipAddresses: string[],
): Promise<ServiceAddress[]> {
  const found: ServiceAddress[] = [];
  const matters = namesOneOf(ipAddresses);
  for (const family of ["ip", "ip6"]) {
    if (sizes.has(`${family} kube-proxy`)) {
      for (const map of ["service-ips", "no-endpoint-services"]) {
        const args = ["--numeric", "list", "map", family, "kube-proxy", map];
        found.push(...servicesOfMap(await reader.lines(`kube-proxy's map ${map}`, "nft", args, matters)));
      }
    }
    for (const [table, name] of serviceChains) {
      if (!known.has(`${family} ${table} ${name}`)) continue;
      const args = ["--numeric", "--stateless", "list", "chain", family, table, name];
      found.push(...servicesOfRules(await reader.lines(`kube-proxy's chain ${name}`, "nft", args, matters)));
    }
  }
  return found;
}

/** Whether a line contains one of the addresses; a longer address with the same start is sorted out later. */
export function namesOneOf(ipAddresses: string[]): (line: string) => boolean {
  return (line) => ipAddresses.some((ipAddress) => line.includes(ipAddress));
}

/**
 * `10.96.0.10 . 17 . 53 : goto service-NWBZK7IH-kube-system/kube-dns/udp/dns`, as kube-proxy names its chains. A Service
 * without endpoints has no chain that tells what kind of address it is.
 */
export function servicesOfMap(text: string): ServiceAddress[] {
  const element =
    /([\da-f.:]+) \. \w+ \. \d+(?: comment "[^"]*")? : (?:(?:goto|jump) (service|external)-\w+-([^/\s",]+\/[^/\s",]+))?/g;
  return [...text.matchAll(element)].map(([, ipAddress = "", kind, service]) => ({
    ...{ ipAddress, service },
    external: kind !== "service",
  }));
}

/**
 * Rules of nft (`ip daddr 10.96.0.10`) and of iptables (`-d 10.96.0.10/32`). Those of a ClusterIP lead to a chain KUBE-SVC-…,
 * those of an external or load balancer's IP to KUBE-EXT-… (before Kubernetes 1.24 KUBE-FW-… and KUBE-XLB-…).
 */
export function servicesOfRules(text: string): ServiceAddress[] {
  const rule = /(?:\bip6? daddr|(?<!! )-d) ([\da-f.:]+)(?:\/(?:32|128))?(?=\s)([^\n]*)/g;
  return [...text.matchAll(rule)].map(([, ipAddress = "", rest = ""]) => ({
    ...{ ipAddress, service: undefined },
    external: !/\bKUBE-SVC-/.test(rest),
  }));
}
