{{/*
Other installations of the same release: this chart under another alias of the same parent. A subchart sees neither the values of
its parent nor those of its siblings, but Helm gives all of them the one map .Release (pkg/engine, recAllTpls), in which each
leaves here what it claims; the later ones to be rendered find it. Where a Helm gave each its own map, the agents alone would
notice. What other releases claim, no template can see without the right to list every DaemonSet of the cluster.
*/}}
{{- define "magic-ip-address.siblingFaults" -}}
{{- $values := .chart.Values -}}
{{- $healthPort := include "magic-ip-address.healthPort" .chart | int -}}
{{- $mine := dict "name" .chart.Chart.Name "values" $values "healthPort" $healthPort -}}
{{- $siblings := default list (index .chart.Release "magicIpAddressSiblings") -}}
{{- range $siblings -}}
{{- if include "magic-ip-address.mayShareNodes" (list $values .values) -}}
{{- include "magic-ip-address.siblingClaimFaults" (dict "state" $.state "mine" $mine "sibling" .) -}}
{{- include "magic-ip-address.siblingPortFaults" (dict "state" $.state "mine" $mine "sibling" .) -}}
{{- end -}}
{{- end -}}
{{- $_ := set .chart.Release "magicIpAddressSiblings" (append $siblings $mine) -}}
{{- end -}}

{{/* Nodes with one value of a label are not those with another; who chooses nodes in other words is left alone. */}}
{{- define "magic-ip-address.mayShareNodes" -}}
{{- $one := index . 0 -}}
{{- $other := index . 1 -}}
{{- $apart := or $one.affinity $other.affinity -}}
{{- range $label, $value := $one.nodeSelector -}}
{{- if ne $value (default $value (index $other.nodeSelector $label)) -}}
{{- $apart = true -}}
{{- end -}}
{{- end -}}
{{- if not $apart -}}true{{- end -}}
{{- end -}}

{{/* Each has been found right for itself, so that all that is claimed twice is claimed by both. */}}
{{- define "magic-ip-address.siblingClaimFaults" -}}
{{- $_ := set .state "claims" (dict) -}}
{{- range $i, $address := .sibling.values.addresses -}}
{{- include "magic-ip-address.claimFaults" (dict "state" $.state "path" (printf "%s.addresses[%d]" $.sibling.name $i) "address" $address) -}}
{{- end -}}
{{- range $i, $address := .mine.values.addresses -}}
{{- include "magic-ip-address.claimFaults" (dict "state" $.state "path" (printf "addresses[%d]" $i) "address" $address) -}}
{{- end -}}
{{- end -}}

{{/* All agents of a node share its loopback. */}}
{{- define "magic-ip-address.siblingPortFaults" -}}
{{- $theirs := dict "healthPort" .sibling.healthPort "metricsPort" (default 0 .sibling.values.metricsPort | int) -}}
{{- range $field, $port := dict "healthPort" .mine.healthPort "metricsPort" (default 0 .mine.values.metricsPort | int) -}}
{{- range $other, $taken := $theirs -}}
{{- if and $port (eq $port $taken) -}}
{{- include "magic-ip-address.fault" (list $.state $field (printf "%d is %s.%s, on the same nodes: choose another port" $port $.sibling.name $other)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
