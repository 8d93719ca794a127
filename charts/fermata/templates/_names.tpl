{{/* The name of all objects: the release's, if that says it already. A Service's has no dots, where a release's may. */}}
{{- define "fermata.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Release.Name -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if not (contains $name .Release.Name) -}}
{{- $full = printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- $full | replace "." "-" | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* A length of time such as 30d or 2160h30m. Unit: seconds. */}}
{{- define "fermata.seconds" -}}
{{- $seconds := 0 -}}
{{- range regexFindAll "[0-9]+[dhms]" . -1 -}}
{{- $unit := get (dict "d" 86400 "h" 3600 "m" 60 "s" 1) (regexFind "[dhms]" .) -}}
{{- $seconds = add $seconds (mul (regexFind "[0-9]+" . | int64) $unit) -}}
{{- end -}}
{{- $seconds -}}
{{- end -}}

{{/* What selects the replicas; never changes for a release. */}}
{{- define "fermata.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: webhook
{{- end -}}

{{/* Labels of all objects. */}}
{{- define "fermata.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The same, with labels of an object's own in a list behind the context. */}}
{{- define "fermata.labelsWith" -}}
{{- include "fermata.over" (list (include "fermata.labels" (index . 0) | fromYaml) (index . 1)) -}}
{{- end -}}

{{/* Two maps as one, of which the second wins: a key that is there twice is no YAML to many a tool. */}}
{{- define "fermata.over" -}}
{{- $all := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}{{- $_ := set $all $key $value -}}{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{- define "fermata.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "fermata.fullname" .) -}}
{{- end -}}

{{/* The Secret with the authority of the self-signed mode. */}}
{{- define "fermata.authorityName" -}}
{{ include "fermata.fullname" . }}-authority
{{- end -}}

{{/* The Secret with the certificate of the other modes. */}}
{{- define "fermata.tlsSecretName" -}}
{{- .Values.tls.secretName | default (printf "%s-tls" (include "fermata.fullname" .)) -}}
{{- end -}}

{{/* REGISTRY/REPOSITORY:TAG or @DIGEST of `image`, with the registry of `fallback` if it has none. */}}
{{- define "fermata.image" -}}
{{- $registry := .image.registry | default .fallback -}}
{{- $name := .image.repository -}}
{{- if $registry -}}{{- $name = printf "%s/%s" (trimSuffix "/" $registry) $name -}}{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .version) -}}
{{- end -}}
{{- end -}}

{{- define "fermata.webhookImage" -}}
{{- include "fermata.image" (dict "image" .Values.image "fallback" "" "version" .Chart.AppVersion) -}}
{{- end -}}

{{- define "fermata.shimImage" -}}
{{- if .Values.config.shimImage -}}
{{- .Values.config.shimImage -}}
{{- else -}}
{{- include "fermata.image" (dict "image" .Values.shim.image "fallback" .Values.image.registry "version" .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The name by which API servers call. */}}
{{- define "fermata.host" -}}
{{ include "fermata.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* Namespaces whose Pods never get here. */}}
{{- define "fermata.excludedNamespaces" -}}
{{- concat (list "kube-system" "kube-public" "kube-node-lease" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toYaml -}}
{{- end -}}

{{/* Whether this Kubernetes keeps matchConditions. */}}
{{- define "fermata.hasMatchConditions" -}}
{{- if semverCompare ">=1.28.0-0" .Capabilities.KubeVersion.Version -}}yes{{- end -}}
{{- end -}}

{{/* The number of a signal by its name or number, and 0 for what is none. */}}
{{- define "fermata.signal" -}}
{{- $numbers := dict "IOT" 6 "CLD" 17 "POLL" 29 "UNUSED" 31 "RTMIN" 34 "RTMAX" 64 -}}
{{- range $index, $name := splitList " " "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS" -}}
{{- $_ := set $numbers $name (add1 $index) -}}
{{- end -}}
{{- range $offset := until 31 -}}
{{- $_ := set $numbers (printf "RTMIN+%d" $offset) (add 34 $offset) -}}
{{- $_ := set $numbers (printf "RTMAX-%d" $offset) (sub 64 $offset) -}}
{{- end -}}
{{- $number := get $numbers (toString . | upper | trimPrefix "SIG") | int -}}
{{- if regexMatch "^[1-9][0-9]?$" (toString .) }}{{ $number = toString . | int }}{{ end -}}
{{- ternary $number 0 (le $number 64) -}}
{{- end -}}
