import type { Protocol } from "../../config/config.ts";
import { bindingName, type HeldRules } from "../../desired/state.ts";

/**
 * Adds the targets and live pods in an installation's rules of one family; each line has table, chain and rule. Chains
 * for all magic IPs lead to the chain of one (`DNAT` to `DNAT-0`, `LIVE` to `LIVE-0`), whose rules name pods.
 */
export function addHeld(held: HeldRules, rules: string): void {
  const lines = rules.split("\n").map((line) => /^\w+ (MAGICIP-\S+) (.*)$/.exec(line));
  const ips = new Map<string, string>();
  for (const [, , text = ""] of lines.filter((line) => line !== null)) {
    const [, ip, chain] = /(?:-d|--ctorigdst) (\S+?)(?:\/\d+)? .*?-j (MAGICIP-\S+-\w+-\w+)$/.exec(text) ?? [];
    if (ip !== undefined && chain !== undefined) ips.set(chain, ip);
  }
  for (const [, chain = "", text = ""] of lines.filter((line) => line !== null)) {
    const ipAddress = ips.get(chain);
    if (ipAddress === undefined) continue;
    if (/-DNAT-\w+$/.test(chain)) addTarget(held, ipAddress, text);
    const [, podIp] = /^-d (\S+?)(?:\/\d+)? -j RETURN$/.exec(text) ?? [];
    const isLive = /-LIVE-\w+$/.test(chain) && podIp !== undefined && podIp !== ipAddress;
    if (isLive && !held.live.some((pair) => pair.ipAddress === ipAddress && pair.podIp === podIp))
      held.live.push({ ipAddress, podIp });
  }
}

/** `10.1.2.3:80`, `[fd00::3]:80`, or without a port, where a range or a whole IP keeps the dialed one. */
const destination =
  /-j DNAT --to-destination (?:\[([0-9a-f:.]+)\]:(\d+)|([0-9.]+)(?::(\d+))?|([0-9a-f:.]+))$/;

function addTarget({ targets }: HeldRules, ipAddress: string, text: string): void {
  const [, ipv6, ipv6Port, ipv4, ipv4Port, bare] = destination.exec(text) ?? [];
  const ip = ipv6 ?? ipv4 ?? bare;
  if (ip === undefined) return;
  const port = ipv6Port ?? ipv4Port;
  const [, protocol, first, last = first] = /^-p (\w+) .*?--dports? (\d+)(?::(\d+))?/.exec(text) ?? [];
  const frontend =
    protocol === undefined
      ? { ipAddress, protocol: undefined, port: 0, endPort: 65535 }
      : { ipAddress, protocol: protocol as Protocol, port: Number(first), endPort: Number(last) };
  const name = bindingName(frontend);
  const place = { ip, port: port === undefined ? undefined : Number(port) };
  targets.set(name, [...(targets.get(name) ?? []), place]);
}
