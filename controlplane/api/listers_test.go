package api_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// item is one thing that a list operation may list.
type item struct {
	id      string // a later item with the same id takes its place
	listed  string // how the answer names it
	put     func(*store.Tx)
	drop    func(*store.Tx)
	matches func(filter map[string]any) bool // the naive model of the filters
}

// lister is a list operation: what it can list, and how it can be asked.
type lister struct {
	operation, result string
	most              int // maxResults
	prepare           func(tx *store.Tx, c model.ClusterName)
	item              func(t *rapid.T, c model.ClusterName) item
	filter            func(t *rapid.T, c model.ClusterName) map[string]any
}

// listers are the paginators of the model that are answered.
func listers() []lister {
	return []lister{
		{"ListClusters", "clusterArns", 100, nil, clusterItem, noFilter},
		{"ListContainerInstances", "containerInstanceArns", 100, nil, instanceItem, oneOf("cluster", "status", "", "ACTIVE", "DRAINING")},
		{"ListServices", "serviceArns", 100, nil, serviceItem, serviceFilter},
		{"ListTasks", "taskArns", 100, putListedServices, taskItem, taskFilter},
		{"ListTaskDefinitions", "taskDefinitionArns", 100, nil, definitionItem, definitionFilter},
		{"ListTaskDefinitionFamilies", "families", 100, nil, familyItem, familyFilter},
		{"ListAttributes", "attributes", 100, nil, attributeItem, attributeFilter},
		{"ListAccountSettings", "settings", 10, nil, settingItem, settingFilter},
	}
}

func noFilter(*rapid.T, model.ClusterName) map[string]any { return map[string]any{} }

// either draws a value for a member, or leaves it out for "".
func either(t *rapid.T, filter map[string]any, member string, values ...string) {
	if v := rapid.SampledFrom(append(values, "")).Draw(t, member); v != "" {
		filter[member] = v
	}
}

func oneOf(clusterMember, member string, values ...string) func(*rapid.T, model.ClusterName) map[string]any {
	return func(t *rapid.T, c model.ClusterName) map[string]any {
		filter := map[string]any{clusterMember: c}
		either(t, filter, member, values...)
		return filter
	}
}

// is tells whether a filter is absent or has the value.
func is[T ~string](filter map[string]any, member string, v T) bool {
	want, asked := filter[member]
	return !asked || want == string(v)
}

var shortName = rapid.StringMatching(`[a-cA-C0_-]{1,3}`)

func clusterItem(t *rapid.T, c model.ClusterName) item {
	cluster := &model.Cluster{Name: c + "-" + model.ClusterName(shortName.Draw(t, "name")), Status: model.StatusActive}
	return item{
		id: string(cluster.Name), listed: owner.ClusterARN(cluster.Name),
		put:     func(tx *store.Tx) { tx.PutCluster(cluster) },
		drop:    func(tx *store.Tx) { tx.PutCluster(&model.Cluster{Name: cluster.Name, Status: model.StatusInactive}) },
		matches: func(map[string]any) bool { return true },
	}
}

func drawnInstance(t *rapid.T, c model.ClusterName) *model.Instance {
	return &model.Instance{ID: model.InstanceID(rapid.StringMatching(`[0-9a-f]{2}`).Draw(t, "id")), Cluster: c, Status: model.StatusActive}
}

func putInstance(i *model.Instance) (put, drop func(*store.Tx)) {
	gone := *i
	gone.Status = model.StatusInactive
	return func(tx *store.Tx) { tx.PutInstance(i) }, func(tx *store.Tx) { tx.PutInstance(&gone) }
}

func instanceItem(t *rapid.T, c model.ClusterName) item {
	i := drawnInstance(t, c)
	i.Status = rapid.SampledFrom([]string{model.StatusActive, model.StatusDraining}).Draw(t, "status")
	put, drop := putInstance(i)
	return item{
		id: string(i.ID), listed: owner.InstanceARN(c, i.ID), put: put, drop: drop,
		matches: func(f map[string]any) bool { return is(f, "status", i.Status) },
	}
}

func serviceItem(t *rapid.T, c model.ClusterName) item {
	s := &model.Service{
		Cluster: c, Name: model.ServiceName(shortName.Draw(t, "name")), Status: rapid.SampledFrom([]string{model.StatusActive, model.StatusDraining}).Draw(t, "status"),
		LaunchType:         rapid.SampledFrom([]ecs.LaunchType{ecs.LaunchTypeEC2, ecs.LaunchTypeEXTERNAL}).Draw(t, "launch type"),
		SchedulingStrategy: rapid.SampledFrom([]ecs.SchedulingStrategy{ecs.SchedulingStrategyREPLICA, ecs.SchedulingStrategyDAEMON}).Draw(t, "strategy"),
		Deployments:        []model.Deployment{{Status: model.DeploymentPrimary}},
	}
	gone := *s
	gone.Status = model.StatusInactive
	return item{
		id: string(s.Name), listed: owner.ServiceARN(s.Key()),
		put: func(tx *store.Tx) { tx.PutService(s) }, drop: func(tx *store.Tx) { tx.PutService(&gone) },
		matches: func(f map[string]any) bool {
			return s.Status == model.StatusActive && is(f, "launchType", s.LaunchType) && is(f, "schedulingStrategy", s.SchedulingStrategy)
		},
	}
}

func serviceFilter(t *rapid.T, c model.ClusterName) map[string]any {
	filter := map[string]any{"cluster": c}
	either(t, filter, "launchType", "EC2", "EXTERNAL", "FARGATE")
	either(t, filter, "schedulingStrategy", "REPLICA", "DAEMON")
	return filter
}

var (
	listedServices = []model.ServiceName{"s", "t"}
	listedFamilies = []model.Family{"f", "g"}
	listedHosts    = []model.InstanceID{"00", "01"}
	listedStarters = []string{"me", "ecs-svc/1"}
)

// putListedServices makes the services that tasks are listed by.
func putListedServices(tx *store.Tx, c model.ClusterName) {
	for _, name := range listedServices {
		tx.PutService(&model.Service{Cluster: c, Name: name, Status: model.StatusActive, Deployments: []model.Deployment{{Status: model.DeploymentPrimary}}})
	}
}

func taskItem(t *rapid.T, c model.ClusterName) item {
	task := &model.Task{
		ID: model.TaskID(rapid.StringMatching(`[0-9a-f]{2}`).Draw(t, "id")), Cluster: c,
		Instance:      rapid.SampledFrom(listedHosts).Draw(t, "instance"),
		Definition:    model.DefinitionRef{Family: rapid.SampledFrom(listedFamilies).Draw(t, "family"), Revision: 1},
		LaunchType:    rapid.SampledFrom([]ecs.LaunchType{ecs.LaunchTypeEC2, ecs.LaunchTypeEXTERNAL}).Draw(t, "launch type"),
		Service:       rapid.SampledFrom(append([]model.ServiceName{""}, listedServices...)).Draw(t, "service"),
		StartedBy:     rapid.SampledFrom(append([]string{""}, listedStarters...)).Draw(t, "starter"),
		DesiredStatus: rapid.SampledFrom([]model.TaskStatus{model.TaskRunning, model.TaskStopped}).Draw(t, "desired"),
		LastStatus:    rapid.SampledFrom([]model.TaskStatus{model.TaskPending, model.TaskRunning, model.TaskStopped}).Draw(t, "last"),
	}
	return item{
		id: string(task.ID), listed: owner.TaskARN(c, task.ID),
		put: func(tx *store.Tx) { tx.PutTask(task) }, drop: func(tx *store.Tx) { tx.DeleteTask(task) },
		matches: func(f map[string]any) bool {
			desired, asked := f["desiredStatus"]
			return (asked && desired == string(task.DesiredStatus) || !asked && task.DesiredStatus == model.TaskRunning) &&
				is(f, "containerInstance", task.Instance) && is(f, "family", task.Definition.Family) && is(f, "launchType", task.LaunchType) &&
				is(f, "serviceName", task.Service) && is(f, "startedBy", task.StartedBy)
		},
	}
}

func taskFilter(t *rapid.T, c model.ClusterName) map[string]any {
	filter := map[string]any{"cluster": c}
	either(t, filter, "containerInstance", "00", "01", "ff", "", "")
	either(t, filter, "family", "f", "g", "nobody", "", "")
	either(t, filter, "startedBy", "me", "ecs-svc/1", "nobody", "", "")
	either(t, filter, "serviceName", "s", "t", "", "")
	either(t, filter, "desiredStatus", "RUNNING", "STOPPED", "PENDING")
	either(t, filter, "launchType", "EC2", "EXTERNAL", "FARGATE", "", "")
	return filter
}

var definitionStatuses = []ecs.TaskDefinitionStatus{
	ecs.TaskDefinitionStatusACTIVE, ecs.TaskDefinitionStatusACTIVE, ecs.TaskDefinitionStatusINACTIVE, ecs.TaskDefinitionStatusDELETEINPROGRESS,
}

func definitionItem(t *rapid.T, c model.ClusterName) item {
	ref := model.DefinitionRef{
		Family:   model.Family(c) + rapid.SampledFrom([]model.Family{"", "-a", "-b"}).Draw(t, "family"),
		Revision: rapid.SampledFrom([]int32{1, 2, 9, 10, 11, 100}).Draw(t, "revision"),
	}
	status := rapid.SampledFrom(definitionStatuses).Draw(t, "status")
	return item{
		id: ref.String(), listed: owner.DefinitionARN(ref),
		put:  func(tx *store.Tx) { tx.PutDefinition(&model.Definition{Ref: ref, Status: status}) },
		drop: func(tx *store.Tx) { tx.DeleteDefinition(&model.Definition{Ref: ref}) },
		matches: func(f map[string]any) bool {
			want, asked := f["status"]
			return (asked && want == string(status) || !asked && status == ecs.TaskDefinitionStatusACTIVE) && is(f, "familyPrefix", ref.Family)
		},
	}
}

func definitionFilter(t *rapid.T, c model.ClusterName) map[string]any {
	filter := map[string]any{}
	either(t, filter, "familyPrefix", string(c), string(c)+"-a", string(c)+"-")
	either(t, filter, "status", "ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS")
	either(t, filter, "sort", "ASC", "DESC")
	return filter
}

func familyItem(t *rapid.T, c model.ClusterName) item {
	family := model.Family(c) + "-" + model.Family(shortName.Draw(t, "family"))
	status := rapid.SampledFrom(definitionStatuses).Draw(t, "status")
	d := &model.Definition{Ref: model.DefinitionRef{Family: family, Revision: 1}, Status: status}
	return item{
		id: string(family), listed: string(family),
		put: func(tx *store.Tx) {
			tx.PutFamily(&model.FamilyRecord{Name: family, LastRevision: 1})
			tx.PutDefinition(d)
		},
		drop: func(tx *store.Tx) { tx.DeleteDefinition(d) },
		matches: func(f map[string]any) bool {
			prefix, _ := f["familyPrefix"].(string)
			active := status == ecs.TaskDefinitionStatusACTIVE
			want, asked := f["status"]
			return strings.HasPrefix(string(family), prefix) && (!asked || want == "ALL" || active == (want == "ACTIVE"))
		},
	}
}

func familyFilter(t *rapid.T, c model.ClusterName) map[string]any {
	filter := map[string]any{"familyPrefix": string(c) + rapid.SampledFrom([]string{"", "-", "-a"}).Draw(t, "prefix")}
	either(t, filter, "status", "ACTIVE", "INACTIVE", "ALL")
	return filter
}

func attributeItem(t *rapid.T, c model.ClusterName) item {
	i := drawnInstance(t, c)
	name := rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(t, "name")
	value := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "value")
	i.Attributes = []ecs.Attribute{{Name: name, Value: &value}}
	put, drop := putInstance(i)
	return item{
		id: string(i.ID), listed: fmt.Sprintf("%s=%s of %s", name, value, owner.InstanceARN(c, i.ID)), put: put, drop: drop,
		matches: func(f map[string]any) bool { return is(f, "attributeName", name) && is(f, "attributeValue", value) },
	}
}

func attributeFilter(t *rapid.T, c model.ClusterName) map[string]any {
	filter := map[string]any{"cluster": c, "targetType": "container-instance"}
	either(t, filter, "attributeName", "a", "b", "c")
	if filter["attributeName"] != nil {
		either(t, filter, "attributeValue", "x", "y")
	}
	return filter
}

func settingItem(t *rapid.T, c model.ClusterName) item {
	s := &model.AccountSetting{
		Principal: "arn:aws:iam::" + owner.Account + ":user/" + string(c),
		Name: rapid.SampledFrom([]ecs.SettingName{
			ecs.SettingNameContainerInsights, ecs.SettingNameAwsvpcTrunking, ecs.SettingNameServiceLongArnFormat, ecs.SettingNameTaskLongArnFormat,
			ecs.SettingNameContainerInstanceLongArnFormat, ecs.SettingNameTagResourceAuthorization,
		}).Draw(t, "name"),
		Value: rapid.SampledFrom([]string{"enabled", "on"}).Draw(t, "value"),
	}
	return item{
		id: string(s.Name), listed: fmt.Sprintf("%s=%s of %s", s.Name, s.Value, s.Principal),
		put: func(tx *store.Tx) { tx.PutAccountSetting(s) }, drop: func(tx *store.Tx) { tx.DeleteAccountSetting(s) },
		matches: func(f map[string]any) bool { return is(f, "name", s.Name) && is(f, "value", s.Value) },
	}
}

func settingFilter(t *rapid.T, c model.ClusterName) map[string]any {
	filter := map[string]any{"principalArn": "arn:aws:iam::" + owner.Account + ":user/" + string(c)}
	either(t, filter, "name", "containerInsights", "taskLongArnFormat", "", "")
	if filter["name"] != nil {
		either(t, filter, "value", "enabled", "on")
	}
	return filter
}
