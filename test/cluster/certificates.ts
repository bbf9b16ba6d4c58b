import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { API_SERVICE, CONTROL_PLANE, type NodePlan } from "./plan.ts";
import type { State } from "./state.ts";

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365"];
const API_NAMES = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];

/** Who may talk to the API server, with a token each. */
interface Account {
  token: string;
  user: string;
  groups: string[];
}

/** A file among the cluster's keys and certificates. */
export function pki(state: State, file: string): string {
  return join(state.directory, "pki", file);
}

/** Makes the cluster's authority, the API server's certificates and a key to sign service account tokens with. */
export async function createCertificates(state: State): Promise<void> {
  mkdirSync(join(state.directory, "pki"), { recursive: true, mode: 0o700 });
  await request(state, "ca", ["-subj", "/CN=magic-ip-address-cluster"]);
  const addresses = ["127.0.0.1", CONTROL_PLANE.address, API_SERVICE.address].map(
    (address) => `IP:${address}`,
  );
  const names = [...addresses, ...API_NAMES.map((name) => `DNS:${name}`)].join(",");
  const signed = ["-CA", pki(state, "ca.crt"), "-CAkey", pki(state, "ca.key")];
  await Promise.all([
    request(state, "apiserver", [
      ...signed,
      "-subj",
      "/CN=kube-apiserver",
      "-addext",
      `subjectAltName=${names}`,
    ]),
    request(state, "kubelet-client", [
      ...signed,
      "-subj",
      "/O=system:masters/CN=kube-apiserver-kubelet-client",
    ]),
    request(state, "service-accounts", ["-subj", "/CN=service-accounts"]),
  ]);
}

/** Makes the accounts of the cluster's own programs and of its administrator, and a kubeconfig for each. */
export function createAccounts(state: State, nodes: readonly NodePlan[]): void {
  const inside = `https://${CONTROL_PLANE.address}:6443`;
  const accounts = {
    admin: account("admin", "system:masters"),
    "kube-controller-manager": account("system:kube-controller-manager", "system:masters"),
    "kube-scheduler": account("system:kube-scheduler"),
    "kube-proxy": account("system:kube-proxy"),
    ...Object.fromEntries(nodes.map(({ name }) => [name, account(`system:node:${name}`, "system:nodes")])),
  };
  const rows = Object.values(accounts).map(
    ({ token, user, groups }) => `${token},${user},${user},"${groups.join(",")}"`,
  );
  writeFileSync(pki(state, "tokens.csv"), `${rows.join("\n")}\n`, { mode: 0o600 });
  for (const [name, { token }] of Object.entries(accounts))
    writeKubeconfig(state, pki(state, `${name}.kubeconfig`), inside, token);
  writeKubeconfig(state, adminKubeconfig(state), `https://127.0.0.1:${state.port}`, accounts.admin.token);
}

/** The kubeconfig for the host. */
export function adminKubeconfig(state: State): string {
  return join(state.directory, "kubeconfig");
}

async function request(state: State, name: string, args: string[]): Promise<void> {
  const files = ["-keyout", pki(state, `${name}.key`), "-out", pki(state, `${name}.crt`)];
  await execa("openssl", ["req", "-x509", ...KEY, ...files, ...args]);
}

function account(user: string, ...groups: string[]): Account {
  return { token: randomBytes(24).toString("hex"), user, groups };
}

function writeKubeconfig(state: State, file: string, server: string, token: string): void {
  const authority = readFileSync(pki(state, "ca.crt")).toString("base64");
  const name = "magic-ip-address";
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server, "certificate-authority-data": authority } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config, undefined, 2), { mode: 0o600 });
}
