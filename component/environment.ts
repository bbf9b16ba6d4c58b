import * as pulumi from "@pulumi/pulumi";
import { Client, portsFor } from "./clients";

/** One variable, as in a container's `env`. */
export interface EnvironmentVariable {
  name: string;
  value: string;
}

/** The outputs of a component that a client's variables are made of. */
interface Installed {
  daemonSetName: pulumi.Output<string>;
  environments: pulumi.Output<{ [client: string]: { [variable: string]: string } }>;
}

/** The client's variables, as a list for a container's `env`; an error where there are none. */
export function environmentFor(
  { daemonSetName, environments }: Installed,
  client: Client,
): pulumi.Output<EnvironmentVariable[]> {
  const clients = Object.values(Client);
  if (!clients.includes(client)) {
    throw new pulumi.RunError(`env("${client}"): there is no such client: write ${inWords(clients)}`);
  }
  return pulumi.all([daemonSetName, environments]).apply(([name, all]) => variablesFor(client, name, all));
}

/** @throws {RunError} when no port is one of the client's; its message names the ports to add */
export function variablesFor(
  client: Client,
  name: string,
  environments: { [client: string]: { [variable: string]: string } },
): EnvironmentVariable[] {
  const variables = Object.entries(environments[client] ?? {});
  if (variables.length > 0) return variables.map(([variable, value]) => ({ name: variable, value }));
  throw new pulumi.RunError(
    `env("${client}") of "${name}": none of its ports is one for this client: add ${inWords(portsFor(client))}`,
  );
}

function inWords(choices: string[]): string {
  return choices.join(", ").replace(/, ([^,]*)$/, " or $1");
}
