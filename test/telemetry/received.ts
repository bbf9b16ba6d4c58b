/** An attribute in OTLP's JSON (opentelemetry-proto, common.proto). */
interface Attribute {
  key: string;
  value: { stringValue?: string };
}

interface Span {
  name: string;
  attributes?: Attribute[];
}

interface DataPoint {
  attributes?: Attribute[];
  /** 64-bit integers are text in protobuf's JSON. */
  asInt?: string;
}

interface Metric {
  name: string;
  sum?: { dataPoints: DataPoint[] };
}

/** One line of the collector's file exporter: a batch of spans or one of metrics. */
interface Batch {
  resourceSpans?: { scopeSpans: { spans: Span[] }[] }[];
  resourceMetrics?: { scopeMetrics: { metrics: Metric[] }[] }[];
}

/** What came of each kind, by who says that he sent it and where it came from: `POD at ADDRESS`. */
export type Received = Record<string, Record<string, number>>;

/** Reads a collector's output, between lines of its own log. */
export function received(log: string): Received {
  const batches = log
    .split("\n")
    .filter((line) => line.startsWith('{"resource'))
    .map((line) => JSON.parse(line) as Batch);
  const all: Received = {};
  for (const { attributes, what, count } of batches.flatMap((batch) => [
    ...spansIn(batch),
    ...countsIn(batch),
  ])) {
    const sender = (all[senderOf(attributes)] ??= {});
    sender[what] = (sender[what] ?? 0) + count;
  }
  return all;
}

/** What is added up. */
interface Arrival {
  attributes: Attribute[] | undefined;
  what: string;
  count: number;
}

function spansIn({ resourceSpans = [] }: Batch): Arrival[] {
  const spans = resourceSpans.flatMap(({ scopeSpans }) => scopeSpans).flatMap(({ spans }) => spans);
  return spans.map(({ name, attributes }) => ({ attributes, what: `span ${name}`, count: 1 }));
}

function countsIn({ resourceMetrics = [] }: Batch): Arrival[] {
  const metrics = resourceMetrics
    .flatMap(({ scopeMetrics }) => scopeMetrics)
    .flatMap(({ metrics }) => metrics);
  return metrics.flatMap(({ name, sum }) =>
    (sum?.dataPoints ?? []).map(({ attributes, asInt }) => ({
      attributes,
      what: `metric ${name}`,
      count: Number(asInt),
    })),
  );
}

function senderOf(attributes: Attribute[] = []): string {
  const valueOf = (wanted: string) => attributes.find(({ key }) => key === wanted)?.value.stringValue;
  return `${valueOf("pod")} at ${valueOf("client.address")}`;
}
