import { checks } from "./checks.ts";
import type { Config } from "../config/config.ts";
import type { Finding } from "../finding.ts";
import type { Scope, Survey } from "./scope.ts";

/** The address of our examples, for which the node is judged without a configuration. */
const example: Scope = {
  dialed: [{ ipAddress: "169.254.210.210", ports: [] }],
  needs: { ipv4: true, ipv6: false },
  backend: "auto",
  hostClients: true,
  outsideGuard: true,
  masquerade: "auto",
};

/** What is wrong with the node for this configuration, the worst first. Without one, for 169.254.210.210. */
export function findings(config: Config | undefined, survey: Survey): Finding[] {
  const scope = scopeOf(config);
  const found = checks.flatMap((check) => check.findings(scope, survey));
  return found.sort((a, b) => ranks.indexOf(a.severity) - ranks.indexOf(b.severity));
}

const ranks: Finding["severity"][] = ["fail", "warn", "info"];

/** What `agent doctor` prints: a line for each check that found nothing, and each finding with its remedy. */
export function report(config: Config | undefined, survey: Survey): { text: string; ok: boolean } {
  const scope = scopeOf(config);
  const found = findings(config, survey);
  const fine = checks
    .filter(
      (check) =>
        check.findings(scope, survey).length === 0 && (!check.ofRules || survey.unreadable?.length === 0),
    )
    .map(({ code, fine }) => ["ok", code, fine] as const);
  const rows = [...fine, ...found.map(({ severity, code, message }) => [severity, code, message] as const)];
  const width = Math.max(...rows.map(([, code]) => code.length));
  const remedies = [...fine.map(() => undefined), ...found.map(({ remedy }) => remedy)];
  const lines = rows.map(([level, code, message], index) => {
    const remedy = remedies[index] === undefined ? "" : `\n      → ${remedies[index]}`;
    return `${level.padEnd(4)}  ${code.padEnd(width)}  ${message}${remedy}`;
  });
  const ips = scope.dialed.map(({ ipAddress }) => ipAddress).join(", ");
  const ok = found.every(({ severity }) => severity !== "fail");
  return { text: `${[...lines, verdict(found, ips)].join("\n")}\n`, ok };
}

function verdict(found: Finding[], ips: string): string {
  const count = (level: Finding["severity"]) => found.filter(({ severity }) => severity === level).length;
  const [fails, warnings] = [count("fail"), count("warn")];
  if (fails > 0) return `this node cannot serve ${ips} as it is: ${fails} to repair`;
  if (warnings > 0) return `this node can serve ${ips}; ${warnings} to look at`;
  return `this node can serve ${ips}`;
}

/** The part of a configuration for which the node is judged. */
export function scopeOf(config: Config | undefined): Scope {
  if (config === undefined) return example;
  const dialed = config.addresses.flatMap(({ ipAddresses, ports }) =>
    ipAddresses.map((ipAddress) => ({ ipAddress, ports })),
  );
  const some = (ofFamily: (ip: string) => boolean) =>
    config.addresses.some(({ ipAddresses }) => ipAddresses.every(ofFamily));
  const together = Map.groupBy(dialed, ({ ipAddress }) => ipAddress);
  return {
    ...config,
    needs: { ipv4: some((ip) => !ip.includes(":")), ipv6: some((ip) => ip.includes(":")) },
    dialed: [...together].map(([ipAddress, claims]) => ({
      ipAddress,
      // One claim on the whole address is a claim on all its ports.
      ports: claims.some(({ ports }) => ports.length === 0) ? [] : claims.flatMap(({ ports }) => ports),
    })),
  };
}
