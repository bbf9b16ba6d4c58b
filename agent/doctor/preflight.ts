import type { Config } from "../config/config.ts";
import { findings, report, scopeOf } from "./doctor.ts";
import type { Finding } from "../finding.ts";
import { type Command, command as onThisNode } from "../netfilter/command.ts";
import { type Read, readText } from "../netfilter/node.ts";
import { surveyNode } from "./survey.ts";

/** What on this node keeps traffic from a configuration's targets (`podIps`), the worst first. Changes nothing. */
export async function preflight(
  config: Config,
  command: Command = onThisNode,
  read: Read = readText,
  podIps: string[] = [],
): Promise<Finding[]> {
  return findings(config, await surveyNode(command, read, scopeOf(config), podIps));
}

/** The same as text; without a configuration for 169.254.210.210. `ok` is false if traffic would fail. */
export async function doctor(
  config: Config | undefined,
  command: Command = onThisNode,
  read: Read = readText,
): Promise<{ text: string; ok: boolean }> {
  return report(config, await surveyNode(command, read, scopeOf(config)));
}
