/**
 * A stand-in for pulumi-resource-kubernetes, for machines that cannot download it: the real engine, state and diffs, with
 * kubectl and helm behind them. Test support, never product; plugin.ts chooses the real one wherever it is installed.
 * It serves the cluster of $KUBECONFIG: @pulumi/pulumi/provider hands no provider configuration on.
 */
import { randomBytes } from "node:crypto";
import type { CreateResult, Provider, ReadResult } from "@pulumi/pulumi/provider/index.js";
import * as pulumiProvider from "@pulumi/pulumi/provider/index.js";
import { CHART, constructChart, version } from "./chart.ts";
import { difference } from "./difference.ts";
import { apply, awaitReady, read, remove } from "./kubectl.ts";
import { idOf, type KubernetesObject, plain } from "./object.ts";

/** The state that Pulumi keeps: the object as the server has it, and the inputs to compare the next ones with. */
type Outputs = KubernetesObject & { __inputs: KubernetesObject };

const kubernetes: Provider = {
  version: `${version}+stand-in`,

  async check(urn, olds: Partial<KubernetesObject>, news: KubernetesObject) {
    if (news.metadata?.name) return { inputs: news };
    const name = olds.metadata?.name ?? `${urn.split("::").at(-1)}-${randomBytes(4).toString("hex")}`;
    return { inputs: { ...news, metadata: { ...news.metadata, name } } };
  },

  async diff(_id, _urn, olds: Outputs, news: KubernetesObject) {
    return difference(olds.__inputs, news);
  },

  async create(_urn, inputs: KubernetesObject): Promise<CreateResult> {
    return { id: idOf(inputs), outs: await settle(inputs) };
  },

  async update(_id, _urn, _olds, news: KubernetesObject) {
    return { outs: await settle(news) };
  },

  async read(id, _urn, outputs: Outputs): Promise<ReadResult> {
    const live = await read(outputs);
    return live
      ? { id, props: outputsOf(live, outputs.__inputs), inputs: outputs.__inputs }
      : { id: "", props: {} };
  },

  async delete(_id, _urn, outputs: Outputs) {
    await remove(outputs);
  },

  async construct(name, type, inputs, options) {
    if (type !== CHART)
      throw new Error(`${type}: not known to the tests' stand-in for the Kubernetes provider`);
    return constructChart(name, inputs, options);
  },
};

async function settle(inputs: KubernetesObject): Promise<Outputs> {
  const live = await apply(plain(inputs) as KubernetesObject);
  const outputs = outputsOf(live, inputs);
  try {
    await awaitReady(live);
  } catch (error) {
    // The object exists: the engine must keep it in its state, to update or delete it next time.
    const reasons = [(error as Error).message];
    throw Object.assign(new Error(reasons[0]), { id: idOf(live), properties: outputs, reasons });
  }
  return outputs;
}

/** Without the record of who manages which field: it is long, and nobody's output. */
function outputsOf(live: KubernetesObject, inputs: KubernetesObject): Outputs {
  const outputs = structuredClone({ ...live, __inputs: inputs });
  delete outputs.metadata.managedFields;
  return outputs;
}

await pulumiProvider.main(kubernetes, process.argv.slice(2));
