import { type Cidr, cidrContains, parseCidr } from "./cidr";
import { type Ip, parseIp } from "./ip";

/**
 * The ranges that installers give to Services by default. Sources: kube-apiserver's default and kubeadm's
 * `serviceSubnet`, the EKS, AKS and GKE guides, `--service-cidr` of k3s and RKE2, OpenShift's `serviceNetwork`,
 * kubespray's `kube_service_addresses`, MicroK8s' kube-apiserver arguments, kind's `serviceSubnet` of IPv6.
 */
const usual: { range: string; of: string }[] = [
  { range: "10.96.0.0/12", of: "kubeadm and kind" },
  { range: "10.43.0.0/16", of: "k3s and RKE2" },
  { range: "10.100.0.0/16", of: "EKS" },
  { range: "172.20.0.0/16", of: "EKS" },
  { range: "10.0.0.0/16", of: "AKS" },
  { range: "34.118.224.0/20", of: "GKE" },
  { range: "172.30.0.0/16", of: "OpenShift" },
  { range: "10.233.0.0/18", of: "kubespray" },
  { range: "10.152.183.0/24", of: "MicroK8s" },
  { range: "fd00:10:96::/112", of: "kind" },
  { range: "2001:cafe:43::/112", of: "k3s and RKE2" },
];

/** The same as blocks, each with a text for messages. */
export const usualBlocks = usual.map(({ range, of }) => ({
  block: parseCidr(range),
  text: `${range} of ${of}`,
}));

/** A usual range of Services that the address lies in, and whose it is: `10.96.0.0/12 of kubeadm and kind`. */
export function usualServices(ip: Ip): string | undefined {
  return usualBlocks.find(({ block }) => block !== undefined && cidrContains(block, ip))?.text;
}

/** The most bits that a range of Services has behind its prefix (kube-apiserver's `maxCIDRBits`). */
const largest = 20;

/**
 * The largest range that Services can have in a cluster whose API server has this Service IP. That IP is the first
 * after the range's own address (KEP-1880, `kubernetes.default`), so the range begins one address before it and is at
 * most as large as the trailing zero bits of that beginning allow. The real range may be smaller: only the API server
 * knows it. Undefined where the text is no IP, as when the cluster's administrator set KUBERNETES_SERVICE_HOST to a
 * name.
 */
export function servicesAround(serviceHost: string): Cidr | undefined {
  const ip = parseIp(serviceHost);
  if (ip === undefined || ip.value === 0n) return undefined;
  const first = ip.value - 1n;
  let bits = 0;
  while (bits < largest && (first >> BigInt(bits)) % 2n === 0n) bits++;
  return { family: ip.family, first, last: first + (1n << BigInt(bits)) - 1n };
}
