// Stands for your application: a transaction every second, sent to where the environment says. Elastic's APM agents
// read the same variable, so that none of this is needed with them.
import { randomBytes } from "node:crypto";

const url = `${process.env.ELASTIC_APM_SERVER_URL}/intake/v2/events`;
const metadata = { service: { name: "shop", agent: { name: "example", version: "1.0.0" } } };

async function order() {
  const id = randomBytes(16).toString("hex");
  // Milliseconds.
  const time = { duration: 2 };
  const names = { trace_id: id, id: id.slice(16), type: "request", name: "POST /orders" };
  const transaction = { ...names, ...time, span_count: { started: 0 } };
  const { status } = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: [{ metadata }, { transaction }].map((event) => `${JSON.stringify(event)}\n`).join(""),
  });
  console.log(`trace ${id}: ${url} answered ${status}`);
}

const attempt = () => order().catch(({ message, cause }) => console.error(message, cause?.message ?? ""));
attempt();
setInterval(attempt, 1000);
