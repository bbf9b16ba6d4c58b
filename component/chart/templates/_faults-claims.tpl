{{/*
What is claimed twice, as component/address/claims.ts finds it: ports of one IP and protocol that overlap, and whole IPs. The later
one is refused, with the earlier one's path, and then claims nothing.

The claims of the state: by "IP protocol" ports, as {"first": …, "last": …, "path": …}, sorted; by "IP" a path.
*/}}
{{- define "magic-ip-address.claimFaults" -}}
{{- $ips := list -}}
{{- range $field := list "ipAddress" "ipv6Address" -}}
{{- $text := index $.address $field -}}
{{- if kindIs "string" $text -}}
{{- $ips = append $ips (dict "ip" (include "magic-ip-address.canonical" $text) "isIp" (include "magic-ip-address.hex" $text) "field" $field) -}}
{{- end -}}
{{- end -}}
{{- range $i, $port := .address.ports -}}
{{- include "magic-ip-address.portClaimFaults" (dict "state" $.state "path" (printf "%s.ports[%d].port" $.path $i) "port" $port "ips" $ips) -}}
{{- else -}}
{{- range $ips -}}
{{- include "magic-ip-address.wholeClaimFaults" (dict "state" $.state "path" (print $.path "." .field) "ip" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.wholeClaimFaults" -}}
{{- $claims := .state.claims -}}
{{- if not .ip.isIp -}}
{{- else if hasKey $claims .ip.ip -}}
{{- include "magic-ip-address.refuse" (list .state .path "ipTaken" .ip.ip (index $claims .ip.ip)) -}}
{{- else -}}
{{- $_ := set $claims .ip.ip .path -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.portClaimFaults" -}}
{{- if include "magic-ip-address.isPort" .port.port -}}
{{- $claims := .state.claims -}}
{{- $first := int .port.port -}}
{{- $last := ternary (max $first (int .port.endPort) | int) $first (ne (include "magic-ip-address.isPort" .port.endPort) "") -}}
{{- $claim := dict "first" $first "last" $last "path" .path -}}
{{- $protocol := default "TCP" .port.protocol -}}
{{- $isTaken := false -}}
{{- range .ips -}}
{{- $others := default list (index $claims (print .ip " " $protocol)) -}}
{{- $next := include "magic-ip-address.indexAfter" (list $others $first) | int -}}
{{- if lt $next (len $others) -}}
{{- $other := index $others $next -}}
{{- if le $other.first $last -}}
{{- $dialed := include "magic-ip-address.dialed" (dict "ip" . "claim" $claim "protocol" $protocol) -}}
{{- include "magic-ip-address.refuse" (list $.state $.path "portTaken" $dialed (include "magic-ip-address.takenBy" (list $claim $other))) -}}
{{- $isTaken = true -}}
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range ternary list .ips $isTaken -}}
{{- include "magic-ip-address.addClaim" (list $claims (print .ip " " $protocol) $claim) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Adds a claim where it keeps the others sorted: claims, key, claim. */}}
{{- define "magic-ip-address.addClaim" -}}
{{- $claim := index . 2 -}}
{{- $others := index (index . 0) (index . 1) -}}
{{- $all := list $claim -}}
{{- if $others -}}
{{- $next := include "magic-ip-address.indexAfter" (list $others $claim.first) | int -}}
{{- $all = concat (slice $others 0 $next) $all (slice $others $next) -}}
{{- end -}}
{{- $_ := set (index . 0) (index . 1) $all -}}
{{- end -}}

{{/* Where the first claim stands that ends at the port or after it: sorted claims, port. */}}
{{- define "magic-ip-address.indexAfter" -}}
{{- $claims := index . 0 -}}
{{- $port := index . 1 -}}
{{- $low := 0 -}}
{{- $high := len $claims -}}
{{- range until 17 -}}
{{- if ge $low $high -}}{{- break -}}{{- end -}}
{{- $middle := div (add $low $high) 2 | int -}}
{{- if lt (index $claims $middle).last $port -}}
{{- $low = add1 $middle | int -}}
{{- else -}}
{{- $high = $middle -}}
{{- end -}}
{{- end -}}
{{- $low -}}
{{- end -}}

{{/* What a client dials, as 169.254.210.210:8126/TCP or [fd00::1]:8000-8010/UDP; of what is no IP, the ports alone. */}}
{{- define "magic-ip-address.dialed" -}}
{{- $host := ternary (printf "[%s]:" .ip.ip) (printf "%s:" .ip.ip) (contains ":" .ip.ip) -}}
{{- printf "%s%s/%s" (ternary $host "" (ne .ip.isIp "")) (include "magic-ip-address.range" .claim) .protocol -}}
{{- end -}}

{{/* The path of a claim, with its ports where they are not those of the other: the claim, the other. */}}
{{- define "magic-ip-address.takenBy" -}}
{{- $mine := include "magic-ip-address.range" (index . 0) -}}
{{- $theirs := include "magic-ip-address.range" (index . 1) -}}
{{- (index . 1).path -}}
{{- if ne $mine $theirs -}}{{- printf " (%s)" $theirs -}}{{- end -}}
{{- end -}}

{{- define "magic-ip-address.range" -}}
{{- printf "%d" (int .first) -}}
{{- if ne (int .first) (int .last) -}}{{- printf "-%d" (int .last) -}}{{- end -}}
{{- end -}}
