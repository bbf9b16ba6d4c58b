import { execa } from "execa";

/** A tool that builds images, and why it was taken. */
export interface Builder {
  name: "docker" | "podman" | "buildah";
  reason: string;
}

/** Finds the first of docker, podman and buildah that is installed and works. */
export async function findBuilder(): Promise<Builder> {
  const refusals: string[] = [];
  for (const [name, question] of QUESTIONS) {
    const refusal = await refusalOf(name, question);
    if (refusal === undefined) return { name, reason: ["it works here", ...refusals].join("; ") };
    refusals.push(`${name}: ${refusal}`);
  }
  throw new Error(
    `no tool to build an image with (${refusals.join("; ")}). Install docker, podman or buildah; on Debian: apt-get install buildah`,
  );
}

// What only a tool that can work answers: a docker client asks its engine, the others look at their storage.
const QUESTIONS = [
  ["docker", ["version", "--format", "{{.Server.Version}}"]],
  ["podman", ["info"]],
  ["buildah", ["info"]],
] as const;

async function refusalOf(name: string, question: readonly string[]): Promise<string | undefined> {
  const { failed, code, stderr, shortMessage } = await execa(name, question, {
    reject: false,
    timeout: 20_000,
  });
  if (!failed) return undefined;
  return code === "ENOENT" ? "not installed" : (stderr || shortMessage || "").trim().split("\n").at(-1);
}
