import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connectApi, Silence } from "../../agent/kubernetes/api.ts";
import { kubeconfig } from "../continuity/stage.ts";

const { signal } = new AbortController();
let directory: string;
let server: Server | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "magic-ip-"));
});
afterEach(async () => {
  server?.close();
  await rm(directory, { recursive: true });
});

async function serve(answers: RequestListener) {
  const http = createServer(answers);
  server = http;
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo;
  process.env.KUBECONFIG = join(directory, "kubeconfig");
  await writeFile(process.env.KUBECONFIG, kubeconfig(`http://127.0.0.1:${port}`));
  return connectApi();
}

const anyEvent = { fields: { type: "text" as const } };

describe("a watch", () => {
  it("fails where one event is longer than any can be, instead of reading it for ever", async () => {
    const piece = "x".repeat(1_000_000);
    const api = await serve((_request, response) => {
      response.writeHead(200).write('{"type":"ADDED","object":{"metadata":{"annotations":{"a":"');
      const more = () => {
        while (!response.destroyed && response.write(piece));
      };
      response.on("drain", more);
      more();
    });
    const follow = async () => {
      for await (const event of await api.watch("/pods", {}, { signal, silence: 30_000 }, anyEvent))
        expect(event).toBeUndefined();
    };
    await expect(follow()).rejects.toThrow("one value of the answer is longer than 33554432 bytes");
  });

  it("without a word for as long as it may be fails with Silence, after what it said before", async () => {
    const api = await serve((_request, response) => response.writeHead(200).write('{"type":"ADDED"}\n'));
    const heard: unknown[] = [];
    const follow = async () => {
      for await (const event of await api.watch("/pods", {}, { signal, silence: 200 }, anyEvent))
        heard.push(event);
    };
    await expect(follow()).rejects.toThrow(Silence);
    expect(heard).toEqual([{ type: "ADDED" }]);
  });
});

describe("an answer that is a refusal", () => {
  it.each([
    ["7", 7],
    ["3600", 30],
    ["-5", 0],
    ["Wed, 21 Oct 2026 07:28:00 GMT", 0],
  ])("asks with Retry-After %s to wait %i s", async (asked, seconds) => {
    const api = await serve((_request, response) => {
      response.writeHead(503, { "retry-after": asked }).end("<html>back soon</html>");
    });
    const refusal = { status: 503, retryAfter: seconds, reason: undefined };
    await expect(api.get("/pods", {})).rejects.toMatchObject(refusal);
  });

  it("is read to no more than its start, and its message is cut", async () => {
    const sent = { bytes: 0 };
    const api = await serve((_request, response) => {
      response.writeHead(500);
      const more = () => {
        while (!response.destroyed && response.write("a long story ".repeat(1_000))) sent.bytes += 13_000;
      };
      response.on("drain", more);
      more();
    });
    const error: Error = await api.get("/pods", {}).then(
      () => new Error("no refusal"),
      (refusal: Error) => refusal,
    );
    expect(error.message.length).toBeLessThan(600);
    expect(error.message).toMatch(/^the API server answers 500: a long story/);
  });

  it("has Kubernetes' word for the reason", async () => {
    const status = { kind: "Status", message: "pods are forbidden", reason: "Forbidden" };
    const api = await serve((_request, response) => response.writeHead(403).end(JSON.stringify(status)));
    await expect(api.get("/pods", {})).rejects.toMatchObject({ status: 403, reason: "Forbidden" });
  });
});

describe("credentials that rotate", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("are read anew: the authority with each request, the token when a minute has passed", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tokens: unknown[] = [];
    const tls = createTlsServer(await authority("ca.crt"), (request, response) => {
      tokens.push(request.headers.authorization);
      response.setHeader("connection", "close").end("{}");
    });
    server = tls;
    tls.listen(0, "127.0.0.1");
    await once(tls, "listening");
    await writeFile(join(directory, "token"), "first");
    const api = await connectWithFiles((tls.address() as AddressInfo).port);
    await api.get("/pods", {});

    await writeFile(join(directory, "token"), "second");
    const strange = await authority("other.crt");
    tls.setSecureContext(strange);
    await expect(api.get("/pods", {})).rejects.toThrow(/certificate/);

    await writeFile(join(directory, "ca.crt"), strange.cert);
    vi.setSystemTime(Date.now() + 61_000);
    await api.get("/pods", {});
    expect(tokens).toEqual(["Bearer first", "Bearer second"]);
  });
});

/** A certificate that is its own authority, in a file beside its key. */
async function authority(file: string): Promise<{ cert: string; key: string }> {
  const [crt, key] = [join(directory, file), join(directory, `${file}.key`)];
  const made = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-keyout",
    key,
    "-out",
    crt,
  ];
  const said = ["-subj", "/CN=kube-apiserver", "-addext", "subjectAltName=IP:127.0.0.1"];
  await execa("openssl", ["req", "-x509", ...made, ...said]);
  return { cert: await readFile(crt, "utf8"), key: await readFile(key, "utf8") };
}

/** As in a pod: the authority and the token are files, and others change them. */
async function connectWithFiles(port: number) {
  const name = "pod";
  const tokenFile = join(directory, "token");
  const config = {
    ...{ apiVersion: "v1", kind: "Config", "current-context": name },
    clusters: [
      {
        name,
        cluster: { server: `https://127.0.0.1:${port}`, "certificate-authority": join(directory, "ca.crt") },
      },
    ],
    users: [{ name, user: { "auth-provider": { name: "tokenFile", config: { tokenFile } } } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
  };
  process.env.KUBECONFIG = join(directory, "kubeconfig");
  await writeFile(process.env.KUBECONFIG, JSON.stringify(config));
  return connectApi();
}
