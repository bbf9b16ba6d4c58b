{{/*
The agent's configuration as compact JSON, which the agent reads as YAML. A value that is not set is left out, and the agent
has the same default: so 256 KiB of annotations hold twice as many addresses. Numbers go through int: Pulumi hands them over
as floats.
*/}}
{{- define "magic-ip-address.config" -}}
{{- $addresses := list -}}
{{- range .Values.addresses -}}
{{- $addresses = append $addresses (include "magic-ip-address.address" . | fromJson) -}}
{{- end -}}
{{- $config := dict
  "instance" (include "magic-ip-address.instance" .)
  "healthPort" (include "magic-ip-address.healthPort" . | int)
  "addresses" $addresses
-}}
{{- range $name := list "verbose" "backend" "hostClients" "outsideGuard" "masquerade" "startupTaint" "allowedCidrs" -}}
{{- $value := index $.Values $name -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $config $name $value -}}
{{- end -}}
{{- end -}}
{{- range $name := list "pollInterval" "metricsPort" -}}
{{- with index $.Values $name -}}
{{- $_ := set $config $name (int .) -}}
{{- end -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{- define "magic-ip-address.address" -}}
{{- $address := dict -}}
{{- range $name := list "ipAddress" "ipv6Address" "namespace" "selector" "hostNetworkTargets" "loadBalance" "whenNoTarget" -}}
{{- with index $ $name -}}
{{- $_ := set $address $name . -}}
{{- end -}}
{{- end -}}
{{- $ports := list -}}
{{- range .ports -}}
{{- $ports = append $ports (include "magic-ip-address.port" . | fromJson) -}}
{{- end -}}
{{- if $ports -}}
{{- $_ := set $address "ports" $ports -}}
{{- end -}}
{{- toJson $address -}}
{{- end -}}

{{- define "magic-ip-address.port" -}}
{{- $port := dict -}}
{{- range $name := list "name" "port" "endPort" "targetPort" "protocol" -}}
{{- with index $ $name -}}
{{- $_ := set $port $name (ternary . (int .) (kindIs "string" .)) -}}
{{- end -}}
{{- end -}}
{{- toJson $port -}}
{{- end -}}

{{- define "magic-ip-address.targetPort" -}}
{{- $targetPort := default .port .targetPort -}}
{{- if kindIs "string" $targetPort -}}
{{- $targetPort | quote -}}
{{- else -}}
{{- $targetPort | int -}}
{{- end -}}
{{- end -}}

{{/* What a client dials, as 169.254.210.210:8126/TCP or [fd00::1]:8000-8010/UDP. */}}
{{- define "magic-ip-address.endpoint" -}}
{{- $host := ternary (printf "[%s]" .ip) .ip (contains ":" .ip) -}}
{{- $range := printf "%d" (int .port.port) -}}
{{- with .port.endPort -}}
{{- if ne (int .) (int $.port.port) -}}
{{- $range = printf "%s-%d" $range (int .) -}}
{{- end -}}
{{- end -}}
{{- printf "%s:%s/%s" $host $range (default "TCP" .port.protocol) -}}
{{- end -}}
