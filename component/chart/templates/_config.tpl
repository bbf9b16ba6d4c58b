{{/* The agent's config.yaml, with every default filled in. Numbers go through int: Pulumi hands them over as floats. */}}
{{- define "magic-ip-address.config" -}}
{{- include "magic-ip-address.checkAddresses" . -}}
{{- $addresses := list -}}
{{- range .Values.addresses -}}
{{- $ports := list -}}
{{- range .ports -}}
{{- $ports = append $ports (include "magic-ip-address.port" . | fromYaml) -}}
{{- end -}}
{{- $addresses = append $addresses (dict
  "ipAddress" .ipAddress
  "namespace" (default "default" .namespace)
  "selector" .selector
  "hostNetworkTargets" (default false .hostNetworkTargets)
  "ports" $ports
) -}}
{{- end -}}
{{- toYaml (dict
  "instance" (include "magic-ip-address.instance" .)
  "healthPort" (include "magic-ip-address.healthPort" . | int)
  "pollInterval" (.Values.pollInterval | int)
  "verbose" .Values.verbose
  "addresses" $addresses
) -}}
{{- end -}}

{{- define "magic-ip-address.port" -}}
{{- with .name }}
name: {{ . | quote }}
{{- end }}
port: {{ .port | int }}
targetPort: {{ include "magic-ip-address.targetPort" . }}
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

{{/* What values.schema.json cannot say. The agent checks again, and more (reserved addresses, the selector's syntax). */}}
{{- define "magic-ip-address.checkAddresses" -}}
{{- if not .Values.addresses -}}
{{- fail "addresses is empty: set at least one magic IP, for example --set-json 'addresses=[{\"ipAddress\":\"169.254.210.210\",\"selector\":\"app=dd-agent\",\"ports\":[{\"port\":8126}]}]'" -}}
{{- end -}}
{{- $claimed := dict -}}
{{- range $i, $address := .Values.addresses -}}
{{- range $j, $port := $address.ports -}}
{{- $claim := printf "%s:%d/%s" $address.ipAddress (int $port.port) (default "TCP" $port.protocol) -}}
{{- $path := printf "addresses[%d].ports[%d].port" $i $j -}}
{{- if hasKey $claimed $claim -}}
{{- fail (printf "%s: %s is taken by %s: a port can lead to one target only" $path $claim (get $claimed $claim)) -}}
{{- end -}}
{{- $_ := set $claimed $claim $path -}}
{{- end -}}
{{- end -}}
{{- end -}}
