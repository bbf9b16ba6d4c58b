import * as pulumi from "@pulumi/pulumi";
import type { AddressArgs, AgentArgs } from "./args";
import { endpointOf } from "./endpoints";
import { argumentFaults, ofOneAddress } from "./faults";
import { installChart } from "./install";
import { refuse } from "./refusal";

/** One magic IP and the agent that serves it. */
export interface MagicIpAddressArgs extends AddressArgs {
  /** The agent that runs on every node. Default: one in `kube-system`, from this package's image. */
  agent?: pulumi.Input<AgentArgs>;
  /**
   * Values for the chart, merged over those made from the other arguments: the way to what has no argument of its own.
   * Lists are replaced, not joined. Example: `{ affinity: { … } }`
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
  /** The namespace that the agent is installed in. */
  public readonly namespace: pulumi.Output<string>;
  /** The name of the agent's DaemonSet. */
  public readonly daemonSetName: pulumi.Output<string>;

  /**
   * Wrong arguments are refused at preview, all in one error. Where an argument is not known at preview, the chart
   * cannot be rendered then, and its objects are missing from the preview.
   */
  constructor(name: string, args: MagicIpAddressArgs, opts?: pulumi.ComponentResourceOptions) {
    const { agent, values, ...address } = args;
    const installation = { addresses: [address], agent, values };
    const check = (known: pulumi.Input<unknown>) =>
      refuse("MagicIpAddress", name, argumentFaults(name, known).map(ofOneAddress));
    check(installation);
    super("magic-ip-address:index:MagicIpAddress", name, args, opts);

    this.namespace = installChart(this, name, installation, check);
    this.ipAddress = pulumi.output(args.ipAddress);
    this.endpoint = pulumi.output(address).apply(endpointOf);
    this.daemonSetName = pulumi.output(name);
    this.registerOutputs({
      ipAddress: this.ipAddress,
      endpoint: this.endpoint,
      namespace: this.namespace,
      daemonSetName: this.daemonSetName,
    });
  }
}
