import type { Config } from "../config/config.ts";
import { findings, report, scopeOf } from "./doctor.ts";
import type { Finding } from "../finding.ts";
import { type Command, command as onThisNode } from "../netfilter/command.ts";
import { type Read, readText } from "../netfilter/node.ts";
import { surveyNode } from "./survey.ts";

/** What of this node keeps traffic from a configuration's targets, which are these pods, the worst first. Changes nothing. */
export async function preflight(
  config: Config,
  command: Command = onThisNode,
  read: Read = readText,
  podIps: string[] = [],
): Promise<Finding[]> {
  return findings(config, await surveyNode(command, read, scopeOf(config), podIps));
}

/** The same for people; without a configuration the node is judged for 169.254.210.210. Not ok: traffic would fail. */
export async function doctor(
  config: Config | undefined,
  command: Command = onThisNode,
  read: Read = readText,
): Promise<{ text: string; ok: boolean }> {
  return report(config, await surveyNode(command, read, scopeOf(config)));
}
