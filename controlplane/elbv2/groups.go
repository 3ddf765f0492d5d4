package elbv2

import (
	"context"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	standardDelay = 300 // seconds of deregistration delay (target group attributes, ELB guide)
	maxPort       = 65535
	maxPage       = 400
	maxVPC        = 255
)

var groupName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?$`)

type groupsResult struct {
	TargetGroups []groupShape `xml:"TargetGroups>member"`
	NextMarker   string       `xml:",omitempty"`
}

func (h *handler) createTargetGroup(ctx context.Context, f *form) (any, error) {
	wanted, err := newGroup(f)
	if err != nil {
		return nil, err
	}
	var made *model.TargetGroup
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		if have, ok := tx.TargetGroup(wanted.Name); ok {
			made = have
			return sameGroup(have, wanted)
		}
		next := *wanted
		next.ARN, next.CreatedAt = h.Owner.TargetGroupARN(next.Name, model.NewTargetGroupID()), h.Clock()
		made = &next
		tx.PutTargetGroup(made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return groupsResult{TargetGroups: []groupShape{shapeOf(made)}}, nil
}

// newGroup is the group that a request asks for.
func newGroup(f *form) (*model.TargetGroup, error) {
	g := &model.TargetGroup{
		Name: f.text("Name"), Protocol: f.text("Protocol"), ProtocolVersion: f.text("ProtocolVersion"), TargetType: f.text("TargetType"),
		VPC: f.text("VpcId"), DeregistrationDelay: standardDelay,
	}
	if g.TargetType == "" {
		g.TargetType = model.TargetTypeInstance
	}
	switch {
	case !groupName.MatchString(g.Name):
		return nil, invalid("Target group name '%s' must be 1 to 32 letters, digits and hyphens, and can not begin or end with a hyphen", clip(g.Name))
	case g.TargetType != model.TargetTypeInstance && g.TargetType != model.TargetTypeIP:
		return nil, unsupported("target groups of the type " + clip(g.TargetType))
	case g.Protocol == "":
		return nil, invalid("A protocol must be specified")
	case g.Protocol != model.ProtocolHTTP && g.Protocol != model.ProtocolHTTPS && g.Protocol != model.ProtocolTCP:
		return nil, ecs.Errorf("UnsupportedProtocol", "Longshore does not support target groups of the protocol %s.", clip(g.Protocol))
	case !f.has("Port"):
		return nil, invalid("A port must be specified")
	case len(g.VPC) > maxVPC:
		return nil, invalid("The VPC ID '%s' is not valid", clip(g.VPC))
	case f.has("IpAddressType") && f.text("IpAddressType") != "ipv4":
		return nil, unsupported("the IP address type " + clip(f.text("IpAddressType")))
	case f.has("TargetControlPort"):
		return nil, unsupported("TargetControlPort")
	}
	if err := setVersion(g); err != nil {
		return nil, err
	}
	g.Port = f.number("Port", 0, 1, maxPort)
	g.Tags = readTags(f)
	g.HealthCheck = standardCheck(g)
	readCheck(f, g)
	return g, f.check()
}

func setVersion(g *model.TargetGroup) error {
	web := g.Protocol != model.ProtocolTCP
	switch {
	case g.ProtocolVersion == "" && web:
		g.ProtocolVersion = model.VersionHTTP1
	case g.ProtocolVersion != "" && !web:
		return invalid("You cannot specify a protocol version for a target group of the protocol %s", g.Protocol)
	case web && g.ProtocolVersion == model.VersionHTTP2:
		return unsupported("the protocol version HTTP2")
	case web && g.ProtocolVersion != model.VersionHTTP1 && g.ProtocolVersion != model.VersionGRPC:
		return invalid("Protocol version '%s' is not valid", clip(g.ProtocolVersion))
	}
	return nil
}

// sameGroup lets a request be repeated, and refuses another group of the same name.
func sameGroup(have, wanted *model.TargetGroup) error {
	if have.Protocol != wanted.Protocol || have.ProtocolVersion != wanted.ProtocolVersion || have.Port != wanted.Port ||
		have.TargetType != wanted.TargetType || have.VPC != wanted.VPC || have.HealthCheck != wanted.HealthCheck {
		return ecs.Errorf(codeDuplicate, "A target group with the same name '%s' exists, but with different settings", have.Name)
	}
	return nil
}

func (h *handler) modifyTargetGroup(ctx context.Context, f *form) (any, error) {
	g, err := h.change(ctx, f.text("TargetGroupArn"), func(_ *store.Tx, g *model.TargetGroup) error {
		readCheck(f, g)
		return f.check()
	})
	if err != nil {
		return nil, err
	}
	return groupsResult{TargetGroups: []groupShape{shapeOf(g)}}, nil
}

func (h *handler) describeTargetGroups(_ context.Context, f *form) (any, error) {
	names, arns := f.texts("Names"), f.texts("TargetGroupArns")
	view := h.store.View()
	switch {
	case f.has("LoadBalancerArn"):
		return nil, ecs.Errorf("LoadBalancerNotFound", "Longshore has no load balancers: proxies follow the target groups.")
	case len(names) > 0 && len(arns) > 0:
		return nil, invalid("Target group names and target group ARNs cannot be specified at the same time")
	case len(names)+len(arns) > 0:
		return h.named(view, names, arns)
	}
	size := int(f.number("PageSize", maxPage, 1, maxPage))
	from, err := fromMarker(f.text("Marker"))
	if err != nil {
		return nil, err
	}
	var out groupsResult
	for g := range view.TargetGroups(from) {
		if len(out.TargetGroups) == size {
			out.NextMarker = base64.RawURLEncoding.EncodeToString([]byte(markerPrefix + g.Name))
			break
		}
		out.TargetGroups = append(out.TargetGroups, shapeOf(g))
	}
	return out, f.check()
}

func (h *handler) named(view *store.Tables, names, arns []string) (any, error) {
	var out groupsResult
	for _, arn := range arns {
		g, err := h.group(view, arn)
		if err != nil {
			return nil, err
		}
		out.TargetGroups = append(out.TargetGroups, shapeOf(g))
	}
	for _, name := range names {
		g, ok := view.TargetGroup(name)
		if !ok {
			return nil, ecs.Errorf(codeNotFound, "One or more target groups not found")
		}
		out.TargetGroups = append(out.TargetGroups, shapeOf(g))
	}
	return out, nil
}

const markerPrefix = "targetgroups\n"

// fromMarker returns the name with which the page of a marker begins.
func fromMarker(marker string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(marker)
	name, own := strings.CutPrefix(string(raw), markerPrefix)
	if marker != "" && (err != nil || !own) {
		return "", invalid("The marker is not one that was given out")
	}
	return name, nil
}

func (h *handler) deleteTargetGroup(ctx context.Context, f *form) (any, error) {
	arn := f.text("TargetGroupArn")
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		g, ok := tx.TargetGroupByARN(model.TargetGroupARN(arn))
		if !ok {
			if model.TargetGroupARN(arn).Name() == "" {
				return invalid("'%s' is not a valid target group ARN", clip(arn))
			}
			return nil // deleted already, which is what is wanted
		}
		for s := range tx.ServicesWithGroup(g.ARN) {
			return ecs.Errorf(codeInUse, "Target group '%s' is currently in use by the service %s in the cluster %s", g.ARN, s.Name, s.Cluster)
		}
		for t := range tx.TasksInGroup(g.ARN) {
			return ecs.Errorf(codeInUse, "Target group '%s' is currently in use by the task %s in the cluster %s", g.ARN, t.ID, t.Cluster)
		}
		tx.DeleteTargetGroup(g)
		return nil
	})
	return struct{}{}, err
}

// groupShape is a target group as it is answered.
type groupShape struct {
	TargetGroupArn, TargetGroupName, Protocol string
	ProtocolVersion                           string `xml:",omitempty"`
	Port                                      int32
	VpcId                                     string `xml:",omitempty"`
	HealthCheckProtocol, HealthCheckPort      string
	HealthCheckEnabled                        bool
	HealthCheckIntervalSeconds                int32
	HealthCheckTimeoutSeconds                 int32
	HealthyThresholdCount                     int32
	UnhealthyThresholdCount                   int32
	HealthCheckPath                           string        `xml:",omitempty"`
	Matcher                                   *matcherShape `xml:",omitempty"`
	TargetType, IpAddressType                 string
	LoadBalancerArns                          struct{}
}

type matcherShape struct {
	HttpCode string `xml:",omitempty"`
	GrpcCode string `xml:",omitempty"`
}

func shapeOf(g *model.TargetGroup) groupShape {
	h := g.HealthCheck
	s := groupShape{
		TargetGroupArn: string(g.ARN), TargetGroupName: g.Name, Protocol: g.Protocol, ProtocolVersion: g.ProtocolVersion,
		Port: g.Port, VpcId: g.VPC, HealthCheckProtocol: h.Protocol, HealthCheckPort: h.Port, HealthCheckEnabled: true,
		HealthCheckIntervalSeconds: h.Interval, HealthCheckTimeoutSeconds: h.Timeout,
		HealthyThresholdCount: h.HealthyAfter, UnhealthyThresholdCount: h.UnhealthyAfter,
		HealthCheckPath: h.Path, TargetType: g.TargetType, IpAddressType: "ipv4",
	}
	switch {
	case h.Matcher == "":
	case g.ProtocolVersion == model.VersionGRPC:
		s.Matcher = &matcherShape{GrpcCode: h.Matcher}
	default:
		s.Matcher = &matcherShape{HttpCode: h.Matcher}
	}
	return s
}

// readTags reads Tags of a request.
func readTags(f *form) []ecs.Tag {
	var out []ecs.Tag
	f.members("Tags", func(prefix string) {
		value := f.text(prefix + ".Value")
		t := ecs.Tag{Key: f.text(prefix + ".Key"), Value: &value}
		switch {
		case utf8.RuneCountInString(t.Key) > 128 || utf8.RuneCountInString(value) > 256 || t.Key == "":
			f.fail(invalid("A tag needs a key of 1 to 128 characters and a value of at most 256"))
		case !tagText.MatchString(t.Key) || !tagText.MatchString(value):
			f.fail(invalid("The tag '%s' can only have letters, digits, spaces and _.:/=+-@", clip(t.Key)))
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			f.fail(invalid("Tag keys can not begin with aws:"))
		case slices.ContainsFunc(out, func(o ecs.Tag) bool { return o.Key == t.Key }):
			f.fail(ecs.Errorf(codeDuplicateTags, "The tag key '%s' is given twice", t.Key))
		}
		out = append(out, t)
	})
	if len(out) > maxTags {
		f.fail(ecs.Errorf(codeTooManyTags, "At most %d tags can be given", maxTags))
	}
	return out
}

const maxTags = 50

// tagText is what the keys and values of tags are made of (Tag, ELBv2 API).
var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
