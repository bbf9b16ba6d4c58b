{{/*
Made by `npm run generate`. The defaults of values.yaml: Helm takes a key away where null is given.
*/}}
{{- define "magic-ip-address.defaults" -}}
[
 {
  "field": "addresses",
  "value": []
 },
 {
  "field": "allowedCidrs",
  "value": []
 },
 {
  "field": "backend",
  "value": "auto"
 },
 {
  "field": "hostClients",
  "value": true
 },
 {
  "field": "outsideGuard",
  "value": true
 },
 {
  "field": "masquerade",
  "value": "auto"
 },
 {
  "field": "startupTaint",
  "value": false
 },
 {
  "field": "pollInterval",
  "value": 1800
 },
 {
  "field": "verbose",
  "value": false
 },
 {
  "field": "healthPort",
  "value": null
 },
 {
  "field": "metricsPort",
  "value": null
 },
 {
  "section": "podMonitor",
  "field": "enabled",
  "value": false
 },
 {
  "section": "podMonitor",
  "field": "assumeCrd",
  "value": false
 },
 {
  "section": "podMonitor",
  "field": "interval",
  "value": ""
 },
 {
  "section": "podMonitor",
  "field": "labels",
  "value": {}
 },
 {
  "section": "grafanaDashboard",
  "field": "enabled",
  "value": false
 },
 {
  "section": "grafanaDashboard",
  "field": "labels",
  "value": {
   "grafana_dashboard": "1"
  }
 },
 {
  "section": "grafanaDashboard",
  "field": "annotations",
  "value": {}
 },
 {
  "section": "image",
  "field": "repository",
  "value": "magic-ip-address-agent"
 },
 {
  "section": "image",
  "field": "tag",
  "value": ""
 },
 {
  "section": "image",
  "field": "digest",
  "value": ""
 },
 {
  "section": "image",
  "field": "pullPolicy",
  "value": "IfNotPresent"
 },
 {
  "field": "imagePullSecrets",
  "value": []
 },
 {
  "field": "nameOverride",
  "value": ""
 },
 {
  "field": "fullnameOverride",
  "value": ""
 },
 {
  "field": "resources",
  "value": {
   "requests": {
    "cpu": "10m",
    "memory": "64Mi"
   },
   "limits": {
    "memory": "160Mi"
   }
  }
 },
 {
  "field": "tolerations",
  "value": [
   {
    "operator": "Exists"
   }
  ]
 },
 {
  "field": "nodeSelector",
  "value": {
   "kubernetes.io/os": "linux"
  }
 },
 {
  "field": "affinity",
  "value": {}
 },
 {
  "field": "priorityClassName",
  "value": "system-node-critical"
 },
 {
  "section": "resourceQuota",
  "field": "enabled",
  "value": false
 },
 {
  "field": "updateStrategy",
  "value": {
   "type": "RollingUpdate",
   "rollingUpdate": {
    "maxUnavailable": "10%"
   }
  }
 },
 {
  "field": "daemonSetAnnotations",
  "value": {}
 },
 {
  "field": "podAnnotations",
  "value": {}
 },
 {
  "field": "podLabels",
  "value": {}
 },
 {
  "section": "serviceAccount",
  "field": "create",
  "value": true
 },
 {
  "section": "serviceAccount",
  "field": "name",
  "value": ""
 },
 {
  "section": "serviceAccount",
  "field": "annotations",
  "value": {}
 },
 {
  "section": "rbac",
  "field": "create",
  "value": true
 },
 {
  "section": "rbac",
  "field": "events",
  "value": true
 },
 {
  "section": "tests",
  "field": "enabled",
  "value": true
 },
 {
  "section": "tests",
  "field": "image",
  "value": ""
 },
 {
  "section": "tests",
  "field": "nodeSelector",
  "value": {}
 },
 {
  "section": "tests",
  "field": "tolerations",
  "value": []
 },
 {
  "section": "tests",
  "field": "wait",
  "value": "60s"
 }
]
{{- end -}}
