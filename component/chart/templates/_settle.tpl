{{/*
Gives every value that is null its default. Helm takes a key of values.yaml away where a values file has null in its place, as
an empty section is read, and templates would fail on it, or render less than they should. Each template begins with this,
because Helm does not say which it renders first.

In a map whose keys are the user's own, as podLabels, Helm leaves null in place: such a key is taken away here.
*/}}
{{- define "magic-ip-address.settle" -}}
{{- range include "magic-ip-address.defaults" . | fromJsonArray -}}
{{- $place := $.Values -}}
{{- if .section -}}
{{- if kindIs "invalid" (index $.Values .section) -}}
{{- $_ := set $.Values .section (dict) -}}
{{- end -}}
{{- $place = index $.Values .section -}}
{{- end -}}
{{- if kindIs "invalid" (index $place .field) -}}
{{- $_ := set $place .field .value -}}
{{- end -}}
{{- if kindIs "map" (index $place .field) -}}
{{- include "magic-ip-address.dropNulls" (index $place .field) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.dropNulls" -}}
{{- $map := . -}}
{{- range $key, $value := . -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $map $key -}}
{{- end -}}
{{- end -}}
{{- end -}}
