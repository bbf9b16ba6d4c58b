import type { Known } from "./faults";
import type { Fault } from "./address/fault";
import { parseIp } from "./address/ip";
import { isPublic } from "./address/public";
import { usualServices } from "./address/services";

const better = "choose a link-local or unique local address, as 169.254.210.210 or fd00:210::210";

/**
 * Doubts about an installation's addresses. They are warnings, not faults: the cluster's administrator may know better.
 */
export function doubts({ addresses = [] }: Known): Fault[] {
  return addresses.flatMap((address, index) =>
    (["ipAddress", "ipv6Address"] as const).flatMap((field) => {
      const text = address?.[field];
      const reasons = text === undefined ? [] : doubtsOf(text);
      return reasons.map((reason) => ({ path: `addresses[${index}].${field}`, reason }));
    }),
  );
}

function doubtsOf(text: string): string[] {
  const ip = parseIp(text);
  if (ip === undefined) return [];
  const services = usualServices(ip);
  return [
    ...(isPublic(ip)
      ? [
          `${text} is a public address, and no pod reaches the host on the internet any more that has it: ${better}`,
        ]
      : []),
    ...(services === undefined
      ? []
      : [`${text} lies in the usual range of Services, ${services}, and a Service may get it: ${better}`]),
  ];
}
