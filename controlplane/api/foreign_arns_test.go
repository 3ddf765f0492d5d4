package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/longshore/longshore/controlplane/model"
)

// arnMembers are the members of requests that name things of this account, with
// the kind of their ARNs; "" stands for any. Members that name things of others
// (roles, scaling groups, certificates) are not in it.
var arnMembers = map[string]string{
	"cluster": "cluster", "clusters": "cluster", "service": "service", "services": "service", "serviceName": "service",
	"task": "task", "tasks": "task", "taskDefinition": "task-definition", "taskDefinitions": "task-definition",
	"containerInstance": "container-instance", "containerInstances": "container-instance", "containerInstanceArn": "container-instance", "targetId": "container-instance",
	"capacityProvider": "capacity-provider", "capacityProviders": "capacity-provider", "attachmentArn": "attachment", "resourceArn": "",
	"taskSet": "task-set", "taskSets": "task-set", "primaryTaskSet": "task-set", "principalArn": "principal",
}

// nameOnly are members that take a name only: that of what is made.
var nameOnly = []string{"CreateService.serviceName"}

// arnsIn are the ARNs of the world by kind.
func (w *world) arnsIn() map[string]string {
	c := model.ClusterName(w.name)
	service := model.ServiceKey{Cluster: c, Name: "s"}
	return map[string]string{
		"cluster": owner.ClusterARN(c), "service": owner.ServiceARN(service), "task": w.tasks[0], "container-instance": w.hosts[0],
		"task-definition":   owner.DefinitionARN(model.DefinitionRef{Family: model.Family("web-" + w.name), Revision: 2}),
		"capacity-provider": owner.ProviderARN(model.ProviderName("pool-" + w.name)),
		"attachment":        "arn:aws:ecs:us-east-1:123456789012:attachment/" + w.name + "/x",
		"task-set":          strings.Replace(owner.ServiceARN(service), ":service/", ":task-set/", 1) + "/ecs-svc/1234567890123456789",
		"principal":         "arn:aws:iam::123456789012:user/ann",
	}
}

// foreign are the ways in which an ARN is not one of this account and region, or
// none at all.
func foreign(arn string) map[string]string {
	parts := strings.SplitN(arn, ":", 6)
	changed := func(n int, to string) string {
		out := slices.Clone(parts)
		out[n] = to
		return strings.Join(out, ":")
	}
	kind, rest, _ := strings.Cut(parts[5], "/")
	return map[string]string{
		"another partition": changed(1, "aws-cn"), "no partition": changed(1, ""), "another service": changed(2, "ec2"), "no service": changed(2, ""),
		"another region": changed(3, "eu-west-1"), "another account": changed(4, "999999999999"), "no account": changed(4, ""),
		"another kind": changed(5, "rocket/"+rest), "no name": changed(5, kind+"/"), "no resource": changed(5, ""), "broken off": strings.Join(parts[:5], ":"),
		"only the prefix": "arn:", "empty parts": changed(5, kind+"//"), "very long": changed(4, strings.Repeat("9", 100_000)),
	}
}

// place puts an ARN in the place of each member of a shape that takes one of the
// kind, one at a time, the rest of the request being plain.
func (w *world) place(shapeName string, depth int, yield func(member, kind string, at func(arn string) any)) {
	m := loadModel()
	s := m.Shapes[shapeName]
	if depth > 3 || s.Type == "list" && depth > 2 {
		return
	}
	switch s.Type {
	case "list":
		w.place(s.Member.name, depth+1, func(member, kind string, at func(string) any) {
			yield(member, kind, func(arn string) any { return []any{at(arn)} })
		})
	case "structure":
		plain := w.plainStructure(shapeName, depth)
		for member, ref := range s.Members {
			if kind, takes := arnMembers[member]; takes {
				list := m.Shapes[ref.name].Type == "list"
				if list && m.Shapes[m.Shapes[ref.name].Member.name].Type != "string" {
					continue
				}
				yield(member, kind, func(arn string) any {
					if list {
						return with(plain, member, []any{arn})
					}
					return with(plain, member, arn)
				})
				continue
			}
			w.place(ref.name, depth+1, func(inner, kind string, at func(string) any) {
				yield(member+"."+inner, kind, func(arn string) any { return with(plain, member, at(arn)) })
			})
		}
	}
}

// An ARN of somebody else's is never taken for one of this account's.
func TestForeignARNs_AreRefusedAtEveryMember(t *testing.T) {
	w := newWorld(t)
	m := loadModel()
	tried := map[string]int{}
	for round, operation := range answeredOperations() {
		w.populate(fmt.Sprint("c", round))
		w.place(m.Operations[operation].Input, 0, func(member, kind string, at func(string) any) {
			if slices.Contains(nameOnly, operation+"."+member) {
				return
			}
			if kind == "" {
				kind = "service"
			}
			for what, arn := range foreign(w.arnsIn()[kind]) {
				if kind == "principal" && what == "another kind" {
					arn = strings.Replace(arn, "rocket/", "group/", 1) // what IAM has besides
				}
				body, err := json.Marshal(at(arn))
				if err != nil {
					t.Fatal(err)
				}
				tried[operation+"."+member]++
				status, answer := w.try(t, operation, body)
				if status == http.StatusOK && !onlyFailures(answer) {
					t.Errorf("%s.%s with %s (%.80s): accepted, %.200v", operation, member, what, arn, answer)
				}
			}
		})
	}
	if len(tried) < 40 {
		t.Errorf("only %d members: %v", len(tried), tried)
	}
	t.Logf("%d members", len(tried))
}

// onlyFailures tells whether an answer says nothing but what was not found.
func onlyFailures(answer map[string]any) bool {
	failures, _ := answer["failures"].([]any)
	for member, v := range answer {
		if list, ok := v.([]any); member != "failures" && (!ok || len(list) > 0) {
			return false
		}
	}
	return len(failures) > 0
}
