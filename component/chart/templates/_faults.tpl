{{/*
What is wrong with the values, all of it in one error: what the agent would refuse (agent/config/config.ts, component/address), in its
words, and what Kubernetes would. The schema, which Helm checks before, is left the kinds and names of values.

Each template of faults gets a "state" that it adds to:
  spec     what component/address knows, from _spec.tpl
  faults   lines "path: what is wrong: what would be right"
  claims   what the addresses before have claimed, for _claims.tpl
*/}}
{{- define "magic-ip-address.validate" -}}
{{- $state := include "magic-ip-address.newState" . | fromJson -}}
{{- include "magic-ip-address.settingFaults" (dict "state" $state "chart" .) -}}
{{- include "magic-ip-address.kubernetesFaults" (dict "state" $state "chart" .) -}}
{{- include "magic-ip-address.clusterFaults" (dict "state" $state "chart" .) -}}
{{- include "magic-ip-address.addressesFaults" (dict "state" $state "values" .Values) -}}
{{- if not $state.faults -}}
{{- include "magic-ip-address.annotationFaults" (dict "state" $state "chart" .) -}}
{{- include "magic-ip-address.siblingFaults" (dict "state" $state "chart" .) -}}
{{- include "magic-ip-address.sizeFaults" (dict "state" $state "chart" .) -}}
{{- end -}}
{{- with $state.faults -}}
{{- $count := ternary "one value is" (printf "%d values are" (len .)) (eq (len .) 1) -}}
{{- fail (printf "\n\n%s cannot be installed, %s wrong:\n  %s\n" $.Chart.Name $count (join "\n  " .)) -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.newState" -}}
{{- dict "spec" (include "magic-ip-address.spec" . | fromJson) "faults" list "claims" dict | toJson -}}
{{- end -}}

{{/* Adds a fault: state, path, what is wrong. */}}
{{- define "magic-ip-address.fault" -}}
{{- $state := index . 0 -}}
{{- $_ := set $state "faults" (append $state.faults (printf "%s: %s" (index . 1) (index . 2))) -}}
{{- end -}}

{{/* Adds a fault in the words of component/address: state, path, the sentence's name, the words that it lacks. */}}
{{- define "magic-ip-address.refuse" -}}
{{- $state := index . 0 -}}
{{- $reason := index $state.spec.sentences (index . 2) -}}
{{- range $i, $word := slice . 3 -}}
{{- $reason = replace (printf "⟦%d⟧" (add1 $i)) $word $reason -}}
{{- end -}}
{{- include "magic-ip-address.fault" (list $state (index . 1) $reason) -}}
{{- end -}}

{{/* Refuses a text that is none of a field's words: state, path, the text, the name of its words and of its sentence. */}}
{{- define "magic-ip-address.refuseOtherWord" -}}
{{- $text := index . 2 -}}
{{- $name := index . 3 -}}
{{- if and (kindIs "string" $text) (not (has $text (index (index . 0).spec.words $name))) -}}
{{- include "magic-ip-address.refuse" (list (index . 0) (index . 1) $name $text) -}}
{{- end -}}
{{- end -}}
