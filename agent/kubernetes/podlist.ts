import type { V1Pod } from "@kubernetes/client-node";
import { parseAllDocuments } from "yaml";
import { type Pod, podFromApi } from "./pod.ts";

/**
 * Reads pods as `kubectl get pods -o yaml` or `-o json` prints them: a List, one pod, or several documents.
 * `source` names the text in messages.
 */
export function parsePods(text: string, source: string): Pod[] {
  const documents = parseAllDocuments(text, { stringKeys: true });
  return documents.flatMap((document) => {
    const fault = document.errors[0];
    if (fault !== undefined) throw new Error(`${source} is neither YAML nor JSON: ${fault.message}`);
    return items(document.toJS(), source).map(podFromApi);
  });
}

function items(document: unknown, source: string): V1Pod[] {
  const { kind, items } = (document ?? {}) as { kind?: string; items?: V1Pod[] };
  if (document === null || document === undefined) return [];
  if (Array.isArray(items)) return items;
  if (kind === "Pod") return [document];
  throw new Error(
    `${source} holds ${kind ?? "something"} where pods are expected: write it with kubectl get pods -o yaml`,
  );
}
