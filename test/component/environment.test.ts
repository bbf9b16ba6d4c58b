import { describe, expect, it } from "vitest";
import { variablesFor } from "../../component/environment.ts";
import { type Address, Client, MagicIpAddress, MagicIpAddresses } from "../../index.ts";
import { known, mockPulumi } from "./installation.ts";

await mockPulumi();

const ip = "169.254.210.210";
const of = (...ports: { [field: string]: unknown }[]) =>
  ({ ipAddress: ip, selector: "app=x", ports }) as unknown as Address & { ports: [] };
const installed = (address: Address) => new MagicIpAddress("x", address);
const environments = (...addresses: Address[]) =>
  known(new MagicIpAddresses("several", { addresses }).environments);

const apm = { DD_AGENT_HOST: ip, DD_TRACE_AGENT_PORT: "8126", DD_TRACE_AGENT_URL: `http://${ip}:8126` };
const dogstatsd = { DD_AGENT_HOST: ip, DD_DOGSTATSD_PORT: "8125" };
const zipkin = (at: string) => ({
  OTEL_EXPORTER_ZIPKIN_ENDPOINT: `http://${at}/api/v2/spans`,
  MANAGEMENT_ZIPKIN_TRACING_ENDPOINT: `http://${at}/api/v2/spans`,
  MANAGEMENT_TRACING_EXPORT_ZIPKIN_ENDPOINT: `http://${at}/api/v2/spans`,
});
const otlp = (port: number, protocol: string) => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://${ip}:${port}`,
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
});
const udp = { protocol: "UDP" };

describe("environments", () => {
  it.each<[string, Address, object]>([
    ["Datadog's traces by number", of({ port: 8126 }), { datadog: apm }],
    ["DogStatsD by number", of({ port: 8125, ...udp }), { datadog: dogstatsd }],
    ["both", of({ port: 8125, ...udp }, { port: 8126 }), { datadog: { ...dogstatsd, ...apm } }],
    [
      "both by their containers' names, wherever they are",
      of({ name: "traceport", port: 1 }, { name: "dogstatsdport", port: 2, ...udp }),
      {
        datadog: {
          DD_AGENT_HOST: ip,
          DD_TRACE_AGENT_PORT: "1",
          DD_TRACE_AGENT_URL: `http://${ip}:1`,
          DD_DOGSTATSD_PORT: "2",
        },
      },
    ],
    ["nothing by the wrong protocol", of({ port: 8126, ...udp }, { port: 8125 }), {}],
    ["Zipkin", of({ port: 9411 }), { zipkin: zipkin(`${ip}:9411`) }],
    [
      "Zipkin by name rather than number",
      of({ port: 9411 }, { name: "zipkin", port: 80 }),
      { zipkin: zipkin(`${ip}:80`) },
    ],
    ["Elastic", of({ port: 8200 }), { elasticApm: { ELASTIC_APM_SERVER_URL: `http://${ip}:8200` } }],
    [
      "Elastic by name",
      of({ name: "apm-server", port: 1 }),
      { elasticApm: { ELASTIC_APM_SERVER_URL: `http://${ip}:1` } },
    ],
    ["OTLP over gRPC", of({ port: 4317 }), { openTelemetry: otlp(4317, "grpc") }],
    ["OTLP over gRPC by name", of({ name: "otlp", port: 1 }), { openTelemetry: otlp(1, "grpc") }],
    ["OTLP over HTTP", of({ port: 4318 }), { openTelemetry: otlp(4318, "http/protobuf") }],
    [
      "OTLP over HTTP at its usual port, although the name could be that of gRPC",
      of({ name: "otlp", port: 4318 }),
      { openTelemetry: otlp(4318, "http/protobuf") },
    ],
    [
      "OTLP over gRPC by the better name, wherever that stands",
      of({ name: "otlp", port: 1 }, { name: "otlp-grpc", port: 2 }),
      { openTelemetry: otlp(2, "grpc") },
    ],
    [
      "both kinds of OTLP, each at its usual port, although a name says otherwise",
      of({ name: "otlp", port: 4318 }, { name: "otlp-grpc", port: 4317 }),
      { openTelemetry: otlp(4317, "grpc") },
    ],
    [
      "Elastic at its usual port, although its name is one of Datadog's",
      of({ name: "apm", port: 8200 }, { port: 8126 }),
      { datadog: apm, elasticApm: { ELASTIC_APM_SERVER_URL: `http://${ip}:8200` } },
    ],
    [
      "Datadog by name at a number that is another client's over another protocol",
      of({ name: "dogstatsd", port: 9411, ...udp }),
      { datadog: { ...dogstatsd, DD_DOGSTATSD_PORT: "9411" } },
    ],
    ["of both the one over gRPC", of({ port: 4318 }, { port: 4317 }), { openTelemetry: otlp(4317, "grpc") }],
    [
      "a port within a range",
      of({ port: 8000, endPort: 9000 }),
      { datadog: apm, elasticApm: { ELASTIC_APM_SERVER_URL: `http://${ip}:8200` } },
    ],
    [
      "an IPv6 address, in brackets where a port follows",
      { ...of({ port: 9411 }), ipAddress: "FD00:210:0::210" },
      { zipkin: zipkin("[fd00:210::210]:9411") },
    ],
  ])("have %s", async (_, address, expected) => {
    expect(await known(installed(address).environments)).toEqual(expected);
  });

  it("of a whole IP have every client at its usual port", async () => {
    expect(Object.keys((await known(installed(of()).environments)) ?? {})).toEqual(Object.values(Client));
  });

  it("of several addresses have each client at the first that has a port for it", async () => {
    const second = { ...of({ port: 8126 }, { port: 9411 }), ipAddress: "169.254.210.211" };
    expect(await environments(of({ port: 8125, ...udp }), second)).toEqual({
      datadog: dogstatsd,
      zipkin: zipkin("169.254.210.211:9411"),
    });
  });
});

describe("env", () => {
  it("is ready for a container", async () => {
    expect(await known(installed(of({ port: 8126 })).env(Client.Datadog))).toEqual([
      { name: "DD_AGENT_HOST", value: ip },
      { name: "DD_TRACE_AGENT_PORT", value: "8126" },
      { name: "DD_TRACE_AGENT_URL", value: `http://${ip}:8126` },
    ]);
  });

  it("says which ports would do, where there is none", () => {
    expect(() => variablesFor(Client.OpenTelemetry, "x", { datadog: apm })).toThrow(
      'env("openTelemetry") of "x": none of its ports is one for this client: add 4317/TCP (or any named otlp-grpc or otlp) or 4318/TCP (or any named otlp-http)',
    );
  });

  it("knows no other clients", () => {
    expect(() => installed(of({ port: 80 })).env("jaeger" as Client)).toThrow(
      'env("jaeger"): there is no such client: write datadog, zipkin, elasticApm or openTelemetry',
    );
  });
});
