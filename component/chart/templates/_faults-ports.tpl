{{/* The ports of an address, each for itself, as component/address/ports.ts judges them. */}}
{{- define "magic-ip-address.portsFaults" -}}
{{- $names := dict -}}
{{- range $i, $port := .ports -}}
{{- $at := dict "state" $.state "path" (printf "%s[%d]" $.path $i) "port" $port "names" $names -}}
{{- include "magic-ip-address.portNumberFaults" $at -}}
{{- include "magic-ip-address.targetPortFaults" $at -}}
{{- include "magic-ip-address.refuseOtherWord" (list $.state (print $at.path ".protocol") $port.protocol "protocol") -}}
{{- if kindIs "string" $port.name -}}
{{- include "magic-ip-address.portNameFaults" $at -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether it is a whole number from 1 to 65535. */}}
{{- define "magic-ip-address.isPort" -}}
{{- if regexMatch "^[1-9][0-9]{0,4}$" (toJson .) -}}
{{- if le (int .) 65535 -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.portNumberFaults" -}}
{{- $port := .port.port -}}
{{- $endPort := .port.endPort -}}
{{- $isPort := include "magic-ip-address.isPort" $port -}}
{{- if kindIs "invalid" $port -}}
{{- include "magic-ip-address.refuse" (list .state (print .path ".port") "numberMissing") -}}
{{- else if not $isPort -}}
{{- include "magic-ip-address.refuse" (list .state (print .path ".port") "port" (toJson $port)) -}}
{{- end -}}
{{- if kindIs "invalid" $endPort -}}
{{- else if not (include "magic-ip-address.isPort" $endPort) -}}
{{- include "magic-ip-address.refuse" (list .state (print .path ".endPort") "port" (toJson $endPort)) -}}
{{- else if and $isPort (lt (int $endPort) (int $port)) -}}
{{- include "magic-ip-address.refuse" (list .state (print .path ".endPort") "endPort" (toJson $endPort) (toJson $port)) -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.targetPortFaults" -}}
{{- $targetPort := .port.targetPort -}}
{{- $path := print .path ".targetPort" -}}
{{- if kindIs "invalid" $targetPort -}}
{{- else if not (kindIs "invalid" .port.endPort) -}}
{{- include "magic-ip-address.refuse" (list .state $path "targetPortOfRange" (toRawJson $targetPort) (toJson .port.endPort)) -}}
{{- else if not (kindIs "string" $targetPort) -}}
{{- if not (include "magic-ip-address.isPort" $targetPort) -}}
{{- include "magic-ip-address.refuse" (list .state $path "port" (toJson $targetPort)) -}}
{{- end -}}
{{- else if not (include "magic-ip-address.isPortName" (dict "patterns" .state.spec.patterns "name" $targetPort)) -}}
{{- include "magic-ip-address.refuse" (list .state $path "targetPort" $targetPort) -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.portNameFaults" -}}
{{- $name := .port.name -}}
{{- $path := print .path ".name" -}}
{{- if not (include "magic-ip-address.isPortName" (dict "patterns" .state.spec.patterns "name" $name)) -}}
{{- include "magic-ip-address.refuse" (list .state $path "portName" $name) -}}
{{- else if hasKey .names $name -}}
{{- include "magic-ip-address.refuse" (list .state $path "portNameTaken" $name (index .names $name)) -}}
{{- else -}}
{{- $_ := set .names $name $path -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.isPortName" -}}
{{- if and (le (len .name) (int .patterns.portNameLength)) (regexMatch .patterns.portName .name) -}}true{{- end -}}
{{- end -}}
