{{/* A label selector in the syntax of `kubectl -l`, as component/address/selector.ts reads it: the first thing that is wrong. */}}
{{- define "magic-ip-address.selectorFaults" -}}
{{- with include "magic-ip-address.selectorComplaint" . -}}
{{- include "magic-ip-address.refuse" (concat (list $.state $.path) (fromJsonArray .)) -}}
{{- end -}}
{{- end -}}

{{/* JSON list of a sentence's name and its word; nothing where the selector is right. */}}
{{- define "magic-ip-address.selectorComplaint" -}}
{{- $parts := include "magic-ip-address.requirements" .text | fromJsonArray -}}
{{- if not (trimAll " \t\r\n" .text) -}}
{{- list "selectorEmpty" | toJson -}}
{{- else if has "" $parts -}}
{{- list "selectorComma" .text | toJson -}}
{{- else -}}
{{- range $part := $parts -}}
{{- with include "magic-ip-address.requirementComplaint" (dict "patterns" $.state.spec.patterns "text" $part) -}}
{{- . -}}
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* JSON list of a selector's requirements: commas before a ")" separate values, the others separate requirements. */}}
{{- define "magic-ip-address.requirements" -}}
{{- $hidden := "" -}}
{{- range regexFindAll "[^()]*[()]?" . -1 -}}
{{- $hidden = ternary (replace "," "\u0000" .) . (hasSuffix ")" .) | print $hidden -}}
{{- end -}}
{{- $parts := list -}}
{{- range splitList "," $hidden -}}
{{- $parts = append $parts (replace "\u0000" "," . | trimAll " \t\r\n") -}}
{{- end -}}
{{- toJson $parts -}}
{{- end -}}

{{- define "magic-ip-address.requirementComplaint" -}}
{{- $key := "" -}}
{{- $values := list -}}
{{- $set := "^([^ \\t\\r\\n]+)[ \\t\\r\\n]+(in|notin)[ \\t\\r\\n]*\\(([^()]*)\\)$" -}}
{{- $equality := "^([^ \\t\\r\\n=!]+)[ \\t\\r\\n]*(==|=|!=)[ \\t\\r\\n]*([^ \\t\\r\\n]*)$" -}}
{{- $isOrder := regexMatch "[<>]" .text -}}
{{- if $isOrder -}}
{{- else if regexMatch $set .text -}}
{{- $key = regexReplaceAll $set .text "${1}" -}}
{{- $values = regexReplaceAll $set .text "${3}" | splitList "," -}}
{{- else if regexMatch $equality .text -}}
{{- $key = regexReplaceAll $equality .text "${1}" -}}
{{- $values = list (regexReplaceAll $equality .text "${3}") -}}
{{- else if regexMatch "^(![ \\t\\r\\n]*[^ \\t\\r\\n=!]+|[^ \\t\\r\\n=!()]+)$" .text -}}
{{- $key = trimPrefix "!" .text | trimAll " \t\r\n" -}}
{{- end -}}
{{- if $isOrder -}}
{{- list "selectorOrder" .text | toJson -}}
{{- else if not $key -}}
{{- list "selectorPart" .text | toJson -}}
{{- else if not (include "magic-ip-address.isLabelKey" (dict "patterns" .patterns "key" $key)) -}}
{{- list "selectorKey" $key | toJson -}}
{{- else -}}
{{- range $values -}}
{{- $value := trimAll " \t\r\n" . -}}
{{- if and $value (not (regexMatch $.patterns.label $value)) -}}
{{- list "selectorValue" $value | toJson -}}
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A name, or a DNS prefix, "/" and a name. */}}
{{- define "magic-ip-address.isLabelKey" -}}
{{- $parts := splitList "/" .key -}}
{{- $hasName := regexMatch .patterns.label (last $parts) -}}
{{- $prefix := first $parts -}}
{{- $hasPrefix := and (eq (len $parts) 2) (le (len $prefix) 253) (regexMatch .patterns.dnsSubdomain $prefix) -}}
{{- if and $hasName (or $hasPrefix (eq (len $parts) 1)) -}}true{{- end -}}
{{- end -}}
