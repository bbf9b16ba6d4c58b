{{/*
The agent pods' annotations. The configuration is one of them: the template of the DaemonSet and each of its
ControllerRevisions hold it, and so does every pod. A pod can start as long as it exists, whatever was installed since, and a
changed configuration is a changed template, which rolls the DaemonSet.
*/}}
{{- define "magic-ip-address.podAnnotations" -}}
{{- $others := default dict .Values.podAnnotations -}}
{{- if hasKey $others "magic-ip-address/config" -}}
{{- fail "podAnnotations.magic-ip-address/config: the chart writes the agent's configuration into this annotation: leave it out, and set addresses" -}}
{{- end -}}
{{- $annotations := merge (dict "magic-ip-address/config" (include "magic-ip-address.config" .)) $others -}}
{{- include "magic-ip-address.checkSize" $annotations -}}
{{- toYaml $annotations -}}
{{- end -}}

{{/*
The API server counts the bytes of all keys and values and takes 256 KiB (TotalAnnotationSizeLimitB of apimachinery). 4 KiB of
them stay free for annotations that are added later: by kubectl rollout restart, by admission.
*/}}
{{- define "magic-ip-address.checkSize" -}}
{{- $size := 0 -}}
{{- range $key, $value := . -}}
{{- $size = add $size (len $key) (len (toString $value)) -}}
{{- end -}}
{{- $limit := 258048 -}}
{{- if gt (int $size) $limit -}}
{{- fail (printf "addresses: the configuration has %d bytes, with podAnnotations, and the annotations of an agent's pod may have %d (Kubernetes takes 262144; 4096 stay free for what is added later): install the addresses as %d releases" $size $limit (add1 (div (sub $size 1) $limit))) -}}
{{- end -}}
{{- end -}}

{{/* Where a pod finds its own annotation as a file. */}}
{{- define "magic-ip-address.configVolume" -}}
downwardAPI:
  items:
    - path: config.yaml
      fieldRef: { fieldPath: "metadata.annotations['magic-ip-address/config']" }
{{- end -}}
