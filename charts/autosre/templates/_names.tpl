{{- define "autosre.labels" -}}
app.kubernetes.io/name: autosre
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/managed-by: autosre
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- if eq .component "vllm-local" }}
autosre.dev/recipe: {{ .root.Values.recipe.name | trunc 63 | quote }}
{{- end }}
{{- end }}

{{- /* What a Pod carries: nothing that changes with the chart alone, or a new chart ends the engine. */ -}}
{{- define "autosre.podLabels" -}}
{{ include "autosre.selector" . }}
app.kubernetes.io/managed-by: autosre
{{- if eq .component "vllm-local" }}
autosre.dev/recipe: {{ .root.Values.recipe.name | trunc 63 | quote }}
{{- end }}
{{- end }}

{{- define "autosre.selector" -}}
app.kubernetes.io/name: autosre
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* What every Pod of this chart has in common. */ -}}
{{- define "autosre.pod" -}}
serviceAccountName: autosre
automountServiceAccountToken: false
{{- /* A Service named vllm, ours or not, would inject VLLM_PORT=tcp://…, and vLLM dies of it. */}}
enableServiceLinks: false
restartPolicy: Always
{{- /* Every address of this stack is pinned: no Pod asks the cluster for a name. */}}
dnsPolicy: Default
{{- with .root.Values.hostAliases }}
hostAliases: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Where Prometheus finds the numbers, for whoever discovers Services by these annotations. */ -}}
{{- define "autosre.scraped" -}}
prometheus.io/scrape: "true"
prometheus.io/path: /metrics
prometheus.io/port: {{ . | quote }}
{{- end }}

{{- /* Who may read /metrics: Pods of these namespaces. */ -}}
{{- define "autosre.scrapers" -}}
{{- range .Values.scrapeFrom }}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ . }}
{{- end }}
{{- end }}
