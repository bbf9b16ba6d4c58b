{{/* The agent's settings, as agent/config/config.ts judges them. */}}
{{- define "magic-ip-address.settingFaults" -}}
{{- $state := .state -}}
{{- $values := .chart.Values -}}
{{- range $field, $maximum := dict "healthPort" 65535 "metricsPort" 65535 "pollInterval" 86400 -}}
{{- $value := index $values $field -}}
{{- if not (kindIs "invalid" $value) -}}
{{- include "magic-ip-address.wholeNumberFaults" (list $state $field $value $maximum) -}}
{{- end -}}
{{- end -}}
{{- range $field := list "backend" "masquerade" -}}
{{- include "magic-ip-address.refuseOtherWord" (list $state $field (index $values $field) $field) -}}
{{- end -}}
{{- with $values.metricsPort -}}
{{- if eq (toJson .) (include "magic-ip-address.healthPort" $.chart) -}}
{{- include "magic-ip-address.refuse" (list $state "metricsPort" "metricsPort" (toJson .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A whole number from 1 on: state, path, value, maximum. */}}
{{- define "magic-ip-address.wholeNumberFaults" -}}
{{- $text := toJson (index . 2) -}}
{{- $maximum := index . 3 -}}
{{- $at := list (index . 0) (index . 1) -}}
{{- if not (regexMatch "^-?[0-9]+$" $text) -}}
{{- include "magic-ip-address.refuse" (concat $at (list "notWhole" $text)) -}}
{{- else if or (hasPrefix "-" $text) (eq $text "0") -}}
{{- include "magic-ip-address.refuse" (concat $at (list "tooSmall" $text "1")) -}}
{{- else if or (gt (len $text) 9) (gt (int $text) $maximum) -}}
{{- include "magic-ip-address.refuse" (concat $at (list "tooBig" $text (toString $maximum))) -}}
{{- end -}}
{{- end -}}
