{{/* What is doubtful of the addresses and no fault, a line each, as component/doubts.ts says it. */}}
{{- define "magic-ip-address.doubts" -}}
{{- $state := include "magic-ip-address.newState" . | fromJson -}}
{{- range $i, $address := .Values.addresses -}}
{{- range $field := list "ipAddress" "ipv6Address" -}}
{{- with index $address $field -}}
{{- include "magic-ip-address.ipDoubts" (dict "state" $state "path" (printf "addresses[%d].%s" $i $field) "text" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- join "\n" $state.faults -}}
{{- end -}}

{{- define "magic-ip-address.ipDoubts" -}}
{{- $hex := include "magic-ip-address.hex" .text -}}
{{- $spec := .state.spec -}}
{{- $isIpv4 := eq (len $hex) 8 -}}
{{- $isGlobal := or $isIpv4 (include "magic-ip-address.blockOf" (dict "hex" $hex "blocks" $spec.globalIpv6)) -}}
{{- if and $isGlobal (not (include "magic-ip-address.blockOf" (dict "hex" $hex "blocks" $spec.notPublic))) -}}
{{- include "magic-ip-address.refuse" (list .state .path "publicAddress" .text) -}}
{{- end -}}
{{- with include "magic-ip-address.blockOf" (dict "hex" $hex "blocks" $spec.usualServices) -}}
{{- include "magic-ip-address.refuse" (list $.state $.path "addressOfServices" $.text (fromJson .).text) -}}
{{- end -}}
{{- end -}}
