import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";

const ATTEMPT_MS = 2000;

/** What the API server answers. */
export interface Answer {
  status: number;
  /** The text of it, which for an object is JSON. */
  body: string;
}

/**
 * One request to the API server; undefined when it does not answer. It is for questions that are asked many times a second,
 * where a kubectl for each would take all of the processor.
 */
export function ask(kubeconfig: string, path: string, post?: object): Promise<Answer | undefined> {
  const { server, ca, token } = credentials(kubeconfig);
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const method = post ? "POST" : "GET";
  return new Promise((resolve) => {
    const call = request(new URL(path, server), { method, ca, headers, timeout: ATTEMPT_MS, agent: false });
    call.on("response", (response) => void answerOf(response).then(resolve, () => resolve(undefined)));
    call.on("timeout", () => call.destroy());
    call.on("error", () => resolve(undefined));
    call.end(post && JSON.stringify(post));
  });
}

async function answerOf(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() };
}

function credentials(kubeconfig: string): { server: string; ca: Buffer; token: string } {
  const { clusters, users } = JSON.parse(readFileSync(kubeconfig, "utf8"));
  const { server, "certificate-authority-data": authority } = clusters[0].cluster;
  return { server, ca: Buffer.from(authority, "base64"), token: users[0].user.token };
}
