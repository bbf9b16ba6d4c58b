import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildGoTools } from "../support/build.ts";

const MODULE = join(import.meta.dirname, "kubernetes");
const PROGRAMS = ["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"];

/** The Debian packages that a cluster is made of and worked with. */
export const CLUSTER_PACKAGES = [
  "conntrack",
  "containerd",
  "containernetworking-plugins",
  "etcd-server",
  "iproute2",
  "iptables",
  "nftables",
  "openssl",
  "procps",
  "runc",
  "socat",
  "tcpdump",
  "tini",
];

/** Builds the Kubernetes programs once; returns the directory that holds them. */
export function kubernetesPrograms(): Promise<string> {
  const version = kubernetesVersion();
  const [major, minor] = version.split(".");
  const stamp = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor };
  const stamps = Object.entries(stamp).map(
    ([key, value]) => `-X k8s.io/component-base/version.${key}=${value}`,
  );
  return buildGoTools({
    name: `kubernetes-${version}`,
    directory: MODULE,
    packages: PROGRAMS.map((program) => `k8s.io/kubernetes/cmd/${program}`),
    // Without its stamp a kubelet calls itself v0.0.0 and the API server refuses what depends on versions.
    ldflags: ["-s -w", ...stamps].join(" "),
  });
}

function kubernetesVersion(): string {
  const file = join(MODULE, "go.mod");
  const version = /^\s*k8s\.io\/kubernetes v(\S+)/m.exec(readFileSync(file, "utf8"))?.[1];
  if (!version) throw new Error(`${file} does not require k8s.io/kubernetes`);
  return version;
}
