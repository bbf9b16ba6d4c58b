{{/*
The agent pods' annotations. The configuration is one of them: the template of the DaemonSet and each of its
ControllerRevisions hold it, and so does every pod. A pod can start as long as it exists, whatever was installed since, and a
changed configuration is a changed template, which rolls the DaemonSet.
*/}}
{{- define "magic-ip-address.podAnnotations" -}}
{{- $config := dict "magic-ip-address/config" (include "magic-ip-address.config" .) -}}
{{- toYaml (merge $config (default dict .Values.podAnnotations)) -}}
{{- end -}}

{{/*
The API server counts the bytes of all keys and values and takes 256 KiB (TotalAnnotationSizeLimitB of apimachinery). 4 KiB of
them stay free for annotations that are added later: by kubectl rollout restart, by admission.
*/}}
{{- define "magic-ip-address.sizeFaults" -}}
{{- $size := 0 -}}
{{- range $key, $value := include "magic-ip-address.podAnnotations" .chart | fromYaml -}}
{{- $size = add $size (len $key) (len (toString $value)) -}}
{{- end -}}
{{- $limit := 258048 -}}
{{- if gt (int $size) $limit -}}
{{- include "magic-ip-address.fault" (list .state "addresses" (printf "the configuration has %d bytes, with podAnnotations, and the annotations of an agent's pod may have %d (Kubernetes takes 262144; 4096 stay free for what is added later): install the addresses as %d releases" $size $limit (add1 (div (sub $size 1) $limit)))) -}}
{{- end -}}
{{- end -}}

{{/* Where a pod finds its own annotation as a file. */}}
{{- define "magic-ip-address.configVolume" -}}
downwardAPI:
  items:
    - path: config.yaml
      fieldRef: { fieldPath: "metadata.annotations['magic-ip-address/config']" }
{{- end -}}
