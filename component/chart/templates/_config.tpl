{{/*
The agent's config.yaml, with every default filled in. Numbers go through int: Pulumi hands them over as floats.
*/}}
{{- define "magic-ip-address.config" -}}
{{- $addresses := list -}}
{{- range .Values.addresses -}}
{{- $ports := list -}}
{{- range .ports -}}
{{- $ports = append $ports (include "magic-ip-address.port" . | fromYaml) -}}
{{- end -}}
{{- $address := dict
  "ipAddress" .ipAddress
  "namespace" (default "default" .namespace)
  "selector" .selector
  "hostNetworkTargets" (default false .hostNetworkTargets)
  "loadBalance" (default false .loadBalance)
  "whenNoTarget" (default "Reject" .whenNoTarget)
  "ports" $ports
-}}
{{- with .ipv6Address -}}
{{- $_ := set $address "ipv6Address" . -}}
{{- end -}}
{{- $addresses = append $addresses $address -}}
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
{{- toYaml $config -}}
{{- end -}}

{{- define "magic-ip-address.port" -}}
{{- with .name }}
name: {{ . | quote }}
{{- end }}
port: {{ .port | int }}
{{- if .endPort }}
endPort: {{ .endPort | int }}
{{- else }}
targetPort: {{ include "magic-ip-address.targetPort" . }}
{{- end }}
protocol: {{ default "TCP" .protocol | quote }}
{{- end -}}

{{- define "magic-ip-address.targetPort" -}}
{{- $targetPort := default .port .targetPort -}}
{{- if kindIs "string" $targetPort -}}
{{- $targetPort | quote -}}
{{- else -}}
{{- $targetPort | int -}}
{{- end -}}
{{- end -}}

{{/*
The name carries the content's hash: a change rolls the DaemonSet, and whoever waits for the rollout waits for the new
configuration. The old pods keep the old ConfigMap's content until they are replaced.
*/}}
{{- define "magic-ip-address.configMapName" -}}
{{- printf "%s-%s" (include "magic-ip-address.fullname" .) (include "magic-ip-address.config" . | sha256sum | trunc 10) -}}
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
