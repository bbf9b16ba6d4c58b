{{/*
The agent's configuration as compact JSON, which the agent reads as YAML. A value that is not set is left out, and the agent
has the same default: so 256 KiB of annotations hold twice as many addresses. Numbers go through int: Pulumi hands them over
as floats.
*/}}
{{- define "magic-ip-address.config" -}}
{{- include "magic-ip-address.checkAddresses" . -}}
{{- include "magic-ip-address.checkMetrics" . -}}
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

{{/*
What values.schema.json cannot say. The agent checks again, and more: reserved addresses, allowedCidrs, ranges that
overlap, one IPv6 address in two spellings, the selector's syntax.
*/}}
{{- define "magic-ip-address.checkAddresses" -}}
{{- if not .Values.addresses -}}
{{- fail "addresses is empty: set at least one magic IP, for example --set-json 'addresses=[{\"ipAddress\":\"169.254.210.210\",\"selector\":\"app=dd-agent\",\"ports\":[{\"port\":8126}]}]'" -}}
{{- end -}}
{{- $claimed := dict -}}
{{- range $i, $address := .Values.addresses -}}
{{- if and $address.ipv6Address (contains ":" $address.ipAddress) -}}
{{- fail (printf "addresses[%d].ipv6Address: %s is set beside ipAddress %s, which is an IPv6 address already: leave one of them out, or write an IPv4 address there" $i $address.ipv6Address $address.ipAddress) -}}
{{- end -}}
{{- range $field := list "ipAddress" "ipv6Address" -}}
{{- with get $address $field -}}
{{- include "magic-ip-address.checkClaims" (dict "claimed" $claimed "index" $i "field" $field "ip" . "ports" $address.ports) -}}
{{- end -}}
{{- end -}}
{{- range $j, $port := $address.ports -}}
{{- include "magic-ip-address.checkRange" (dict "path" (printf "addresses[%d].ports[%d]" $i $j) "port" $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.checkMetrics" -}}
{{- if and .Values.podMonitor.enabled (not .Values.metricsPort) -}}
{{- fail "podMonitor.enabled: Prometheus cannot reach the agents on their loopback: set metricsPort too, as 9091" -}}
{{- end -}}
{{- with .Values.metricsPort -}}
{{- if eq (int .) (include "magic-ip-address.healthPort" $ | int) -}}
{{- fail (printf "metricsPort: %d is the healthPort: choose another" (int .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* One IP of an address: what it claims, a port or the whole IP, nobody may have claimed before. */}}
{{- define "magic-ip-address.checkClaims" -}}
{{- $claimed := .claimed -}}
{{- $ip := .ip -}}
{{- $index := .index -}}
{{- if not .ports -}}
{{- $path := printf "addresses[%d].%s" .index .field -}}
{{- if hasKey $claimed .ip -}}
{{- fail (printf "%s: %s is taken by %s, which has no ports either: list the ports of one of them, or choose another address" $path .ip (get $claimed .ip)) -}}
{{- end -}}
{{- $_ := set $claimed .ip $path -}}
{{- end -}}
{{- range $j, $port := .ports -}}
{{- $claim := include "magic-ip-address.endpoint" (dict "ip" $ip "port" $port) -}}
{{- $path := printf "addresses[%d].ports[%d].port" $index $j -}}
{{- if hasKey $claimed $claim -}}
{{- fail (printf "%s: %s is taken by %s: a port can lead to one target only" $path $claim (get $claimed $claim)) -}}
{{- end -}}
{{- $_ := set $claimed $claim $path -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.checkRange" -}}
{{- with .port.endPort -}}
{{- if lt (int .) (int $.port.port) -}}
{{- fail (printf "%s.endPort: %d is less than port %d: write the last port of the range, %d to 65535" $.path (int .) (int $.port.port) (int $.port.port)) -}}
{{- end -}}
{{- if $.port.targetPort -}}
{{- fail (printf "%s.targetPort: %v is set beside endPort %d: a range keeps its port numbers, so leave the target port out" $.path $.port.targetPort (int .)) -}}
{{- end -}}
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
