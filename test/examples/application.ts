import type { Environment } from "./example.ts";
import type { Run } from "../component/host.ts";
import { plain } from "./plain.ts";

/** A program's application, as the cluster would get it. */
export interface Application {
  name: string;
  /** What the manifest gives as a value; what Kubernetes fills in is not among it. */
  environment: Environment;
  /** The URNs of what is there before it starts. */
  dependencies: string[];
}

/** The Deployments that a program registered, in their order. */
export async function applications({ registrations }: Run): Promise<Application[]> {
  const deployments = registrations.filter(({ type }) => type === "kubernetes:apps/v1:Deployment");
  return Promise.all(
    deployments.map(async ({ name, inputs, dependencies }) => {
      const { spec } = await plain(inputs);
      const variables: { name: string; value?: string }[] = spec.template.spec.containers[0].env;
      const environment = variables.flatMap(({ name, value }): Environment =>
        value === undefined ? [] : [[name, value]],
      );
      return { name, environment, dependencies };
    }),
  );
}
