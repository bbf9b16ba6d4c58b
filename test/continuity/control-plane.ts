import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { kubernetesPrograms } from "../cluster/binaries.ts";
import { until } from "../cluster/patience.ts";
import { ensurePackages } from "../support/debian.ts";

/** Who may talk to the API server: its administrator, and an agent with the rights that a test gives it. */
const tokens = { admin: "stage-admin", agent: "stage-agent" };

/**
 * A real etcd and a real API server, and nothing else: no controller and no kubelet, so that the test alone says what
 * happens to a pod. They listen on loopback and end with the process that started them.
 */
export class ControlPlane {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });
  #etcd: ChildProcess | undefined;
  #apiServer: ChildProcess | undefined;

  private constructor(
    readonly directory: string,
    readonly programs: string,
    readonly ports: { etcd: number; etcdPeer: number; api: number },
  ) {}

  static async start(): Promise<ControlPlane> {
    await ensurePackages(["etcd-server", "openssl", "socat", "nftables", "conntrack", "iptables"]);
    const directory = await mkdtemp(join(tmpdir(), "magic-ip-stage-"));
    const [etcd = 0, etcdPeer = 0, api = 0] = await freePorts(3);
    const plane = new ControlPlane(directory, await kubernetesPrograms(), { etcd, etcdPeer, api });
    await plane.#writeKeys();
    await plane.startEtcd();
    await plane.startApi().catch(async (error: unknown) => {
      await plane.remove();
      throw error;
    });
    return plane;
  }

  /** Where an agent's requests go, and as whom. */
  get endpoint() {
    const ca = readFileSync(join(this.directory, "certificates/apiserver.crt"));
    return { host: "127.0.0.1", port: this.ports.api, ca, token: tokens.agent };
  }

  /** A kubeconfig of the administrator's. */
  get kubeconfig(): string {
    const { host, port, ca } = this.endpoint;
    const name = "administrator";
    const server = { server: `https://${host}:${port}`, "tls-server-name": "kubernetes" };
    return JSON.stringify({
      ...{ apiVersion: "v1", kind: "Config", "current-context": name },
      clusters: [{ name, cluster: { ...server, "certificate-authority-data": ca.toString("base64") } }],
      users: [{ name, user: { token: tokens.admin } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
    });
  }

  /** One request as the administrator, or as whom its headers name; returns the answer's object. @throws when it is no success */
  async send<T = unknown>(
    method: string,
    path: string,
    object?: object,
    others: Record<string, string> = {},
  ): Promise<T> {
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const body = object === undefined ? "" : JSON.stringify(object);
    const { ca, ...place } = this.endpoint;
    const headers = {
      authorization: `Bearer ${tokens.admin}`,
      "content-type": type,
      "content-length": Buffer.byteLength(body),
      ...others,
    };
    return new Promise((resolve, reject) => {
      const options = { ...place, path, method, headers, ca, servername: "kubernetes", agent: this.#agent };
      const call = request(options);
      call.on("error", reject).on("response", (response) => {
        const { statusCode = 0 } = response;
        const refused = (text: string) =>
          reject(new Error(`${method} ${path} was answered with ${statusCode}: ${text}`));
        void textOf(response).then((text) =>
          statusCode < 300 ? resolve(JSON.parse(text || "null") as T) : refused(text),
        );
      });
      call.end(body);
    });
  }

  async startEtcd(): Promise<void> {
    const client = `http://127.0.0.1:${this.ports.etcd}`;
    const peer = `http://127.0.0.1:${this.ports.etcdPeer}`;
    const flags = {
      ...{ "data-dir": this.#data, "unsafe-no-fsync": true, "log-level": "warn", logger: "zap" },
      ...{ "listen-client-urls": client, "advertise-client-urls": client },
      ...{
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": `default=${peer}`,
      },
    };
    this.#etcd = this.#spawn("etcd", "etcd", flags);
  }

  /** Starts the API server; it answers when this returns. */
  async startApi(): Promise<void> {
    const key = join(this.directory, "service-accounts.key");
    this.#apiServer = this.#spawn("api", join(this.programs, "kube-apiserver"), {
      // It refuses to advertise loopback, and asks for a default route when nothing is said.
      ...{ "bind-address": "127.0.0.1", "advertise-address": "198.18.0.1", "secure-port": this.ports.api },
      ...{ "etcd-servers": `http://127.0.0.1:${this.ports.etcd}`, "authorization-mode": "RBAC" },
      ...{ "cert-dir": join(this.directory, "certificates"), "service-cluster-ip-range": "10.96.0.0/16" },
      ...{ "service-account-issuer": "https://kubernetes.default.svc" },
      ...{ "service-account-key-file": key, "service-account-signing-key-file": key },
      ...{ "token-auth-file": join(this.directory, "tokens.csv") },
      // Nobody makes service accounts here.
      ...{ "disable-admission-plugins": "ServiceAccount" },
    });
    const log = join(this.directory, "api.log");
    await until({ what: "the API server to be ready", seconds: 60, log }, () =>
      this.send("GET", "/api/v1/namespaces/default").then(
        () => true,
        () => false,
      ),
    );
  }

  /** As in a power cut. */
  async stopApi(): Promise<void> {
    await end(this.#apiServer, "SIGKILL");
  }

  async stopEtcd(): Promise<void> {
    await end(this.#etcd, "SIGTERM");
  }

  /** etcd forgets every version but the last. */
  async compact(): Promise<void> {
    const ask = async (path: string, body: object) => {
      const answer = await fetch(`http://127.0.0.1:${this.ports.etcd}/v3/${path}`, {
        method: "POST",
        body: JSON.stringify(body),
      });
      return (await answer.json()) as { header: { revision: string } };
    };
    const { header } = await ask("kv/range", { key: "AA==" });
    await ask("kv/compaction", { revision: header.revision });
  }

  /** Keeps what etcd holds, as a backup does; returns where. Only while etcd is stopped. */
  async backUp(): Promise<string> {
    const place = join(this.directory, "backup");
    await cp(this.#data, place, { recursive: true });
    return place;
  }

  /** Puts a backup in the place of what etcd holds. Only while etcd is stopped. */
  async restore(backup: string): Promise<void> {
    await rm(this.#data, { recursive: true });
    await cp(backup, this.#data, { recursive: true });
  }

  async remove(): Promise<void> {
    await this.stopApi();
    await end(this.#etcd, "SIGKILL");
    this.#agent.destroy();
    await rm(this.directory, { recursive: true });
  }

  get #data(): string {
    return join(this.directory, "etcd");
  }

  #spawn(name: string, program: string, flags: Record<string, string | number | boolean>): ChildProcess {
    const log = openSync(join(this.directory, `${name}.log`), "a");
    const words = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", program, ...words], {
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    return child;
  }

  async #writeKeys(): Promise<void> {
    const rows = [`${tokens.admin},admin,admin,"system:masters"`, `${tokens.agent},agent,agent,""`];
    await writeFile(join(this.directory, "tokens.csv"), `${rows.join("\n")}\n`);
    const key = join(this.directory, "service-accounts.key");
    await execa("openssl", ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]);
  }
}

/** Ends a child process that this process started; returns when it is gone. */
export async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill(signal);
  await gone;
}

/** The body of an answer; empty when the answer breaks off. */
export async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch {
    return "";
  }
  return Buffer.concat(chunks).toString();
}

/** Ports that nobody listens on; all are held until all are known, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
