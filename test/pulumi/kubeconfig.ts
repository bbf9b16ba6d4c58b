import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Writes a kubeconfig of one cluster and one user, each in kubeconfig's own words; returns its path. */
export async function writeKubeconfig(directory: string, cluster: object, user: object): Promise<string> {
  const file = join(directory, "kubeconfig");
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster }],
    users: [{ name: "test", user }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    "current-context": "test",
  };
  await writeFile(file, JSON.stringify(kubeconfig));
  return file;
}
