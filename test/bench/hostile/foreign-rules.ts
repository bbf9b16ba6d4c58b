/** Endpoints of each Service. */
const endpoints = 5;

/** Text for iptables-restore: as many rules as kube-proxy writes for so many Services, in its chains (iptables mode). */
export function foreignRules(rules: number): string {
  // A Service has a rule in KUBE-SERVICES and, an endpoint, one in its own chain and three in the endpoint's.
  const services = Math.ceil(rules / (1 + 4 * endpoints));
  const chains = ["KUBE-SERVICES"];
  const lines = ["-A PREROUTING -j KUBE-SERVICES"];
  for (let service = 0; service < services; service++) {
    const svc = `KUBE-SVC-${name(service)}`;
    chains.push(svc);
    lines.push(`-A KUBE-SERVICES -d ${ip(10, 96, service)}/32 -p tcp -m tcp --dport 80 -j ${svc}`);
    for (let endpoint = 0; endpoint < endpoints; endpoint++) {
      const sep = `KUBE-SEP-${name(service * endpoints + endpoint)}`;
      const to = ip(10, 200, service * endpoints + endpoint);
      chains.push(sep);
      lines.push(
        `-A ${svc} -m comment --comment "ns/service-${service} -> ${to}:8080" -m statistic --mode random --probability 0.2 -j ${sep}`,
        `-A ${sep} -s ${to}/32 -j MARK --set-xmark 0x4000/0x4000`,
        `-A ${sep} -p udp -j RETURN`,
        `-A ${sep} -p tcp -m tcp -j DNAT --to-destination ${to}:8080`,
      );
    }
  }
  return `*nat\n${chains.map((chain) => `:${chain} - [0:0]`).join("\n")}\n${lines.join("\n")}\nCOMMIT\n`;
}

function name(number: number): string {
  return number.toString(36).toUpperCase().padStart(16, "A");
}

function ip(first: number, second: number, number: number): string {
  return `${first}.${second + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
}
