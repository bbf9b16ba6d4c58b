import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json, text } from "node:stream/consumers";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { examples, promisedEnvironments } from "./example.ts";

// The stand-ins for applications, each as its own process, with the environment that its README promises: only the magic
// IP's address and port are those of a server here.

const http = createServer();
const udp = createSocket("udp4");
beforeAll(async () => {
  http.listen(0, "127.0.0.1");
  udp.bind(0, "127.0.0.1");
  await Promise.all([once(http, "listening"), once(udp, "listening")]);
});
afterAll(() => {
  http.close();
  http.closeAllConnections();
  udp.close();
});

const ofHttp = () => (http.address() as AddressInfo).port;

async function environment(example: string): Promise<Record<string, string>> {
  const [promised = []] = await promisedEnvironments(example);
  const here = promised.map(([name, value]) => [
    name,
    value.replace(/169\.254\.210\.210:\d+/, `127.0.0.1:${ofHttp()}`).replace("169.254.210.210", "127.0.0.1"),
  ]);
  return Object.fromEntries(here);
}

/** What the application of an example sends first, and what it prints when that is answered. */
async function firstRequest(example: string, changes: Record<string, string> = {}) {
  const env = { ...(await environment(example)), ...changes };
  const program = execa(process.execPath, [`${examples}/${example}/application.mjs`], { env, reject: false });
  const datagram = once(udp, "message");
  const [request, response] = await once(http, "request");
  const body = await (request.headers["content-type"] === "application/json" ? json(request) : text(request));
  response.writeHead(202).end();
  const [printed] = await once(program.stdout, "data");
  program.kill();
  await program;
  return { request: `${request.method} ${request.url}`, body, datagram, printed: String(printed) };
}

describe("the stand-ins for applications", () => {
  it("sends Datadog a trace and a metric", async () => {
    const changes = { DD_DOGSTATSD_PORT: String(udp.address().port), DD_ENTITY_ID: "uid" };
    const { request, body, datagram, printed } = await firstRequest("dd-agent", changes);
    expect(request).toBe("PUT /v0.3/traces");
    expect(body).toMatchObject([[{ service: "shop", name: "web.request", resource: "POST /orders" }]]);
    const [message] = await datagram;
    expect(String(message)).toBe("shop.orders:1|c|#dd.internal.entity_id:uid");
    expect(printed).toMatch(/^trace \d+: http:\/\/127.0.0.1:\d+ answered 202\n$/);
  });

  it.each(["dd-zipkin", "zipkin-gcp"])(
    "sends Zipkin a span with a trace ID of 128 bits (%s)",
    async (example) => {
      const { request, body } = await firstRequest(example);
      expect(request).toBe("POST /api/v2/spans");
      expect(body).toMatchObject([{ name: "post /orders", localEndpoint: { serviceName: "shop" } }]);
      const [{ traceId, id, timestamp }] = body as [{ traceId: string; id: string; timestamp: number }];
      expect([traceId, id]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), traceId.slice(16)]);
      expect(Math.abs(timestamp / 1000 - Date.now())).toBeLessThan(60_000);
    },
  );

  it("sends Elastic a transaction", async () => {
    const { request, body } = await firstRequest("apm-server");
    expect(request).toBe("POST /intake/v2/events");
    const [metadata, transaction] = (body as string)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(metadata).toMatchObject({ metadata: { service: { name: "shop" } } });
    expect(transaction).toMatchObject({ transaction: { name: "POST /orders", span_count: { started: 0 } } });
  });

  it("goes on when nobody is there", async () => {
    const env = { OTEL_EXPORTER_ZIPKIN_ENDPOINT: "http://127.0.0.1:1/api/v2/spans" };
    const program = execa(process.execPath, [`${examples}/dd-zipkin/application.mjs`], {
      env,
      reject: false,
    });
    const errors = [await once(program.stderr, "data"), await once(program.stderr, "data")];
    expect(errors.map(String).join()).toMatch(/ECONNREFUSED|fetch failed/);
    // One that had ended would have done so by now, and not by this signal.
    expect(program.kill("SIGTERM")).toBe(true);
    expect(await program).toMatchObject({ signal: "SIGTERM" });
  });
});
