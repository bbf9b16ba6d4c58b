import { type Cidr, cidrContains, parseCidr } from "./cidr";
import type { Ip } from "./ip";

/** A range of addresses that must not become magic IPs, and its present user. */
interface Reservation {
  range: string;
  owner: string;
}

/**
 * Addresses that clouds, CNIs and Kubernetes add-ons claim on a node, and ranges that are no unicast address.
 * Sources: RFC 6890 for the ranges; kubernetes/kubernetes#100639 (GKE .252), kubernetes/dns#358 (NodeLocal DNSCache),
 * kubespray#5109, cilium#35153 (Talos), RFC 3927 §2.1 (first and last /24), Alibaba Cloud's guide to ECS instance metadata,
 * cloud-init's Scaleway datasource, datadog-agent pkg/util/cloudproviders/tencent. Hetzner, DigitalOcean, Oracle, IBM,
 * Vultr and OpenStack use 169.254.169.254, as Amazon does.
 *
 * OVN-Kubernetes' masquerade subnet is no reservation: the agent finds it on the nodes that have it (agent/doctor/taken.ts).
 */
const ipv4: Reservation[] = [
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
  { range: "169.254.42.42/32", owner: "Scaleway's instance metadata service" },
  { range: "169.254.0.23/32", owner: "Tencent Cloud's instance metadata service" },
  { range: "100.100.100.200/32", owner: "Alibaba Cloud's instance metadata service" },
  { range: "168.63.129.16/32", owner: "Azure's platform service" },
  { range: "169.254.0.0/24", owner: "RFC 3927 (the first /24 of link-local)" },
  { range: "169.254.255.0/24", owner: "RFC 3927 (the last /24 of link-local)" },
  { range: "127.0.0.0/8", owner: "loopback: every pod has its own" },
  { range: "0.0.0.0/8", owner: '"this network"' },
  { range: "224.0.0.0/4", owner: "multicast" },
  { range: "240.0.0.0/4", owner: "reserved and broadcast addresses" },
];

/**
 * Sources: the EC2 and GCE instance metadata guides and the EKS Pod Identity guide for the addresses; RFC 4291 §2.4 and
 * §2.5, RFC 4193 §3.1 (fc00::/8), RFC 4007 §6 (zones, and that link-local addresses are not forwarded), RFC 3879
 * (fec0::/10) and RFC 6052 (64:ff9b::/96) for the ranges; cloud-init's Scaleway datasource; oci-python-sdk
 * instance_principals_security_token_signer.py; Akamai's guide to the metadata service.
 */
const ipv6: Reservation[] = [
  { range: "fd00:ec2::254/128", owner: "Amazon's instance metadata service" },
  { range: "fd00:ec2::253/128", owner: "Amazon's DNS resolver" },
  { range: "fd00:ec2::123/128", owner: "Amazon's time server" },
  { range: "fd00:ec2::23/128", owner: "the EKS Pod Identity Agent" },
  { range: "fd20:ce::254/128", owner: "Google Cloud's instance metadata server" },
  { range: "fd00:c1::a9fe:a9fe/128", owner: "Oracle Cloud's instance metadata service" },
  { range: "fd00:a9fe:a9fe::1/128", owner: "Akamai's instance metadata service" },
  { range: "fd00:42::42/128", owner: "Scaleway's instance metadata service" },
  { range: "::/128", owner: '"no address"' },
  { range: "::1/128", owner: "loopback: every pod has its own" },
  { range: "::ffff:0:0/96", owner: "IPv4 addresses in IPv6 sockets (write the IPv4 address itself)" },
  { range: "64:ff9b::/96", owner: "NAT64" },
  { range: "::/8", owner: "the IETF" },
  { range: "fe80::/10", owner: "link-local traffic, which needs a zone and is never forwarded" },
  { range: "fec0::/10", owner: "site-local addresses, which RFC 3879 gave up" },
  { range: "fc00::/8", owner: "the half of the unique local addresses that RFC 4193 leaves undefined" },
  { range: "ff00::/8", owner: "multicast" },
];

/** All reservations; where two contain an address, the first one names its owner. */
export const reservations: { block: Cidr; owner: string }[] = [...ipv4, ...ipv6].flatMap(
  ({ range, owner }) => {
    const block = parseCidr(range);
    return block === undefined ? [] : [{ block, owner }];
  },
);

/** Who owns the address already, or undefined when it is free to be a magic IP. */
export function reservedFor(ip: Ip): string | undefined {
  return reservations.find(({ block }) => cidrContains(block, ip))?.owner;
}
