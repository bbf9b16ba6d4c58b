import * as pulumi from "@pulumi/pulumi";
import type { Agent } from "./agent";
import type { Address } from "./args";
import { type Client, environmentsOf } from "./clients";
import { type Dialed, dialedOf, endpointOf, endpointsOf } from "./endpoints";
import { type EnvironmentVariable, environmentFor } from "./environment";
import { argumentFaults } from "./faults";
import { installChart } from "./install";
import { argumentsOf, refuse, type Subject } from "./refusal";

/** One magic IP and the agent that serves it. */
export interface MagicIpAddressArgs extends Address {
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
 * A magic IP on every node of the cluster: pods reach the target pod on their own node by a well-known address.
 * Its name is that of the agent's DaemonSet, and must be a DNS label of at most 53 characters.
 */
export class MagicIpAddress extends pulumi.ComponentResource {
  /** The magic IP. */
  public readonly ipAddress: pulumi.Output<string>;
  /**
   * The first port as `ip:port`, ready for a client's configuration: an IPv6 address is in brackets, a range is there with
   * its first port, and a whole IP without any.
   */
  public readonly endpoint: pulumi.Output<string>;
  /**
   * Every port as `ip:port` (`[ip]:port` for IPv6, the first port of a range, `ip` alone for a whole IP), by that text and by its
   * name; of two IPs the name gives the one in `ipAddress`.
   */
  public readonly endpoints: pulumi.Output<{ [name: string]: string }>;
  /** The namespace that the agent is installed in. */
  public readonly namespace: pulumi.Output<string>;
  /** The name of the agent's DaemonSet. */
  public readonly daemonSetName: pulumi.Output<string>;
  /** Ready environment variables, by client and name, as `environments.datadog.DD_AGENT_HOST`. Clients that no port is there for are absent. */
  public readonly environments: pulumi.Output<{ [client: string]: { [variable: string]: string } }>;

  /**
   * Wrong arguments are refused at preview, all in one error. Where an argument is not known then, the preview shows
   * something in its place, and says so.
   */
  constructor(name: string, args: MagicIpAddressArgs, opts?: pulumi.ComponentResourceOptions) {
    const subject: Subject = { type: "MagicIpAddress", name, alone: true, pathOf: ofOneAddress };
    const { agent, skipAwait, values, ...address } = argumentsOf(subject, args);
    const installation = { addresses: [address], agent, skipAwait, values };
    refuse(subject, argumentFaults(subject, installation));
    super("magic-ip-address:index:MagicIpAddress", name, args, opts);

    this.namespace = installChart(this, subject, installation, opts);
    this.ipAddress = pulumi.output(args.ipAddress);
    const dialed = dialedOf([address]);
    this.endpoint = dialed.apply(([only]) => endpointOf(only as Dialed));
    this.endpoints = dialed.apply(endpointsOf);
    this.daemonSetName = pulumi.output(name);
    this.environments = dialed.apply(environmentsOf);
    this.registerOutputs({
      ipAddress: this.ipAddress,
      endpoint: this.endpoint,
      namespace: this.namespace,
      daemonSetName: this.daemonSetName,
      endpoints: this.endpoints,
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

/** Removes `addresses[0].` from paths: the component's arguments are those of its only address. */
function ofOneAddress(text: string): string {
  return text.replaceAll("addresses[0].", "");
}
