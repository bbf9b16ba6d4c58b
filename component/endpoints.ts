/** An address, as far as its endpoints go. */
interface Endpoints {
  ipAddress: string;
  ports: { name?: string; port: number }[];
}

// Arguments of another shape are refused where the chart is installed; here they must only not fail a second time.

/** The first port of an address, as `ip:port`. */
export function endpointOf({ ipAddress, ports }: Endpoints): string {
  return `${ipAddress}:${listed(ports)[0]?.port}`;
}

/** Every port as `ip:port`, found under that very text and, where the name belongs to one port only, under the name. */
export function endpointsOf(addresses: Endpoints[]): Record<string, string> {
  const all = listed(addresses).flatMap(({ ipAddress, ports }) =>
    listed(ports).map(({ name, port }) => ({ name, endpoint: `${ipAddress}:${port}` })),
  );
  const named = all.filter(
    ({ name, endpoint }) =>
      name !== undefined && all.every((other) => other.name !== name || other.endpoint === endpoint),
  );
  return Object.fromEntries([
    ...all.map(({ endpoint }) => [endpoint, endpoint]),
    ...named.map(({ name, endpoint }) => [name, endpoint]),
  ]);
}

function listed<T>(values: T[]): T[] {
  return Array.isArray(values) ? values : [];
}
