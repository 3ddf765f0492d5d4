package query

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// compile makes a test of one argument; problem says why it is none.
func (s subject) compile(o operator, argument string) (t test, problem string) {
	switch s.kind {
	case attribute:
		holds, problem := compileText(o, argument)
		name := s.name
		return func(i Instance) bool {
			value, present := i.Attribute(name)
			return present && holds(value)
		}, problem
	case taskGroup:
		return compileGroup(o, argument)
	case ec2InstanceID:
		holds, problem := compileText(o, argument)
		return func(i Instance) bool { return holds(i.EC2InstanceID()) }, problem
	case agentConnected:
		if !o.takesPattern() && argument != "true" && argument != "false" {
			return nil, "expected true or false, found " + strconv.Quote(argument)
		}
		holds, problem := compileText(o, argument)
		return func(i Instance) bool { return holds(strconv.FormatBool(i.AgentConnected())) }, problem
	case agentVersion:
		return compileVersion(o, argument)
	case registeredAt:
		return compileDate(o, argument)
	default:
		return compileCount(o, argument)
	}
}

// compileText compares text; for < and its like, as the argument can be read.
func compileText(o operator, argument string) (holds func(string) bool, problem string) {
	switch {
	case o.takesPattern():
		pattern, problem := compilePattern(argument)
		if problem != "" {
			return nil, problem
		}
		return pattern.MatchString, ""
	case !o.ordering():
		return func(value string) bool { return value == argument }, ""
	}
	if number, ok := parseNumber(argument); ok {
		return func(value string) bool {
			n, ok := parseNumber(value)
			return ok && o.orders(cmp.Compare(n, number))
		}, ""
	}
	if strings.Count(argument, ".") >= 2 {
		if wanted, ok := parseVersion(argument); ok {
			return func(value string) bool {
				v, ok := parseVersion(value)
				return ok && o.orders(v.compare(wanted))
			}, ""
		}
	}
	return func(value string) bool { return o.orders(strings.Compare(value, argument)) }, ""
}

// compileGroup asks for a group among those on the instance.
func compileGroup(o operator, argument string) (test, string) {
	if !o.takesPattern() {
		return func(i Instance) bool { return i.GroupTasks(argument) > 0 }, ""
	}
	pattern, problem := compilePattern(argument)
	return func(i Instance) bool {
		for group := range i.Groups() {
			if pattern.MatchString(group) {
				return true
			}
		}
		return false
	}, problem
}

// compileVersion compares versions. Those that are none are equal if they are the same
// text: an agent that was built without a release says so.
func compileVersion(o operator, argument string) (test, string) {
	wanted, ok := parseVersion(argument)
	if !ok {
		if o.ordering() {
			return nil, "expected a version like 1.64.0, found " + strconv.Quote(argument)
		}
		return func(i Instance) bool { return i.AgentVersion() == argument }, ""
	}
	return func(i Instance) bool {
		v, ok := parseVersion(i.AgentVersion())
		return ok && o.orders(v.compare(wanted))
	}, ""
}

func compileDate(o operator, argument string) (test, string) {
	wanted, ok := parseDate(argument)
	if !ok {
		return nil, "expected a date like 2018-06-18 or 2018-06-18T22:28:28+00:00, found " + strconv.Quote(argument)
	}
	return func(i Instance) bool { return o.orders(i.RegisteredAt().Truncate(time.Second).Compare(wanted)) }, ""
}

func compileCount(o operator, argument string) (test, string) {
	wanted, err := strconv.Atoi(argument)
	if err != nil || wanted < 0 {
		return nil, "expected a number of tasks, found " + strconv.Quote(argument)
	}
	return func(i Instance) bool { return o.orders(cmp.Compare(i.RunningTasks(), wanted)) }, ""
}

// orders tells whether the result of a comparison is what the operator, in its positive
// form, asks for.
func (o operator) orders(result int) bool {
	switch o {
	case greater:
		return result > 0
	case greaterEqual:
		return result >= 0
	case less:
		return result < 0
	case lessEqual:
		return result <= 0
	default:
		return result == 0
	}
}
