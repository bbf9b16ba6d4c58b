{{/*
Gives every value that is null its default. Helm takes a key of values.yaml away where a values file has null in its place, as
an empty section is read, and templates would fail on it, or render less than they should. Each template begins with this,
because Helm does not say which it renders first.
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
{{- end -}}
{{- end -}}
