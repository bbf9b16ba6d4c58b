// An application with telemetry, as many are: it tells its libraries nothing of where to send. They read it from the
// environment: hot-shots from DD_AGENT_HOST and DD_DOGSTATSD_PORT, OpenTelemetry's Zipkin exporter from
// OTEL_EXPORTER_ZIPKIN_ENDPOINT. Each of ORDERS (default 20) is a span and a count, marked with POD; then it only waits.
import { diag, DiagConsoleLogger, DiagLogLevel } from "@opentelemetry/api";
import { ZipkinExporter } from "@opentelemetry/exporter-zipkin";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { StatsD } from "hot-shots";

const { POD = "", ORDERS = "20" } = process.env;

process.on("SIGTERM", () => process.exit(0));
diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);

// In a Datadog environment it would send metrics about itself, too.
const statsd = new StatsD({
  globalTags: { pod: POD },
  includeDatadogTelemetry: false,
  errorHandler: console.error,
});
const provider = new BasicTracerProvider({
  spanProcessors: [new BatchSpanProcessor(new ZipkinExporter())],
});
const tracer = provider.getTracer("shop");

for (let order = 1; order <= Number(ORDERS); order++) {
  tracer.startSpan("order", { attributes: { pod: POD } }).end();
  statsd.increment("orders");
}
await provider.forceFlush().catch(console.error);
statsd.close((error) => error && console.error(error));
setInterval(() => {}, 60_000);
