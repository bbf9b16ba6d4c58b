import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { parseAllDocuments } from "yaml";
import { helmPath } from "../support/tools.ts";

/** The chart's directory. */
export const chart = fileURLToPath(new URL("../../component/chart", import.meta.url));

/** What to install, and under which name. */
export interface Release {
  values: unknown;
  name?: string;
  namespace?: string;
  /** The directory of another chart, which has ours as a dependency. */
  chart?: string;
}

/** A Kubernetes object, as far as tests look into it. */
export interface Manifest {
  kind: string;
  metadata: { name: string; namespace?: string; labels: Record<string, string>; annotations: Annotations };
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- read by path, and a wrong path is a failing test.
  [field: string]: any;
}

type Annotations = Record<string, string>;

/** The text that `helm template` prints. Rejects with helm's message when it refuses. */
export async function renderText(release: Release) {
  const { values, name = "mip", namespace = "kube-system" } = release;
  const args = ["template", name, release.chart ?? chart, "--namespace", namespace, "--values", "-"];
  const { stdout, stderr, failed } = await helm(args, values);
  if (failed) throw new Error(stderr);
  return `${stdout}\n`;
}

/**
 * What the chart's templates say of the values, as "path: what is wrong". Rejects where helm has another error, as one of its
 * schema's.
 */
export async function chartFaults(release: Release): Promise<string[]> {
  const message = await renderText(release).then(
    () => undefined,
    (error: Error) => error.message,
  );
  if (message === undefined) return [];
  const [, faults] = /cannot be installed, .* wrong:\n((?: {2}.*\n)+)/.exec(message) ?? [];
  if (faults === undefined) throw new Error(message);
  return faults
    .trimEnd()
    .split("\n")
    .map((line) => line.trim());
}

/** The objects that an installation consists of, from Helm as from Pulumi: no hooks. */
export async function render(release: Release): Promise<Manifest[]> {
  return (await renderAll(release)).filter(
    ({ metadata }) => metadata.annotations?.["helm.sh/hook"] === undefined,
  );
}

/** The pods that `helm test` runs. */
export async function renderTests(release: Release): Promise<Manifest[]> {
  return (await renderAll(release)).filter(
    ({ metadata }) => metadata.annotations?.["helm.sh/hook"] === "test",
  );
}

async function renderAll(release: Release): Promise<Manifest[]> {
  const documents = parseAllDocuments(await renderText(release));
  return documents.flatMap((document) => itemsOf(document.toJS() as Manifest));
}

/** The objects of a List, which Helm, kubectl and Pulumi expand too; else the object itself. */
function itemsOf(object: Manifest): Manifest[] {
  return object.kind === "List" ? (object.items as Manifest[]) : [object];
}

/** What `helm install` tells the user at the end. */
export async function renderNotes({
  values,
  name = "mip",
  namespace = "kube-system",
}: Release): Promise<string> {
  const args = ["install", name, chart, "--dry-run=client", "--namespace", namespace, "--values", "-"];
  const { stdout } = await helm(args, values);
  return `${stdout.slice(stdout.indexOf("NOTES:"))}\n`;
}

/** The only object of the kind (with the name). */
export function only(manifests: Manifest[], kind: string, name?: string): Manifest {
  const found = manifests.filter(
    (each) => each.kind === kind && (name ?? each.metadata.name) === each.metadata.name,
  );
  if (found.length !== 1 || !found[0])
    throw new Error(`${found.length} objects of kind ${kind} ${name ?? ""}`);
  return found[0];
}

/** The agent's configuration, as the pods of the (named) DaemonSet carry it. */
export function configText(manifests: Manifest[], name?: string): string {
  return only(manifests, "DaemonSet", name).spec.template.metadata.annotations["magic-ip-address/config"];
}

/** Runs helm with values on its standard input: YAML as it stands, or anything that JSON can say. */
export async function helm(args: string[], values: unknown) {
  const input = typeof values === "string" ? values : JSON.stringify(values);
  return execa(await helmPath(), args, { input, reject: false });
}

/** Values with one address, changed as told. */
export function oneAddress(address: object = {}, others: object = {}): object {
  const defaults = { ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] };
  return { addresses: [{ ...defaults, ...address }], ...others };
}
