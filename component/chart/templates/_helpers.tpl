{{- define "magic-ip-address.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The DaemonSet's name. The Pulumi component sets fullnameOverride, so that it knows this name. */}}
{{- define "magic-ip-address.fullname" -}}
{{- $name := include "magic-ip-address.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/*
Names the installation, and with it the nftables table on every node: no two of a cluster share it. A release may hold this
chart more than once, under aliases, when it is a dependency of another.
*/}}
{{- define "magic-ip-address.instance" -}}
{{- printf "%s.%s" .Release.Namespace (include "magic-ip-address.instanceName" .) -}}
{{- end -}}

{{- define "magic-ip-address.instanceName" -}}
{{- ternary .Release.Name (include "magic-ip-address.fullname" .) (default false .Chart.IsRoot) -}}
{{- end -}}

{{/* The ConfigMap that is there as long as the installation is: its name goes by the instance, not by the DaemonSet. */}}
{{- define "magic-ip-address.installationName" -}}
{{- printf "%s.magic-ip-address" (include "magic-ip-address.instanceName" .) -}}
{{- end -}}

{{/* At most 40 letters, digits and "-", by which Grafana knows the dashboard: the same as long as the installation is. */}}
{{- define "magic-ip-address.dashboardUid" -}}
{{- printf "magic-ip-%s" (include "magic-ip-address.instance" . | sha256sum | trunc 16) -}}
{{- end -}}

{{/* A DaemonSet's selector cannot be changed: these must stay as they are. */}}
{{- define "magic-ip-address.selectorLabels" -}}
app.kubernetes.io/name: {{ include "magic-ip-address.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "magic-ip-address.labels" -}}
{{ include "magic-ip-address.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- end -}}

{{- define "magic-ip-address.serviceAccountName" -}}
{{- $default := ternary (include "magic-ip-address.fullname" .) "default" (default false .Values.serviceAccount.create) -}}
{{- default $default .Values.serviceAccount.name -}}
{{- end -}}

{{- define "magic-ip-address.image" -}}
{{- $image := .Values.image -}}
{{- $tag := default (ternary .Chart.AppVersion "" (empty $image.digest)) $image.tag -}}
{{- $image.repository -}}
{{- with $tag -}}:{{ . }}{{- end -}}
{{- with default (include "magic-ip-address.releasedDigest" .) $image.digest -}}@{{ . }}{{- end -}}
{{- end -}}

{{/*
The digest of the release's image, which .github/stamp.mjs writes into the annotation as repository@digest. Empty where values
name another repository or a tag: the digest would take the place of what they name.
*/}}
{{- define "magic-ip-address.releasedDigest" -}}
{{- $repository := print .Values.image.repository "@" -}}
{{- $released := index .Chart.Annotations "magic-ip-address/image" -}}
{{- if and (not .Values.image.tag) (hasPrefix $repository $released) -}}{{ trimPrefix $repository $released }}{{- end -}}
{{- end -}}

{{/*
61000–64999 lies above the default ephemeral ports (32768–60999, ip-sysctl.rst) and NodePorts (30000–32767), so that
nothing takes the port by chance.
*/}}
{{- define "magic-ip-address.healthPort" -}}
{{- if kindIs "invalid" .Values.healthPort -}}
{{- add 61000 (mod (include "magic-ip-address.instance" . | adler32sum | int64) 4000) -}}
{{- else -}}
{{- .Values.healthPort | int -}}
{{- end -}}
{{- end -}}

{{/* The role in each target namespace; it may meet roles of other releases there, so the release's namespace is part of its name. */}}
{{- define "magic-ip-address.targetRoleName" -}}
{{- printf "%s.%s" (include "magic-ip-address.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* JSON list of the namespaces that have targets, each once. */}}
{{- define "magic-ip-address.targetNamespaces" -}}
{{- $namespaces := list -}}
{{- range .Values.addresses -}}
{{- $namespaces = append $namespaces (default "default" .namespace) -}}
{{- end -}}
{{- $namespaces | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* The agent must be able to start on the nodes that it lets others onto. */}}
{{- define "magic-ip-address.tolerations" -}}
{{- $own := list -}}
{{- if .Values.startupTaint -}}
{{- $own = list (dict "key" "magic-ip-address/agent-not-ready" "operator" "Exists") -}}
{{- end -}}
{{- toYaml (concat (default list .Values.tolerations) $own) -}}
{{- end -}}

{{/*
EKS Fargate runs no DaemonSets: a pod for such a node would wait for ever. Auto Mode and hybrid nodes do run them, and
their pods want the address as well. Whoever sets an affinity knows the nodes.
*/}}
{{- define "magic-ip-address.affinity" -}}
{{- if .Values.affinity -}}
{{- toYaml .Values.affinity -}}
{{- else -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      - matchExpressions:
          - { key: eks.amazonaws.com/compute-type, operator: NotIn, values: [fargate] }
{{- end -}}
{{- end -}}

{{/* JSON list of what `helm test` calls: single ports of TCP and UDP. */}}
{{- define "magic-ip-address.callable" -}}
{{- $callable := list -}}
{{- range $address := .Values.addresses -}}
{{- range $ip := compact (list $address.ipAddress $address.ipv6Address) -}}
{{- range $port := $address.ports -}}
{{- if and (ne (default "TCP" $port.protocol) "SCTP") (eq (int $port.port) (int (default $port.port $port.endPort))) -}}
{{- $callable = append $callable (include "magic-ip-address.endpoint" (dict "ip" $ip "port" $port)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $callable -}}
{{- end -}}

{{- define "magic-ip-address.hasQuota" -}}
{{- if and .Values.resourceQuota.enabled (ne .Release.Namespace "kube-system") -}}true{{- end -}}
{{- end -}}

{{/*
What Pulumi must create before the DaemonSet and delete after it. On its way out the agent asks the API whether its
DaemonSet is going too, and takes its rules along if so: until then it needs its account and its roles.
Syntax: pulumi-kubernetes, helm.v4.Chart, "Resource reference". Helm has that order by itself and ignores the annotation.
*/}}
{{- define "magic-ip-address.dependsOn" -}}
{{- $release := .Release.Namespace -}}
{{- $fullname := include "magic-ip-address.fullname" . -}}
{{- $rbac := "rbac.authorization.k8s.io/namespaces" -}}
{{- $mark := printf "/namespaces/%s/ConfigMap/%s" $release (include "magic-ip-address.installationName" .) -}}
{{- $references := list $mark -}}
{{- if .Values.serviceAccount.create -}}
{{- $references = append $references (printf "/namespaces/%s/ServiceAccount/%s" $release (include "magic-ip-address.serviceAccountName" .)) -}}
{{- end -}}
{{- if .Values.rbac.create -}}
{{- range $kind := list "Role" "RoleBinding" -}}
{{- $references = append $references (printf "%s/%s/%s/%s" $rbac $release $kind $fullname) -}}
{{- range $namespace := include "magic-ip-address.targetNamespaces" $ | fromJsonArray -}}
{{- $references = append $references (printf "%s/%s/%s/%s" $rbac $namespace $kind (include "magic-ip-address.targetRoleName" $)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if include "magic-ip-address.hasQuota" . -}}
{{- $references = append $references (printf "/namespaces/%s/ResourceQuota/%s" $release $fullname) -}}
{{- end -}}
{{- if .Values.startupTaint -}}
{{- $references = append $references (include "magic-ip-address.taintPolicyReference" .) -}}
{{- if .Values.rbac.create -}}
{{- range $kind := list "ClusterRole" "ClusterRoleBinding" -}}
{{- $references = append $references (printf "rbac.authorization.k8s.io/%s/%s" $kind (include "magic-ip-address.targetRoleName" $)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- join "," $references -}}
{{- end -}}

{{/* Nobody gets rights on nodes before the policy that limits them is in force. */}}
{{- define "magic-ip-address.taintPolicyReference" -}}
admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding/{{ include "magic-ip-address.targetRoleName" . }}
{{- end -}}
