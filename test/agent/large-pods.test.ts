import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { imageNodeFlags } from "../bench/agent-process.ts";
import { kubeconfig } from "../continuity/stage.ts";

/** What somebody may make who may create pods: annotations, env and fields of managers, 0.8 MB together. */
const ballast = {
  annotations: { note: `${"x".repeat(100)}<"quoted">\\`.repeat(6_000) },
  managedFields: [{ fieldsV1: Object.fromEntries(Array.from({ length: 4_000 }, (_, n) => [`f:${n}`, {}])) }],
  env: Array.from({ length: 2_000 }, (_, n) => ({ name: `VARIABLE_${n}`, value: "value" })),
};

/** The JSON of a pod, with its ballast so many times. */
function pod(name: string, times = 1): string {
  const metadata = {
    ...{ name, uid: `uid-${name}`, namespace: "monitoring", resourceVersion: "101" },
    ...{ labels: { app: "echo", other: "x" }, creationTimestamp: "2026-11-01T10:00:00Z" },
  };
  const conditions = [{ type: "Ready", status: "True" }];
  const status = { phase: "Running", podIPs: [{ ip: "10.244.1.7" }], conditions };
  const own = JSON.stringify({ metadata, spec: { nodeName: "node-1" }, status });
  return `{${ballastJson.repeat(times)}${own.slice(1)}`;
}

const ballastJson = `"ballast":${JSON.stringify(ballast)},`;

let directory: string;
let server: Server;
let follower: ChildProcess;
const watches: ServerResponse[] = [];
const pageLengths: number[] = [];
const said: string[] = [];

/** Answers `limit` and `continue` as an API server does, with 120 pods. */
function answer(query: URLSearchParams, response: ServerResponse): void {
  if (query.get("watch") === "true") {
    watches.push(response.writeHead(200));
    return response.flushHeaders();
  }
  const [first, limit] = [Number(query.get("continue") ?? 0), Number(query.get("limit") ?? 1_000)];
  const last = Math.min(first + limit, 120);
  pageLengths.push(last - first);
  const metadata = { resourceVersion: "100", ...(last < 120 && { continue: String(last) }) };
  response.writeHead(200).write(`{"kind":"PodList","metadata":${JSON.stringify(metadata)},"items":[`);
  let next = first;
  const more = () => {
    while (next < last && response.write(`${next > first ? "," : ""}${pod(`p${next++}`)}`));
    if (next === last) response.end("]}");
  };
  response.on("drain", more);
  more();
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "magic-ip-"));
  server = createServer((request, response) =>
    answer(new URL(request.url ?? "", "http://x").searchParams, response),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const program = join(directory, "follower.mjs");
  const root = fileURLToPath(new URL("../..", import.meta.url));
  await build({
    ...{ absWorkingDir: root, entryPoints: ["test/agent/pod-follower.ts"], outfile: program, bundle: true },
    ...{ alias: { undici: "./agent/undici.mjs" }, platform: "node", format: "esm", logLevel: "error" },
    banner: {
      js: 'import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url);',
    },
  });
  const file = join(directory, "kubeconfig");
  await writeFile(file, kubeconfig(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  follower = spawn(process.execPath, [...imageNodeFlags(), program], {
    env: { ...process.env, KUBECONFIG: file, MALLOC_ARENA_MAX: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  createInterface({ input: follower.stdout as NodeJS.ReadableStream }).on("line", (line) => {
    // After 2 s the addresses are told that they have to wait for a list that takes longer.
    if (!line.includes('"pods":0,')) said.push(line);
  });
});
afterAll(async () => {
  follower.kill("SIGKILL");
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true });
});

async function next(lines: number): Promise<{ pods: number; last: Pod; megabytes: number }> {
  while (said.length < lines) {
    expect(follower.exitCode ?? follower.signalCode, "the follower's end").toBe(null);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return JSON.parse(said[lines - 1] ?? "") as { pods: number; last: Pod; megabytes: number };
}

it("a hundred pods of 0.8 MB each are listed, page by page, in the image's memory, and only what matters is kept", async () => {
  expect(pod("p").length).toBeGreaterThan(800_000);
  const { pods, last, megabytes } = await next(1);
  expect(pods).toBe(120);
  expect(last).toMatchObject({ uid: "uid-p119", labels: { app: "echo" }, ips: ["10.244.1.7"], ready: true });
  expect(last.labels).toEqual({ app: "echo" });
  expect(pageLengths).toEqual([100, 20]);
  expect(megabytes).toBeLessThan(110);
});

it("an event of a pod of 9 MB, which is what 1.5 MB in etcd may become as JSON, is taken in", async () => {
  while (watches.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  const event = `{"type":"MODIFIED","object":${pod("huge", 12)}}`;
  expect(event.length).toBeGreaterThan(9_000_000);
  for (let time = 0; time < 3; time++) watches[0]?.write(`${event}\n`);
  const { pods, last, megabytes } = await next(4);
  expect(pods).toBe(121);
  expect(last).toMatchObject({ uid: "uid-huge", ips: ["10.244.1.7"], ready: true });
  expect(megabytes).toBeLessThan(110);
});
