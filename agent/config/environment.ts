import { type Fault, Protocol, WhenNoTarget } from "../../component/address/address.ts";

// The configuration of one address from environment variables, with the names of the project's ancestor
// (mumoshu/kube-magic-ip-address): MAGIC_IP, SELECTOR, NAMESPACE, PORT or MAGIC_PORT and TARGET_PORT, PROTOCOL,
// POLL_INTERVAL (seconds), VERBOSE. This project adds MAGIC_IPV6, WHEN_NO_TARGET, LOAD_BALANCE, BACKEND, INSTANCE,
// HEALTH_PORT and METRICS_PORT, with the values of the file, and as the port also a range (8000-8010) or "all" for the
// whole IP.

/** Faults for missing variables and for variables that exclude each other, each named by its variable. */
export function environmentFaults(env: NodeJS.ProcessEnv): Fault[] {
  const needed: [string, string | undefined, string][] = [
    ["MAGIC_IP", env.MAGIC_IP, "is missing: the magic IP, as 169.254.210.210"],
    ["SELECTOR", env.SELECTOR, "is missing: the label selector of the targets, as app=dd-agent"],
    [
      "PORT",
      dialed(env).text,
      'is missing: the port that clients dial, 8000-8010 for a range of them or "all" (or MAGIC_PORT, with TARGET_PORT where targets listen on another)',
    ],
  ];
  const missing = needed.filter(([, value]) => !value).map(([path, , reason]) => ({ path, reason }));
  return [...missing, ...(isWhole(env) ? wholeFaults(env) : [])];
}

/** The document that a configuration file would contain. Invalid text stays text, so that the fault shows it. */
export function documentFromEnvironment(env: NodeJS.ProcessEnv): unknown {
  return {
    instance: env.INSTANCE || undefined,
    healthPort: numberOr(env.HEALTH_PORT),
    metricsPort: numberOr(env.METRICS_PORT),
    pollInterval: numberOr(env.POLL_INTERVAL),
    verbose: flagOr(env.VERBOSE),
    backend: env.BACKEND?.toLowerCase() || undefined,
    addresses: [
      {
        ipAddress: env.MAGIC_IP,
        ipv6Address: env.MAGIC_IPV6 || undefined,
        namespace: env.NAMESPACE || undefined,
        selector: env.SELECTOR,
        loadBalance: flagOr(env.LOAD_BALANCE),
        whenNoTarget: wordOf(WhenNoTarget, env.WHEN_NO_TARGET),
        ports: isWhole(env) ? undefined : [portFrom(env)],
      },
    ],
  };
}

/** A fault of a document from this environment, with the variable's name in place of the field's path. */
export function namedByVariable({ path, reason }: Fault, env: NodeJS.ProcessEnv): Fault {
  const port = dialed(env).variable;
  const variables: [RegExp, string][] = [
    [/\.ipAddress$/, "MAGIC_IP"],
    [/\.ipv6Address$/, "MAGIC_IPV6"],
    [/\.selector$/, "SELECTOR"],
    [/\.namespace$/, "NAMESPACE"],
    [/\.loadBalance$/, "LOAD_BALANCE"],
    [/\.whenNoTarget$/, "WHEN_NO_TARGET"],
    [/\.(port|endPort)$/, port],
    [/\.targetPort$/, target(env)?.variable ?? "TARGET_PORT"],
    [/\.protocol$/, "PROTOCOL"],
    [/^pollInterval$/, "POLL_INTERVAL"],
    [/^healthPort$/, "HEALTH_PORT"],
    [/^metricsPort$/, "METRICS_PORT"],
    [/^instance$/, "INSTANCE"],
    [/^verbose$/, "VERBOSE"],
    [/^backend$/, "BACKEND"],
  ];
  return { path: variables.find(([pattern]) => pattern.test(path))?.[1] ?? path, reason };
}

interface Variable {
  variable: string;
  text: string | undefined;
}

/** The port that clients dial: MAGIC_PORT, else PORT; as in the ancestor, PORT is the target's if MAGIC_PORT is set. */
function dialed(env: NodeJS.ProcessEnv): Variable {
  return env.MAGIC_PORT
    ? { variable: "MAGIC_PORT", text: env.MAGIC_PORT }
    : { variable: "PORT", text: env.PORT };
}

function target(env: NodeJS.ProcessEnv): Variable | undefined {
  if (env.TARGET_PORT) return { variable: "TARGET_PORT", text: env.TARGET_PORT };
  return env.MAGIC_PORT && env.PORT ? { variable: "PORT", text: env.PORT } : undefined;
}

function isWhole(env: NodeJS.ProcessEnv): boolean {
  return dialed(env).text?.toLowerCase() === "all";
}

/** Faults for variables that "all" excludes: ignoring them would let a user believe that they limit the open ports. */
function wholeFaults(env: NodeJS.ProcessEnv): Fault[] {
  const protocol = env.PROTOCOL ? { variable: "PROTOCOL", text: env.PROTOCOL } : undefined;
  return [target(env), protocol].flatMap((each) =>
    each === undefined
      ? []
      : [
          {
            path: each.variable,
            reason: `"${each.text}" is set beside ${dialed(env).variable}=all, every port of every protocol: leave it out`,
          },
        ],
  );
}

function portFrom(env: NodeJS.ProcessEnv): unknown {
  const { text } = dialed(env);
  const [, first, last] = /^(\d+)-(\d+)$/.exec(text ?? "") ?? [];
  return {
    port: numberOr(first ?? text),
    endPort: numberOr(last),
    targetPort: numberOr(target(env)?.text),
    protocol: wordOf(Protocol, env.PROTOCOL?.toUpperCase()),
  };
}

function numberOr(text: string | undefined): number | string | undefined {
  if (!text) return undefined;
  return /^\d+$/.test(text) ? Number(text) : text;
}

function flagOr(text: string | undefined): boolean | string | undefined {
  if (!text) return undefined;
  if (/^(1|true|yes)$/i.test(text)) return true;
  return /^(0|false|no)$/i.test(text) ? false : text;
}

/** The word in the spelling of the file, whatever its case in the environment. */
function wordOf(words: Record<string, string>, text: string | undefined): string | undefined {
  const known = Object.values(words).find((word) => word.toLowerCase() === text?.toLowerCase());
  return (known ?? text) || undefined;
}
