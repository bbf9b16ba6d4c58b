{{/* The values that are Kubernetes' business: names, images, the rollout. */}}
{{- define "magic-ip-address.kubernetesFaults" -}}
{{- $state := .state -}}
{{- $values := .chart.Values -}}
{{- range $field := list "nameOverride" "fullnameOverride" -}}
{{- $name := toString (index $values $field) -}}
{{- if and $name (not (regexMatch $state.spec.patterns.namespace $name)) -}}
{{- include "magic-ip-address.fault" (list $state $field (printf "%q cannot name an object: at most 63 lower-case letters, digits and \"-\", as dd-agent" $name)) -}}
{{- end -}}
{{- end -}}
{{- if hasKey (default dict $values.podAnnotations) "magic-ip-address/config" -}}
{{- include "magic-ip-address.fault" (list $state "podAnnotations.magic-ip-address/config" "the chart writes the agent's configuration into this annotation: leave it out, and set addresses") -}}
{{- end -}}
{{- include "magic-ip-address.imageFaults" (dict "state" $state "image" $values.image "testImage" $values.tests.image) -}}
{{- range $i, $secret := $values.imagePullSecrets -}}
{{- $path := printf "imagePullSecrets[%d].name" $i -}}
{{- if not $secret.name -}}
{{- include "magic-ip-address.fault" (list $state $path "is missing: write the name of a Secret, as my-registry") -}}
{{- end -}}
{{- include "magic-ip-address.nameFaults" (list $state $path $secret.name "a Secret" "my-registry") -}}
{{- end -}}
{{- include "magic-ip-address.nameFaults" (list $state "serviceAccount.name" $values.serviceAccount.name "a ServiceAccount" "dd-agent") -}}
{{- if and $values.rbac.create (eq (include "magic-ip-address.serviceAccountName" .chart) "default") -}}
{{- $what := ternary "is default" "is missing beside serviceAccount.create false" (eq (toString $values.serviceAccount.name) "default") -}}
{{- include "magic-ip-address.fault" (list $state "serviceAccount.name" (printf "%s: the agent's rights would be those of the account default, which every pod of the namespace has that names none: write the name of another account, or set rbac.create to false" $what)) -}}
{{- end -}}
{{- include "magic-ip-address.nameFaults" (list $state "priorityClassName" $values.priorityClassName "a PriorityClass" "system-node-critical") -}}
{{- include "magic-ip-address.updateStrategyFaults" (dict "state" $state "updateStrategy" $values.updateStrategy) -}}
{{- include "magic-ip-address.durationFaults" (list $state "podMonitor.interval" $values.podMonitor.interval (include "magic-ip-address.prometheusDuration" .) "whole numbers with their units, each once and the bigger first, as 30s, 1m30s or 1d") -}}
{{- include "magic-ip-address.durationFaults" (list $state "tests.wait" $values.tests.wait "^([1-9][0-9]*(ms|s|m))?$" "a whole number with its unit, as 30s or 2m") -}}
{{- if and (include "magic-ip-address.hasQuota" .chart) (not $values.priorityClassName) -}}
{{- include "magic-ip-address.fault" (list $state "resourceQuota.enabled" "there is no priorityClassName that it could be for: set one, as system-node-critical") -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.imageFaults" -}}
{{- $state := .state -}}
{{- $repository := "([a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*" -}}
{{- $tag := "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}" -}}
{{- $digest := "sha256:[0-9a-f]{64}" -}}
{{- with .image -}}
{{- if not (regexMatch (printf "^%s$" $repository) .repository) -}}
{{- include "magic-ip-address.fault" (list $state "image.repository" (printf "%q is no repository: write [registry[:port]/]repository, as registry.example:5000/magic-ip-address-agent, and a tag in image.tag" .repository)) -}}
{{- end -}}
{{- if not (regexMatch (printf "^(%s)?$" $tag) .tag) -}}
{{- include "magic-ip-address.fault" (list $state "image.tag" (printf "%q is no tag: at most 128 letters, digits, \"_\", \".\" and \"-\", as 1.2.3" .tag)) -}}
{{- end -}}
{{- if not (regexMatch (printf "^(%s)?$" $digest) .digest) -}}
{{- include "magic-ip-address.fault" (list $state "image.digest" (printf "%q is no digest: write sha256: and 64 hexadecimal digits" .digest)) -}}
{{- end -}}
{{- include "magic-ip-address.refuseOtherWord" (list $state "image.pullPolicy" .pullPolicy "pullPolicy") -}}
{{- end -}}
{{- if not (regexMatch (printf "^(%s(:%s)?(@%s)?)?$" $repository $tag $digest) .testImage) -}}
{{- include "magic-ip-address.refuse" (list $state "tests.image" "image" (toRawJson .testImage)) -}}
{{- end -}}
{{- end -}}

{{- define "magic-ip-address.updateStrategyFaults" -}}
{{- $state := .state -}}
{{- with .updateStrategy -}}
{{- include "magic-ip-address.refuseOtherWord" (list $state "updateStrategy.type" .type "updateStrategy") -}}
{{- with .rollingUpdate -}}
{{- if hasKey . "maxUnavailable" -}}
{{- $number := toRawJson .maxUnavailable -}}
{{- if not (regexMatch "^([1-9][0-9]*|\"([1-9][0-9]?|100)%\")$" $number) -}}
{{- include "magic-ip-address.refuse" (list $state "updateStrategy.rollingUpdate.maxUnavailable" "maxUnavailable" $number) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The API server takes annotations of 262,144 bytes for an object, names included (apimachinery, TotalAnnotationSizeLimitB). The
DaemonSet's depends-on names two objects for each target namespace.
*/}}
{{- define "magic-ip-address.annotationFaults" -}}
{{- $size := len (print "config.kubernetes.io/depends-on" (include "magic-ip-address.dependsOn" .chart)) -}}
{{- range $name, $value := .chart.Values.daemonSetAnnotations -}}
{{- $size = add $size (len $name) (len (toString $value)) -}}
{{- end -}}
{{- if gt (int $size) 262144 -}}
{{- $namespaces := include "magic-ip-address.targetNamespaces" .chart | fromJsonArray | len -}}
{{- include "magic-ip-address.fault" (list .state "addresses" (printf "have their targets in %d namespaces, and the DaemonSet's annotations, which name the roles of each, take %d bytes of 262144: split them over several releases" $namespaces (int $size))) -}}
{{- end -}}
{{- end -}}

{{/* The Duration of the Prometheus operator's CRDs: each unit once at most, the bigger ones first. */}}
{{- define "magic-ip-address.prometheusDuration" -}}
^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$
{{- end -}}

{{/* The name of an object that the chart does not make: state, path, the name, what it is that of, an example. */}}
{{- define "magic-ip-address.nameFaults" -}}
{{- $state := index . 0 -}}
{{- $name := default "" (index . 2) -}}
{{- if and $name (or (gt (len $name) 253) (not (regexMatch $state.spec.patterns.dnsSubdomain $name))) -}}
{{- include "magic-ip-address.fault" (list $state (index . 1) (printf "%q cannot name %s: at most 253 lower-case letters, digits, \"-\" and \".\", as %s" $name (index . 3) (index . 4))) -}}
{{- end -}}
{{- end -}}

{{/* State, path, text, pattern, what is right. */}}
{{- define "magic-ip-address.durationFaults" -}}
{{- if not (regexMatch (index . 3) (index . 2)) -}}
{{- include "magic-ip-address.fault" (list (index . 0) (index . 1) (printf "%q is no time: write %s" (index . 2) (index . 4))) -}}
{{- end -}}
{{- end -}}
