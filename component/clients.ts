import { type Dialed, endpoint } from "./endpoints";
import { canonicalIp } from "./address/ip";

/** Clients that learn from environment variables where to send. */
export const Client = {
  Datadog: "datadog",
  Zipkin: "zipkin",
  ElasticApm: "elasticApm",
  OpenTelemetry: "openTelemetry",
} as const;
export type Client = (typeof Client)[keyof typeof Client];

/** The variables of a container's environment, by name. */
type Variables = Record<string, string>;

/** A port that a client looks for: the first of `names` that the address has, else the number `port`. */
interface Wish {
  names: string[];
  port: number;
  protocol: "TCP" | "UDP";
  /** The environment variables that send a client to that port. */
  variables(found: { ip: string; port: number; at: string }): Variables;
}

const datadogTraces: Wish = {
  names: ["apm", "traceport"],
  port: 8126,
  protocol: "TCP",
  variables: ({ ip, port, at }) => ({
    DD_AGENT_HOST: ip,
    DD_TRACE_AGENT_PORT: String(port),
    DD_TRACE_AGENT_URL: `http://${at}`,
  }),
};

const dogstatsd: Wish = {
  names: ["dogstatsd", "dogstatsdport"],
  port: 8125,
  protocol: "UDP",
  variables: ({ ip, port }) => ({ DD_AGENT_HOST: ip, DD_DOGSTATSD_PORT: String(port) }),
};

const zipkin: Wish = {
  names: ["zipkin"],
  port: 9411,
  protocol: "TCP",
  variables: ({ at }) => ({
    OTEL_EXPORTER_ZIPKIN_ENDPOINT: `http://${at}/api/v2/spans`,
    MANAGEMENT_ZIPKIN_TRACING_ENDPOINT: `http://${at}/api/v2/spans`,
    // Spring Boot 4 renamed the variable (spring-boot#47958).
    MANAGEMENT_TRACING_EXPORT_ZIPKIN_ENDPOINT: `http://${at}/api/v2/spans`,
  }),
};

const elasticApm: Wish = {
  names: ["apm-server", "elastic-apm"],
  port: 8200,
  protocol: "TCP",
  variables: ({ at }) => ({ ELASTIC_APM_SERVER_URL: `http://${at}` }),
};

const otlpGrpc = otlp(["otlp-grpc", "otlp"], 4317, "grpc");
const otlpHttp = otlp(["otlp-http"], 4318, "http/protobuf");

/** Variables of an earlier port win over those of a later one. */
const wishes: Record<Client, Wish[]> = {
  datadog: [datadogTraces, dogstatsd],
  zipkin: [zipkin],
  elasticApm: [elasticApm],
  openTelemetry: [otlpGrpc, otlpHttp],
};

/**
 * A container's environment variables, by client. A client is absent when no address has a port for it; when several
 * addresses have one, the first of them is used.
 */
export function environmentsOf(addresses: Dialed[]): Record<string, Variables> {
  return Object.fromEntries(
    Object.values(Client).flatMap((client) => {
      const variables = addresses.map((address) => variablesFor(client, address));
      const first = variables.find((each) => Object.keys(each).length > 0);
      return first === undefined ? [] : [[client, first]];
    }),
  );
}

/** The ports that a client can use, as text for messages. */
export function portsFor(client: Client): string[] {
  return wishes[client].map(
    ({ names, port, protocol }) => `${port}/${protocol} (or any named ${names.join(" or ")})`,
  );
}

function variablesFor(client: Client, address: Dialed): Variables {
  const found = wishes[client].map((wish) => {
    const port = portFor(wish, address);
    if (port === undefined) return {};
    const ip = canonicalIp(String(address.ipAddress));
    return wish.variables({ ip, port, at: endpoint(ip, port) });
  });
  return found.reduceRight((all, each) => ({ ...all, ...each }), {});
}

/** The port of the address that the client uses. A whole IP has every port, so it is the client's usual one. */
function portFor(wish: Wish, { ports }: Dialed): number | undefined {
  const { names, port, protocol } = wish;
  if (!Array.isArray(ports) || ports.length === 0) return port;
  const fitting = ports.filter((each) => (each.protocol ?? "TCP") === protocol);
  // A port `otlp` with the number 4318 speaks HTTP, and a port `apm` with 8200 is Elastic's: a number that is usual for
  // another client or protocol outweighs the name.
  const own = fitting.filter((each) => !isUsualForAnother(wish, each.port));
  const [named] = names.flatMap((name) => own.filter((each) => each.name === name));
  const numbered = fitting.some((each) => each.port <= port && port <= (each.endPort ?? each.port));
  return named?.port ?? (numbered ? port : undefined);
}

function isUsualForAnother(wish: Wish, port: number): boolean {
  const others = Object.values(wishes).flat();
  return others.some((other) => other !== wish && other.port === port && other.protocol === wish.protocol);
}

function otlp(names: string[], port: number, protocol: string): Wish {
  return {
    ...{ names, port, protocol: "TCP" },
    variables: ({ at }) => ({
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://${at}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    }),
  };
}
