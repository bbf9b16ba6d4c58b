// Stands for your application: a trace and a count every second, sent to where the environment says. Datadog's own
// libraries (dd-trace, hot-shots, …) read the same variables, so that none of this is needed with them.
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";

const { DD_AGENT_HOST, DD_DOGSTATSD_PORT, DD_ENTITY_ID, DD_TRACE_AGENT_URL } = process.env;
const udp = createSocket(DD_AGENT_HOST.includes(":") ? "udp6" : "udp4");

async function order() {
  const [start, id] = [Date.now(), randomInt(1, 2 ** 47)];
  const count = `shop.orders:1|c|#dd.internal.entity_id:${DD_ENTITY_ID}`;
  udp.send(count, Number(DD_DOGSTATSD_PORT), DD_AGENT_HOST);
  const span = { trace_id: id, span_id: id, parent_id: 0, service: "shop", name: "web.request" };
  // Nanoseconds.
  const time = { start: start * 1e6, duration: 2e6 };
  const { status } = await fetch(`${DD_TRACE_AGENT_URL}/v0.3/traces`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify([[{ ...span, ...time, resource: "POST /orders", type: "web", error: 0 }]]),
  });
  console.log(`trace ${id}: ${DD_TRACE_AGENT_URL} answered ${status}`);
}

const attempt = () => order().catch(({ message, cause }) => console.error(message, cause?.message ?? ""));
attempt();
setInterval(attempt, 1000);
