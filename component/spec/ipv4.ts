/** An IPv4 address that must not become a magic IP, and who uses it already. */
interface Reservation {
  range: string;
  owner: string;
}

/**
 * Addresses that clouds, CNIs and Kubernetes add-ons claim on a node, and ranges that are no unicast address.
 * Sources: `RFC 6890` for the ranges; kubernetes/kubernetes#100639 (GKE .252), kubernetes/dns#358 (NodeLocal DNSCache),
 * kubespray#5109, cilium#35153 (Talos), ovn-kubernetes PR 4599 (169.254.0.0/17), RFC 3927 §2.1 (first and last /24).
 */
const reservations: Reservation[] = [
  { range: "169.254.169.254/32", owner: "the cloud's instance metadata service" },
  { range: "169.254.169.253/32", owner: "Amazon's DNS resolver" },
  { range: "169.254.169.252/32", owner: "the GKE metadata server" },
  { range: "169.254.169.123/32", owner: "Amazon's time server" },
  { range: "169.254.170.2/32", owner: "Amazon ECS task credentials" },
  { range: "169.254.170.23/32", owner: "the EKS Pod Identity Agent" },
  { range: "169.254.20.10/32", owner: "NodeLocal DNSCache" },
  { range: "169.254.25.10/32", owner: "kubespray's NodeLocal DNSCache" },
  { range: "169.254.1.1/32", owner: "the pods' gateway of Calico and the AWS VPC CNI" },
  { range: "169.254.116.108/32", owner: "Talos' host DNS" },
  { range: "168.63.129.16/32", owner: "Azure's platform service" },
  { range: "169.254.0.0/24", owner: "RFC 3927 (the first /24 of link-local)" },
  { range: "169.254.255.0/24", owner: "RFC 3927 (the last /24 of link-local)" },
  { range: "169.254.0.0/17", owner: "OVN-Kubernetes' masquerade subnet" },
  { range: "127.0.0.0/8", owner: "loopback: every pod has its own" },
  { range: "0.0.0.0/8", owner: '"this network"' },
  { range: "224.0.0.0/4", owner: "multicast" },
  { range: "240.0.0.0/4", owner: "reserved and broadcast addresses" },
];

/**
 * The address as a number, or undefined when the text is not four decimal numbers 0–255 without leading zeros
 * (inet_aton would read "010" as octal, so it is refused instead of guessed).
 */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

/** Who owns the address already, or undefined when it is free to be a magic IP. */
export function reservedFor(address: number): string | undefined {
  return reservations.find(({ range }) => contains(range, address))?.owner;
}

function contains(range: string, address: number): boolean {
  const [network = "", bits = "32"] = range.split("/");
  const size = 2 ** (32 - Number(bits));
  const first = parseIpv4(network) ?? 0;
  return address >= first && address < first + size;
}
