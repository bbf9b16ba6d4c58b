import { type DesiredState, type Family, familyOf } from "../desired/state.ts";
import { families } from "../ruleset/nftables/objects.ts";

export const title = { ipv4: "IPv4", ipv6: "IPv6" } as const;

/** Calls the action for both families, one after the other, and collects the failures. */
export async function each<T>(action: (family: Family) => Promise<T>): Promise<[T[], Map<Family, Error>]> {
  const results: T[] = [];
  const failures = new Map<Family, Error>();
  for (const family of families) {
    try {
      results.push(await action(family));
    } catch (error) {
      failures.set(family, error as Error);
    }
  }
  return [results, failures];
}

/** The same; throws only if the action failed for both families. */
export async function any<T>(action: (family: Family) => Promise<T>): Promise<[T[], Map<Family, Error>]> {
  const [results, failures] = await each(action);
  const [first] = failures.values();
  if (first !== undefined && results.length === 0) throw first;
  return [results, failures];
}

export function uses({ bindings }: DesiredState, family: Family): boolean {
  return bindings.some(({ ipAddress }) => familyOf(ipAddress) === family);
}
