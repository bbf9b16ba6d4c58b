import { execa } from "execa";
import { kubectlPath } from "../support/tools.ts";

/** Runs kubectl against a cluster and returns what it prints; a failure throws with the command and its stderr. */
export async function runKubectl(kubeconfig: string, args: readonly string[], input = ""): Promise<string> {
  const { stdout } = await execa(await kubectlPath(), args, { env: { KUBECONFIG: kubeconfig }, input });
  return stdout;
}
