// Stands for your application: a Zipkin span every second, sent to where the environment says. OpenTelemetry's Zipkin
// exporters and Spring Boot read such variables themselves, so that none of this is needed with them.
import { randomBytes } from "node:crypto";

const url = process.env.OTEL_EXPORTER_ZIPKIN_ENDPOINT;

async function order() {
  const traceId = randomBytes(16).toString("hex");
  // Microseconds.
  const time = { timestamp: Date.now() * 1000, duration: 2000 };
  const span = { traceId, id: traceId.slice(16), kind: "SERVER", name: "post /orders", ...time };
  const { status } = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify([{ ...span, localEndpoint: { serviceName: "shop" } }]),
  });
  console.log(`trace ${traceId}: ${url} answered ${status}`);
}

const attempt = () => order().catch(({ message, cause }) => console.error(message, cause?.message ?? ""));
attempt();
setInterval(attempt, 1000);
