import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectApi, Silence } from "../../agent/api.ts";
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

describe("a watch", () => {
  it("without a word for as long as it may be fails with Silence, after what it said before", async () => {
    const api = await serve((_request, response) => response.writeHead(200).write('{"type":"ADDED"}\n'));
    const heard: unknown[] = [];
    const follow = async () => {
      for await (const event of await api.watch("/pods", {}, { signal, silence: 200 })) heard.push(event);
    };
    await expect(follow()).rejects.toThrow(Silence);
    expect(heard).toEqual([{ type: "ADDED" }]);
  });
});
