import * as pulumi from "@pulumi/pulumi";
import type { AddressArgs, AgentArgs } from "./args";
import { endpointsOf } from "./endpoints";
import { argumentFaults } from "./faults";
import { installChart } from "./install";
import { refuse } from "./refusal";

/** Several magic IPs and the one agent that serves them. */
export interface MagicIpAddressesArgs {
  /** The magic IPs; at least one. No two may have the same address, protocol and port, or be the same whole IP. */
  addresses: pulumi.Input<pulumi.Input<AddressArgs>[]>;
  /** The agent that runs on every node. Default: one in `kube-system`, from this package's image. */
  agent?: pulumi.Input<AgentArgs>;
  /**
   * Values for the chart, merged over those made from the other arguments: the way to what has no argument of its own.
   * Lists are replaced, not joined. Example: `{ daemonSetAnnotations: { "pulumi.com/timeoutSeconds": "1800" } }`
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
   * Wrong arguments are refused at preview, all in one error. Where an argument is not known at preview, the chart
   * cannot be rendered then, and its objects are missing from the preview.
   */
  constructor(name: string, args: MagicIpAddressesArgs, opts?: pulumi.ComponentResourceOptions) {
    const check = (known: unknown) => refuse("MagicIpAddresses", name, argumentFaults(name, known));
    check(args);
    super("magic-ip-address:index:MagicIpAddresses", name, args, opts);

    this.namespace = installChart(this, name, args, check);
    this.endpoints = pulumi.output(args.addresses).apply(endpointsOf);
    this.daemonSetName = pulumi.output(name);
    this.registerOutputs({
      endpoints: this.endpoints,
      namespace: this.namespace,
      daemonSetName: this.daemonSetName,
    });
  }
}
