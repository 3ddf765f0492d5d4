package lifecycle

import (
	"maps"
	"slices"
	"strings"

	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// Labels that a container with the log driver awslogs carries: where its log
// would be in CloudWatch Logs is where it is looked for here. Without a prefix
// the stream is called as the container's id on the engine, as on ECS, and there
// is no label for it.
const (
	LabelLogGroup  = "longshore.log-group"
	LabelLogStream = "longshore.log-stream"
	LabelLogRegion = "longshore.log-region"
	LabelLogPrefix = "longshore.log-stream-prefix"
)

// keepers are the engine's drivers that keep a log where it can be read back,
// the preferred one first.
var keepers = [...]string{"local", "json-file"}

// bufferOptions are options of awslogs which any of Docker's drivers takes.
var bufferOptions = [...]string{"mode", "max-buffer-size"}

// KeepsLogs tells whether an engine with the given log drivers can stand in for
// awslogs.
func KeepsLogs(drivers []string) bool { return keeper(drivers) != "" }

func keeper(drivers []string) string {
	for _, k := range keepers {
		if slices.Contains(drivers, k) {
			return k
		}
	}
	return ""
}

// log passes the log driver and its options on as they are, but for awslogs,
// which needs no AWS here: the engine keeps the log itself.
func (b *builder) log(s *runtime.Spec, c *ecs.ContainerDefinition) {
	l := c.LogConfiguration
	if l == nil {
		return
	}
	if l.LogDriver != ecs.LogDriverAwslogs {
		s.LogDriver, s.LogOptions = string(l.LogDriver), maps.Clone(l.Options)
		return
	}
	s.LogDriver = keeper(b.LogDrivers)
	for _, name := range bufferOptions {
		if v := l.Options[name]; v != "" {
			if s.LogOptions == nil {
				s.LogOptions = map[string]string{}
			}
			s.LogOptions[name] = v
		}
	}
	if s.LogOptions["max-buffer-size"] != "" { // without its mode, which is ECS's default, Docker refuses it
		s.LogOptions["mode"] = "non-blocking"
	}
	s.Labels[LabelLogGroup] = l.Options["awslogs-group"]
	s.Labels[LabelLogRegion] = l.Options["awslogs-region"]
	if prefix := l.Options["awslogs-stream-prefix"]; prefix != "" {
		s.Labels[LabelLogPrefix] = prefix
		s.Labels[LabelLogStream] = prefix + "/" + c.Name + "/" + b.ARN[strings.LastIndex(b.ARN, "/")+1:]
	}
}
