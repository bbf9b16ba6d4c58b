{{/*
What the cluster lacks. `helm template` knows the version that --kube-version names and only the groups of built-in APIs; Helm at
a cluster, Pulumi and Argo CD name the kinds as well, of which every cluster has DaemonSets.
*/}}
{{- define "magic-ip-address.clusterFaults" -}}
{{- $apis := .chart.Capabilities.APIVersions -}}
{{- $version := .chart.Capabilities.KubeVersion.Version -}}
{{- $isKnown := $apis.Has "apps/v1/DaemonSet" -}}
{{- $hasPolicies := or (not $isKnown) ($apis.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy") -}}
{{- with .chart.Values -}}
{{- if not .startupTaint -}}
{{- else if semverCompare "<1.30-0" $version -}}
{{- include "magic-ip-address.fault" (list $.state "startupTaint" (printf "the cluster is Kubernetes %s, and the ValidatingAdmissionPolicy that keeps the agent to its own node's taint needs 1.30: leave it out, or upgrade the cluster" $version)) -}}
{{- else if not $hasPolicies -}}
{{- include "magic-ip-address.fault" (list $.state "startupTaint" "the cluster's API server has no admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy, which keeps the agent to its own node's taint: leave it out, or enable that API") -}}
{{- end -}}
{{- if and .podMonitor.enabled (not .metricsPort) -}}
{{- include "magic-ip-address.fault" (list $.state "podMonitor.enabled" "Prometheus cannot reach the agents on their loopback: set metricsPort too, as 9091") -}}
{{- end -}}
{{- if and .podMonitor.enabled (not .podMonitor.assumeCrd) $isKnown (not ($apis.Has "monitoring.coreos.com/v1/PodMonitor")) -}}
{{- include "magic-ip-address.fault" (list $.state "podMonitor.enabled" "the cluster has no monitoring.coreos.com/v1/PodMonitor: install the Prometheus operator's CRDs first, or set podMonitor.assumeCrd where they come with the same deployment") -}}
{{- end -}}
{{- if and $.chart.Chart.IsRoot (eq (toString .enabled) "false") -}}
{{- include "magic-ip-address.fault" (list $.state "enabled" "false has no effect here: it is for a chart that has this one as a dependency with condition enabled; leave it out, or do not install this chart") -}}
{{- end -}}
{{- end -}}
{{- end -}}
