{{/* The addresses and allowedCidrs, as component/address/address.ts judges them. */}}
{{- define "magic-ip-address.addressesFaults" -}}
{{- $state := .state -}}
{{- $blocks := list -}}
{{- range $i, $text := .values.allowedCidrs -}}
{{- $before := len $state.faults -}}
{{- include "magic-ip-address.cidrFaults" (dict "state" $state "path" (printf "allowedCidrs[%d]" $i) "text" $text) -}}
{{- if eq $before (len $state.faults) -}}
{{- $blocks = append $blocks (include "magic-ip-address.block" $text | fromJson) -}}
{{- end -}}
{{- end -}}
{{- /* Nothing is held against an address as long as one of the blocks cannot be read. */ -}}
{{- $allowed := ternary $blocks list (eq (len $blocks) (len .values.allowedCidrs)) -}}
{{- $_ := set $state "allowed" (dict "blocks" $allowed "text" (join ", " .values.allowedCidrs)) -}}
{{- if not .values.addresses -}}
{{- include "magic-ip-address.refuse" (list $state "addresses" "addresses") -}}
{{- end -}}
{{- range $i, $address := .values.addresses -}}
{{- include "magic-ip-address.addressFaults" (dict "state" $state "path" (printf "addresses[%d]" $i) "address" $address) -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.cidrFaults" -}}
{{- $block := include "magic-ip-address.block" .text | fromJson -}}
{{- if $block.hex -}}
{{- if ne $block.hex $block.first -}}
{{- $right := printf "%s/%d" (include "magic-ip-address.ipOfHex" $block.first) (int $block.bits) -}}
{{- include "magic-ip-address.refuse" (list .state .path "cidrFirst" .text $right) -}}
{{- end -}}
{{- else -}}
{{- $hex := include "magic-ip-address.hex" .text -}}
{{- $sentence := ternary (ternary "cidrOfIpv6" "cidrOfIpv4" (contains ":" .text)) "cidr" (ne $hex "") -}}
{{- include "magic-ip-address.refuse" (list .state .path $sentence .text) -}}
{{- end -}}
{{- end -}}

{{/* Without `with`, to which an address that is empty is none at all. */}}
{{- define "magic-ip-address.addressFaults" -}}
{{- $state := .state -}}
{{- $path := .path -}}
{{- $address := .address -}}
{{- range $field := list "ipAddress" "selector" -}}
{{- if kindIs "invalid" (index $address $field) -}}
{{- include "magic-ip-address.refuse" (list $state (print $path "." $field) "textMissing") -}}
{{- end -}}
{{- end -}}
{{- if kindIs "string" $address.ipAddress -}}
{{- include "magic-ip-address.ipFaults" (dict "state" $state "path" (print $path ".ipAddress") "text" $address.ipAddress) -}}
{{- end -}}
{{- if kindIs "string" $address.ipv6Address -}}
{{- include "magic-ip-address.ipv6AddressFaults" (dict "state" $state "path" (print $path ".ipv6Address") "address" $address) -}}
{{- end -}}
{{- if and (kindIs "string" $address.namespace) (not (regexMatch $state.spec.patterns.namespace (toString $address.namespace))) -}}
{{- include "magic-ip-address.refuse" (list $state (print $path ".namespace") "namespace" $address.namespace) -}}
{{- end -}}
{{- if kindIs "string" $address.selector -}}
{{- include "magic-ip-address.selectorFaults" (dict "state" $state "path" (print $path ".selector") "text" $address.selector) -}}
{{- end -}}
{{- include "magic-ip-address.refuseOtherWord" (list $state (print $path ".whenNoTarget") $address.whenNoTarget "whenNoTarget") -}}
{{- include "magic-ip-address.portsFaults" (dict "state" $state "path" (print $path ".ports") "ports" $address.ports) -}}
{{- include "magic-ip-address.claimFaults" (dict "state" $state "path" $path "address" $address) -}}
{{- end -}}

{{- define "magic-ip-address.ipFaults" -}}
{{- $hex := include "magic-ip-address.hex" .text -}}
{{- $isIpv6 := contains ":" .text -}}
{{- if not $hex -}}
{{- $sentence := ternary (ternary "ipv6Zone" "ipv6" (contains "%" .text)) "ipv4" $isIpv6 -}}
{{- include "magic-ip-address.refuse" (list .state .path $sentence .text) -}}
{{- else -}}
{{- $holder := include "magic-ip-address.blockOf" (dict "hex" $hex "blocks" .state.spec.reservations) | fromJson -}}
{{- $allowed := .state.allowed -}}
{{- if $holder.owner -}}
{{- include "magic-ip-address.refuse" (list .state .path (ternary "reservedIpv6" "reservedIpv4" $isIpv6) .text $holder.owner) -}}
{{- else if and $allowed.blocks (not (include "magic-ip-address.blockOf" (dict "hex" $hex "blocks" $allowed.blocks))) -}}
{{- include "magic-ip-address.refuse" (list .state .path "notAllowed" .text $allowed.text) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.ipv6AddressFaults" -}}
{{- $text := .address.ipv6Address -}}
{{- $ipAddress := toString .address.ipAddress -}}
{{- if not (contains ":" $text) -}}
{{- include "magic-ip-address.refuse" (list .state .path (ternary "ipv6Zone" "ipv6" (contains "%" $text)) $text) -}}
{{- else if eq (len (include "magic-ip-address.hex" $ipAddress)) 32 -}}
{{- include "magic-ip-address.refuse" (list .state .path "twoIpv6" $text (include "magic-ip-address.canonical" $ipAddress)) -}}
{{- else -}}
{{- include "magic-ip-address.ipFaults" (dict "state" .state "path" .path "text" $text) -}}
{{- end -}}
{{- end -}}

{{/* JSON of the first of the blocks that holds the address; nothing where none does. */}}
{{- define "magic-ip-address.blockOf" -}}
{{- $hex := .hex -}}
{{- range .blocks -}}
{{- if and (eq (len .first) (len $hex)) (ge $hex .first) (le $hex .last) -}}
{{- toJson . -}}
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}
