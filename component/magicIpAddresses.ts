import * as pulumi from "@pulumi/pulumi";
import type { Agent } from "./agent";
import type { Address } from "./args";
import { type Client, environmentsOf } from "./clients";
import { dialedOf, endpointsOf } from "./endpoints";
import { type EnvironmentVariable, environmentFor } from "./environment";
import { argumentFaults } from "./faults";
import { installChart } from "./install";
import { argumentsOf, refuse, type Subject } from "./refusal";

/** Several magic IPs and the one agent that serves them. */
export interface MagicIpAddressesArgs {
  /** The magic IPs; at least one. No two may have the same address, protocol and port, or be the same whole IP. */
  addresses: pulumi.Input<pulumi.Input<Address>[]>;
  /** The agent that runs on every node. Default: one in `kube-system`, from this package's image. */
  agent?: pulumi.Input<Agent>;
  /**
   * Whether `pulumi up` goes on before the agents are ready; it otherwise fails after ten minutes without them. Default: `false`.
   */
  skipAwait?: pulumi.Input<boolean>;
  /**
   * Values for the chart that no argument exists for; one that an argument exists for is refused with the argument's name.
   * Example: `{ affinity: { … } }`
   */
  values?: pulumi.Input<pulumi.Inputs>;
}

/**
 * Several magic IPs served by one agent: a node pays for one process, whatever their number.
 * Its name is that of the agent's DaemonSet, and must be a DNS label of at most 53 characters.
 */
export class MagicIpAddresses extends pulumi.ComponentResource {
  /**
   * Every port as `ip:port` (`[ip]:port` for IPv6, the first port of a range, `ip` alone for a whole IP), by that text and, where
   * the port has a name that no other port has, by the name too; of an address with two IPs that is the one in `ipAddress`.
   */
  public readonly endpoints: pulumi.Output<{ [name: string]: string }>;
  /** The namespace that the agent is installed in. */
  public readonly namespace: pulumi.Output<string>;
  /** The name of the agent's DaemonSet. */
  public readonly daemonSetName: pulumi.Output<string>;
  /**
   * Ready environment variables, by client and name, as `environments.datadog.DD_AGENT_HOST`. Clients that no port is there for are absent; of several
   * addresses the first with a port for the client is its own.
   */
  public readonly environments: pulumi.Output<{ [client: string]: { [variable: string]: string } }>;

  /**
   * Wrong arguments are refused at preview, all in one error. Where an argument is not known then, the preview shows
   * something in its place, and says so.
   */
  constructor(name: string, args: MagicIpAddressesArgs, opts?: pulumi.ComponentResourceOptions) {
    const subject: Subject = { type: "MagicIpAddresses", name, pathOf: (path) => path };
    refuse(subject, argumentFaults(subject, argumentsOf(subject, args)));
    super("magic-ip-address:index:MagicIpAddresses", name, args, opts);

    this.namespace = installChart(this, subject, args, opts);
    const dialed = dialedOf(args.addresses);
    this.endpoints = dialed.apply(endpointsOf);
    this.daemonSetName = pulumi.output(name);
    this.environments = dialed.apply(environmentsOf);
    this.registerOutputs({
      endpoints: this.endpoints,
      namespace: this.namespace,
      daemonSetName: this.daemonSetName,
      environments: this.environments,
    });
  }

  /**
   * The variables that lead a client to its magic IP, ready for a container's `env`: those that Datadog's, Zipkin's, Elastic's or
   * OpenTelemetry's libraries read. An error where no port is one of the client's, by its name or usual number.
   * Example: `env: magicIp.env(Client.Datadog)`
   */
  public env(client: Client): pulumi.Output<EnvironmentVariable[]> {
    return environmentFor(this, client);
  }
}
