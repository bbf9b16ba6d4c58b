import { configShape } from "../../agent/config/schema.ts";
import { ImagePullPolicy, UpdateStrategyType } from "../../component/agent.ts";
import { Protocol, WhenNoTarget } from "../../component/address/address.ts";
import type { Cidr } from "../../component/address/cidr.ts";
import { namespacePattern, portNameLength, portNamePattern } from "../../component/address/patterns.ts";
import { globalIpv6, notPublic } from "../../component/address/public.ts";
import { reservations } from "../../component/address/reserved.ts";
import { dnsSubdomainPattern, labelPattern } from "../../component/address/selector.ts";
import { usualBlocks } from "../../component/address/services.ts";
import { sentences } from "./sentences.ts";
import { explainedValues } from "./values-comments.ts";

/** A template with what component/address knows, for the chart's own checks of its values. */
export function specTemplate(): string {
  return jsonTemplate(
    "spec",
    "What component/address and agent/config/config.ts know of right values: the sentences, the words, the patterns, and the reserved\naddresses as their first and last one in hexadecimal.",
    { sentences: sentences(), words: words(), patterns: patterns(), reservations: reserved(), ...doubtful() },
  );
}

/** A template with the defaults of values.yaml, each where an explanation stands. */
export function defaultsTemplate(valuesYaml: string): string {
  const defaults = explainedValues(valuesYaml).map(({ path, default: value }) => {
    const [section = "", field] = path.split(".");
    return field === undefined ? { field: section, value } : { section, field, value };
  });
  return jsonTemplate(
    "defaults",
    "The defaults of values.yaml: Helm takes a key away where null is given.",
    defaults,
  );
}

function words(): Record<string, string[]> {
  const { backend, masquerade } = configShape.shape;
  return {
    backend: backend.removeDefault().options,
    masquerade: masquerade.removeDefault().options,
    protocol: Object.values(Protocol),
    pullPolicy: Object.values(ImagePullPolicy),
    updateStrategy: Object.values(UpdateStrategyType),
    whenNoTarget: Object.values(WhenNoTarget),
  };
}

/** In the part of regular expressions that JavaScript and Go read alike. */
function patterns(): Record<string, string | number> {
  return {
    dnsSubdomain: dnsSubdomainPattern.source,
    label: labelPattern.source,
    namespace: namespacePattern.source,
    portName: portNamePattern.source,
    portNameLength,
  };
}

function reserved(): object[] {
  return reservations.map(({ block, owner }) => ({ ...ends(block), owner }));
}

/** Blocks whose addresses are let in with a warning. */
function doubtful(): Record<string, object[]> {
  const usual = usualBlocks.flatMap(({ block, text }) =>
    block === undefined ? [] : [{ ...ends(block), text }],
  );
  return { notPublic: notPublic.map(ends), globalIpv6: globalIpv6.map(ends), usualServices: usual };
}

function ends({ family, first, last }: Cidr): { first: string; last: string } {
  const hex = (value: bigint) => value.toString(16).padStart(family === "ipv4" ? 8 : 32, "0");
  return { first: hex(first), last: hex(last) };
}

function jsonTemplate(name: string, comment: string, value: object): string {
  const json = JSON.stringify(value, null, 1);
  if (json.includes("{{")) throw new Error(`${name}: {{ would begin an action of the template`);
  return `{{/*\nMade by \`npm run generate\`. ${comment}\n*/}}\n{{- define "magic-ip-address.${name}" -}}\n${json}\n{{- end -}}\n`;
}
