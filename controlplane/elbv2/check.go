package elbv2

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
)

// Defaults of health checks (CreateTargetGroup, ELBv2 API).
const (
	standardInterval = 30
	webTimeout       = 5
	tcpTimeout       = 10
	standardHealthy  = 5
	standardFailures = 2
	grpcPath         = "/AWS.ALB/healthcheck"
	grpcMatcher      = "12"
	httpMatcher      = "200"
	tcpMatcher       = "200-399" // of checks over HTTP in groups of the protocol TCP
)

const maxPath = 1024

func standardCheck(g *model.TargetGroup) model.HealthCheck {
	h := model.HealthCheck{
		Protocol: model.ProtocolTCP, Port: model.TrafficPort, Interval: standardInterval, Timeout: tcpTimeout,
		HealthyAfter: standardHealthy, UnhealthyAfter: standardFailures,
	}
	if g.Protocol != model.ProtocolTCP {
		h.Protocol = model.ProtocolHTTP
	}
	return h
}

// readCheck changes the health check of a group as far as a request says so.
func readCheck(f *form, g *model.TargetGroup) {
	h := &g.HealthCheck
	if f.has("HealthCheckProtocol") {
		h.Protocol = f.text("HealthCheckProtocol")
	}
	if h.Protocol != model.ProtocolHTTP && h.Protocol != model.ProtocolHTTPS && h.Protocol != model.ProtocolTCP {
		f.fail(invalid("Health check protocol '%s' must be HTTP, HTTPS or TCP", clip(h.Protocol)))
		return
	}
	if h.Protocol == model.ProtocolTCP && g.Protocol != model.ProtocolTCP {
		f.fail(invalid("Health check protocol 'TCP' is not supported for target groups with the protocol '%s'", g.Protocol))
		return
	}
	if f.has("HealthCheckEnabled") && f.text("HealthCheckEnabled") != "true" {
		f.fail(invalid("Health check enabled must be true for target groups with target type '%s'", g.TargetType))
	}
	if port := f.text("HealthCheckPort"); port != "" {
		if n, err := strconv.Atoi(port); port != model.TrafficPort && (err != nil || n < 1 || n > maxPort || strconv.Itoa(n) != port) {
			f.fail(invalid("Health check port '%s' must be '%s' or a port from 1 to %d", clip(port), model.TrafficPort, maxPort))
		}
		h.Port = port
	}
	readWeb(f, g, h)
	h.Interval = f.number("HealthCheckIntervalSeconds", h.Interval, 5, 300)
	h.Timeout = f.number("HealthCheckTimeoutSeconds", h.Timeout, 2, 120)
	h.HealthyAfter = f.number("HealthyThresholdCount", h.HealthyAfter, 2, 10)
	h.UnhealthyAfter = f.number("UnhealthyThresholdCount", h.UnhealthyAfter, 2, 10)
	if h.Timeout >= h.Interval && h.Protocol != model.ProtocolTCP {
		f.fail(invalid("Health check timeout '%d' must be smaller than the interval '%d'", h.Timeout, h.Interval))
	}
}

// readWeb reads what only health checks over HTTP have, gRPC's among them.
func readWeb(f *form, g *model.TargetGroup, h *model.HealthCheck) {
	if h.Protocol == model.ProtocolTCP {
		if f.has("HealthCheckPath") || f.has("Matcher.HttpCode") || f.has("Matcher.GrpcCode") {
			f.fail(invalid("Health check paths and matchers are not supported for health checks with the protocol TCP"))
		}
		h.Path, h.Matcher = "", ""
		return
	}
	path, matcher, codes := "/", httpMatcher, "Matcher.HttpCode"
	least, most, other := 200, 499, "Matcher.GrpcCode"
	switch {
	case g.Protocol == model.ProtocolTCP: // what a Network Load Balancer takes
		matcher, most = tcpMatcher, 599
	case g.ProtocolVersion == model.VersionGRPC:
		path, matcher, codes = grpcPath, grpcMatcher, "Matcher.GrpcCode"
		least, most, other = 0, 99, "Matcher.HttpCode"
	}
	if h.Path == "" { // it was none of HTTP before
		h.Path, h.Matcher = path, matcher
		if h.Timeout == tcpTimeout {
			h.Timeout = webTimeout
		}
	}
	if f.has("HealthCheckPath") {
		h.Path = f.text("HealthCheckPath")
		if len(h.Path) > maxPath || !checkPath.MatchString(h.Path) {
			f.fail(invalid("Health check path '%s' must begin with a '/' character, and can only contain printable ASCII characters, without spaces", clip(h.Path)))
		}
	}
	if f.has(other) {
		f.fail(invalid("%s is not supported for target groups with the protocol version '%s'", other, g.ProtocolVersion))
	}
	if f.has(codes) {
		h.Matcher = f.text(codes)
		if !validMatcher(h.Matcher, least, most) {
			f.fail(invalid("Health check matcher '%s' must be codes or ranges of codes from %d to %d, separated by commas", clip(h.Matcher), least, most))
		}
	}
}

var checkPath = regexp.MustCompile(`^/[!-~]*$`)

var codeList = regexp.MustCompile(`^[0-9]{1,3}(-[0-9]{1,3})?(,[0-9]{1,3}(-[0-9]{1,3})?){0,99}$`)

func validMatcher(matcher string, least, most int) bool {
	if !codeList.MatchString(matcher) {
		return false
	}
	for part := range strings.SplitSeq(matcher, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || from < least || to > most || from > to {
			return false
		}
	}
	return true
}
