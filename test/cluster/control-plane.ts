import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ask } from "./api.ts";
import { adminKubeconfig, pki } from "./certificates.ts";
import { type DaemonPlan, startDaemon, startOf } from "./daemon.ts";
import { run } from "./machine.ts";
import { until } from "./patience.ts";
import { API_PORT, CONTROL_PLANE, POD_RANGE, SERVICE_RANGE } from "./plan.ts";
import type { State } from "./state.ts";

const MACHINE = CONTROL_PLANE.name;
const ETCD = "http://127.0.0.1:2379";
export const API_SERVER = "kube-apiserver";
export const CONTROLLER_MANAGER = "kube-controller-manager";

/** The programs of the control plane and of the way to it from the host, in order of start. */
export function controlPlaneDaemons(state: State): DaemonPlan[] {
  return [etcd(state), ...forwarders(state), apiServer(state), controllerManager(state), scheduler(state)];
}

/** Starts everything; the API server answers on the host's loopback when this returns. */
export async function startControlPlane(state: State): Promise<void> {
  await mountEtcdInMemory(state);
  for (const daemon of [etcd(state), ...forwarders(state)]) startDaemon(state, daemon);
  await startApiServer(state);
  for (const daemon of [controllerManager(state), scheduler(state)]) startDaemon(state, daemon);
}

/** Starts the API server and waits until it is ready. */
export async function startApiServer(state: State): Promise<void> {
  startDaemon(state, apiServer(state));
  await until(startOf(state, API_SERVER), () => isReady(state));
}

/** Whether the API server answers that it is ready. */
export async function isReady(state: State): Promise<boolean> {
  return (await ask(adminKubeconfig(state), "/readyz"))?.status === 200;
}

/** A test cluster has no use for data that survives a power cut, and a disk makes etcd wait for each write. */
async function mountEtcdInMemory(state: State): Promise<void> {
  mkdirSync(etcdData(state), { recursive: true, mode: 0o700 });
  await run(state, MACHINE, [
    "mount",
    "--no-mtab",
    "-t",
    "tmpfs",
    "-o",
    "mode=0700",
    "etcd",
    etcdData(state),
  ]);
}

function etcd(state: State): DaemonPlan {
  const flags = {
    "data-dir": etcdData(state),
    "listen-client-urls": ETCD,
    "advertise-client-urls": ETCD,
    "listen-peer-urls": "http://127.0.0.1:2380",
    "log-level": "warn",
    logger: "zap",
  };
  return { name: "etcd", machine: MACHINE, argv: ["etcd", ...flagsOf(flags)] };
}

function etcdData(state: State): string {
  return join(state.data, "etcd");
}

/** All addresses of the cluster exist in its namespaces only; a socket in the file system is the way in. */
function forwarders(state: State): DaemonPlan[] {
  const socket = join(state.directory, "api.sock");
  const inside = [
    "socat",
    `UNIX-LISTEN:${socket},fork,unlink-early,mode=0600`,
    `TCP4:127.0.0.1:${API_PORT},nodelay`,
  ];
  const outside = [
    "socat",
    `TCP4-LISTEN:${state.port},bind=127.0.0.1,fork,reuseaddr,nodelay`,
    `UNIX-CONNECT:${socket}`,
  ];
  return [
    { name: "forward-inside", machine: MACHINE, argv: inside },
    { name: "forward-host", argv: outside },
  ];
}

function apiServer(state: State): DaemonPlan {
  const flags = {
    "advertise-address": CONTROL_PLANE.address,
    "allow-privileged": true,
    "authorization-mode": "Node,RBAC",
    "client-ca-file": pki(state, "ca.crt"),
    "enable-admission-plugins": "NodeRestriction",
    "etcd-servers": ETCD,
    "kubelet-client-certificate": pki(state, "kubelet-client.crt"),
    "kubelet-client-key": pki(state, "kubelet-client.key"),
    "kubelet-preferred-address-types": "InternalIP", // names of nodes do not resolve
    "secure-port": API_PORT,
    "service-account-issuer": "https://kubernetes.default.svc",
    "service-account-key-file": pki(state, "service-accounts.crt"),
    "service-account-signing-key-file": pki(state, "service-accounts.key"),
    "service-cluster-ip-range": SERVICE_RANGE,
    "tls-cert-file": pki(state, "apiserver.crt"),
    "tls-private-key-file": pki(state, "apiserver.key"),
    "token-auth-file": pki(state, "tokens.csv"),
  };
  return { name: API_SERVER, machine: MACHINE, argv: [join(state.programs, API_SERVER), ...flagsOf(flags)] };
}

function controllerManager(state: State): DaemonPlan {
  const name = CONTROLLER_MANAGER;
  const flags = {
    "cluster-cidr": POD_RANGE,
    ...quickClient(state, name),
    "root-ca-file": pki(state, "ca.crt"),
    "service-account-private-key-file": pki(state, "service-accounts.key"),
  };
  return { name, machine: MACHINE, argv: [join(state.programs, name), ...flagsOf(flags)] };
}

function scheduler(state: State): DaemonPlan {
  const name = "kube-scheduler";
  return { name, machine: MACHINE, argv: [join(state.programs, name), ...flagsOf(quickClient(state, name))] };
}

/** One copy runs of each, so there is no leader to elect; the default rate limits are for clusters that are always busy. */
function quickClient(state: State, name: string) {
  return {
    kubeconfig: pki(state, `${name}.kubeconfig`),
    "leader-elect": false,
    "kube-api-qps": 200,
    "kube-api-burst": 400,
  };
}

function flagsOf(flags: Record<string, string | number | boolean>): string[] {
  return Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
}
