import { createRequire } from "node:module";
import * as pulumi from "@pulumi/pulumi";
import type { ConstructResult } from "@pulumi/pulumi/provider/index.js";
import { execa } from "execa";
import { parseAllDocuments } from "yaml";
import { idOf, inNamespace, type KubernetesObject } from "./object.ts";
import { inOrder } from "./order.ts";

/** The type of `kubernetes.helm.v4.Chart`. */
export const CHART = "kubernetes:helm.sh/v4:Chart";

/** Renders the chart with `helm template` and registers each of its objects as a child of the Chart. */
export async function constructChart(
  name: string,
  inputs: pulumi.Inputs,
  options: pulumi.ComponentResourceOptions,
): Promise<ConstructResult> {
  const chart = new Chart(name, options);
  const request = await known<ChartInputs>(inputs);
  if (request === undefined) {
    // The real provider does the same: it renders nothing rather than something that depends on a guess.
    await pulumi.log.warn("Input properties have unknown values. Preview is incomplete.", chart);
    return { urn: chart.urn, state: { resources: [] } };
  }
  refuseUnknownInputs(request);
  const objects = await render(name, request);
  return { urn: chart.urn, state: { resources: register(chart, request.resourcePrefix ?? name, objects) } };
}

class Chart extends pulumi.ComponentResource {
  constructor(name: string, options: pulumi.ComponentResourceOptions) {
    super(CHART, name, {}, options);
  }
}

class ChildObject extends pulumi.CustomResource {}

interface ChartInputs {
  chart: string;
  name?: string;
  namespace?: string;
  resourcePrefix?: string;
  skipAwait?: boolean;
  skipCrds?: boolean;
  values?: Record<string, unknown>;
}

const SUPPORTED = ["chart", "name", "namespace", "resourcePrefix", "skipAwait", "skipCrds", "values"];

function refuseUnknownInputs(inputs: ChartInputs) {
  const strangers = Object.keys(inputs).filter((input) => !SUPPORTED.includes(input));
  if (strangers.length > 0) {
    throw new Error(
      `helm.v4.Chart: ${strangers.join(", ")}: not known to the tests' stand-in for the Kubernetes provider`,
    );
  }
}

/** The inputs with every Output resolved, or undefined while one of them is unknown. */
async function known<Shape>(inputs: pulumi.Inputs): Promise<Shape | undefined> {
  // Output.apply would call back too late: Construct must not answer before the children are registered.
  const output = pulumi.output(inputs) as unknown as { isKnown: Promise<boolean>; promise(): Promise<Shape> };
  return (await output.isKnown) ? output.promise() : undefined;
}

async function render(chartName: string, inputs: ChartInputs): Promise<KubernetesObject[]> {
  const args = ["template", inputs.name ?? chartName, inputs.chart, "--values=-", "--no-hooks"];
  if (inputs.namespace) args.push(`--namespace=${inputs.namespace}`);
  if (!inputs.skipCrds) args.push("--include-crds");
  const version = await serverVersion();
  if (version) args.push(`--kube-version=${version}`);
  const { stdout, stderr, failed, shortMessage } = await execa("helm", args, {
    input: JSON.stringify(inputs.values ?? {}),
    reject: false,
  });
  if (failed) throw new Error(`helm template ${inputs.chart}: ${stderr.trim() || shortMessage}`);
  return (
    parseAllDocuments(stdout)
      .map((document) => document.toJS() as KubernetesObject | null)
      .filter((object) => object !== null)
      // As the real provider expands lists.
      .flatMap((object) => (object.kind === "List" ? (object.items as KubernetesObject[]) : [object]))
      .map((object) =>
        inNamespace(inputs.skipAwait ? withoutAwait(object) : object, inputs.namespace ?? "default"),
      )
  );
}

function withoutAwait(object: KubernetesObject): KubernetesObject {
  const annotations = { ...object.metadata.annotations, "pulumi.com/skipAwait": "true" };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** The cluster's version for `.Capabilities`, or undefined while it cannot be reached. */
async function serverVersion(): Promise<string | undefined> {
  const { failed, stdout } = await execa("kubectl", ["version", "--output=json", "--request-timeout=5s"], {
    reject: false,
    stdin: "ignore",
  });
  if (failed) return undefined;
  return (JSON.parse(stdout) as { serverVersion?: { gitVersion: string } }).serverVersion?.gitVersion;
}

/** The version of the Kubernetes SDK: what the program's own Chart asks for, so that the engine starts one provider for both. */
export const { version } = createRequire(import.meta.url)("@pulumi/kubernetes/package.json") as {
  version: string;
};

function register(parent: Chart, prefix: string, objects: KubernetesObject[]): pulumi.Resource[] {
  const resources = new Map<KubernetesObject, pulumi.Resource>();
  for (const { object, needs } of inOrder(objects)) {
    const type = `kubernetes:${object.apiVersion.includes("/") ? object.apiVersion : `core/${object.apiVersion}`}:${object.kind}`;
    const dependsOn = needs.map((need) => resources.get(need)).filter((need) => need !== undefined);
    const retainOnDelete = object.metadata.annotations?.["helm.sh/resource-policy"] === "keep";
    const options = { parent, dependsOn, retainOnDelete, version };
    resources.set(object, new ChildObject(type, `${prefix}:${idOf(object)}`, object, options));
  }
  return [...resources.values()];
}
