{{/*
IP addresses in hexadecimal, 8 digits for IPv4 and 32 for IPv6: texts of one length compare as the addresses do. As
component/address/ip.ts reads and writes them.
*/}}

{{/* The address in hexadecimal; nothing where the text is no address. */}}
{{- define "magic-ip-address.hex" -}}
{{- $byte := "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])" -}}
{{- if contains ":" . -}}
{{- include "magic-ip-address.hexOfIpv6" (lower .) -}}
{{- else if regexMatch (printf "^(%s\\.){3}%s$" $byte $byte) . -}}
{{- range splitList "." . -}}{{- int . | printf "%02x" -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* "::" stands for one group of zeros and more. */}}
{{- define "magic-ip-address.hexOfIpv6" -}}
{{- $halves := list -}}
{{- range include "magic-ip-address.withoutDots" . | splitList "::" -}}
{{- $halves = append $halves (include "magic-ip-address.hexOfGroups" .) -}}
{{- end -}}
{{- $given := join "" $halves -}}
{{- $zeros := sub 32 (len $given) | int -}}
{{- if and (eq (len $halves) 2) (gt $zeros 0) -}}
{{- $given = join (repeat $zeros "0") $halves -}}
{{- else if ne (len $halves) 1 -}}
{{- $given = "" -}}
{{- end -}}
{{- regexFind "^[0-9a-f]{32}$" $given -}}
{{- end -}}

{{/* The groups between colons, of four digits each; a "!" for what is no group. */}}
{{- define "magic-ip-address.hexOfGroups" -}}
{{- if . -}}
{{- range splitList ":" . -}}
{{- ternary (trunc -4 (print "000" .)) "!" (regexMatch "^[0-9a-f]{1,4}$" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The last 32 bits in dots (RFC 4291 §2.2, third form) as two groups; a "!" where they are no IPv4 address. */}}
{{- define "magic-ip-address.withoutDots" -}}
{{- if contains "." . -}}
{{- $ipv4 := regexFind "[^:]*$" . -}}
{{- $hex := include "magic-ip-address.hex" $ipv4 -}}
{{- trimSuffix $ipv4 . -}}
{{- with $hex -}}{{- printf "%s:%s" (substr 0 4 .) (substr 4 8 .) -}}{{- else -}}!{{- end -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* The one text of an address, as the kernel prints it; what is no IPv6 address stays as it is. */}}
{{- define "magic-ip-address.canonical" -}}
{{- $hex := include "magic-ip-address.hex" . -}}
{{- if $hex -}}{{- include "magic-ip-address.ipOfHex" $hex -}}{{- else -}}{{- . -}}{{- end -}}
{{- end -}}

{{/* RFC 5952 §5: addresses of IPv4 in IPv6 have dots. */}}
{{- define "magic-ip-address.ipOfHex" -}}
{{- $mapped := "00000000000000000000ffff" -}}
{{- if eq (len .) 8 -}}
{{- $bytes := list -}}
{{- range regexFindAll "[0-9a-f]{2}" . -1 -}}{{- $bytes = append $bytes (print "0x" . | int64) -}}{{- end -}}
{{- join "." $bytes -}}
{{- else if hasPrefix $mapped . -}}
::ffff:{{- include "magic-ip-address.ipOfHex" (trimPrefix $mapped .) -}}
{{- else -}}
{{- include "magic-ip-address.ipv6OfHex" . -}}
{{- end -}}
{{- end -}}

{{/* RFC 5952 §4: no leading zeros, and the first of the longest runs of zero groups as "::". */}}
{{- define "magic-ip-address.ipv6OfHex" -}}
{{- $groups := list -}}
{{- range regexFindAll "[0-9a-f]{4}" . -1 -}}{{- $groups = append $groups (regexReplaceAll "^0{1,3}" . "") -}}{{- end -}}
{{- $text := join ":" $groups -}}
{{- $run := "" -}}
{{- range $more := untilStep 7 0 -1 -}}
{{- if not $run -}}
{{- $run = regexFind (printf "(^|:)0(:0){%d}(:|$)" $more) $text -}}
{{- end -}}
{{- end -}}
{{- if $run -}}
{{- $parts := splitn $run 2 $text -}}
{{- printf "%s::%s" $parts._0 $parts._1 -}}
{{- else -}}
{{- $text -}}
{{- end -}}
{{- end -}}

{{/* JSON of a block's first and last address and of the address that its text has; nothing where the text is no block. */}}
{{- define "magic-ip-address.block" -}}
{{- $parts := splitList "/" . -}}
{{- $hex := include "magic-ip-address.hex" (first $parts) -}}
{{- if and $hex (eq (len $parts) 2) (regexMatch "^(0|[1-9][0-9]{0,2})$" (last $parts)) -}}
{{- $bits := last $parts | int -}}
{{- if le $bits (mul 4 (len $hex) | int) -}}
{{- $first := include "magic-ip-address.bound" (dict "hex" $hex "bits" $bits "digit" "0") -}}
{{- $last := include "magic-ip-address.bound" (dict "hex" $hex "bits" $bits "digit" "f") -}}
{{- dict "hex" $hex "first" $first "last" $last "bits" $bits | toJson -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The first address with the same leading bits, for the digit 0, or the last one, for f. */}}
{{- define "magic-ip-address.bound" -}}
{{- $whole := div .bits 4 | int -}}
{{- $kept := substr 0 $whole .hex -}}
{{- $size := index (list 1 8 4 2) (mod .bits 4 | int) -}}
{{- if gt $size 1 -}}
{{- $digit := substr $whole (add1 $whole | int) .hex | print "0x" | int64 -}}
{{- $low := sub $digit (mod $digit $size) -}}
{{- $kept = ternary $low (add $low $size -1) (eq .digit "0") | printf "%s%x" $kept -}}
{{- end -}}
{{- $kept -}}{{- repeat (sub (len .hex) (len $kept) | int) .digit -}}
{{- end -}}
