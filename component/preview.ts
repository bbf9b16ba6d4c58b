import * as pulumi from "@pulumi/pulumi";
import type { Known, KnownAddress } from "./faults";
import { installationShape } from "./installationShape";
import { examine, isRecord } from "./shape";
import type { Installation } from "./values";

// A helm.v4.Chart of which one input is unknown has no objects at all: the preview of a first installation would be empty,
// and that of a later one would announce that everything is deleted. So the preview gets something in each unknown place.

/** Stands for a text that is not known before the update; it is a valid name and label. */
export const KNOWN_LATER = "known-after-up";

/** What is shown at a preview, and the paths of the arguments that it shows something else for. */
export interface Preview {
  installation: Installation;
  unknown: string[];
}

/**
 * As `output.apply`, but called with what is known; for the rest `pulumi.isUnknown` holds. What it makes is known, unless it
 * holds unknowns itself.
 */
export function applyToKnown<T>(
  output: pulumi.Output<unknown>,
  use: (value: unknown) => unknown,
): pulumi.Output<T> {
  // Pulumi's type leaves out `runWithUnknowns` (sdk/nodejs/output.ts).
  const { apply } = output as unknown as {
    apply(use: (value: unknown) => unknown, runWithUnknowns: boolean): pulumi.Output<T>;
  };
  return apply.call(output, use, true);
}

/** The installation without unknowns: what must be there gets a stand-in, what may be left out is. */
export function previewOf(args: unknown): Preview {
  const { plain, unchecked } = examine(args, installationShape);
  const { addresses = [undefined], agent, values } = plain as Known;
  const installation = { addresses: addresses.map(standInAddress), agent, values };
  return {
    installation: withoutUnknowns(installation) as Installation,
    unknown: [...unchecked, ...(pulumi.containsUnknowns(values) ? ["values"] : [])],
  };
}

function standInAddress(address: KnownAddress = {}, index: number): object {
  const { ipAddress, selector, ...others } = address;
  const hasPorts = Object.hasOwn(address, "ports");
  const ports = address.ports ?? [undefined];
  return {
    ...others,
    // RFC 2544: addresses for benchmarks, which are nobody's.
    ipAddress: ipAddress ?? `198.18.${index >> 8}.${index & 255}`,
    selector: selector ?? KNOWN_LATER,
    ...(Object.hasOwn(address, "namespace") && { namespace: address.namespace ?? KNOWN_LATER }),
    ...(hasPorts && { ports: ports.map(standInPort) }),
  };
}

/** A range needs both its ends. */
function standInPort(port: NonNullable<KnownAddress["ports"]>[number], index: number): object {
  if (port?.port !== undefined) return port;
  return { ...port, port: 65535 - index, endPort: undefined };
}

function withoutUnknowns(value: unknown): unknown {
  const isKnown = (part: unknown) => part !== undefined && !pulumi.isUnknown(part);
  if (Array.isArray(value)) return value.filter(isKnown).map(withoutUnknowns);
  // Values may hold Pulumi's assets, which are no plain objects.
  if (!isRecord(value) || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const known = Object.entries(value).filter(([, part]) => isKnown(part));
  return Object.fromEntries(known.map(([key, part]) => [key, withoutUnknowns(part)]));
}
