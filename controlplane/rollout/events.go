package rollout

import (
	"fmt"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// The texts of a service's events, its deployments' rolloutStateReason and its
// tasks' stoppedReason are those of ECS, word for word: tools match on them.

const (
	reasonUnhealthy = "Task failed container health checks"
	reasonFailed    = "ECS deployment circuit breaker: tasks failed to start."
	troubleshooting = " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
)

func scalingReason(d model.DeploymentID) string {
	return fmt.Sprintf("Scaling activity initiated by (deployment %s)", d)
}

func reasonInProgress(d model.DeploymentID) string {
	return fmt.Sprintf("ECS deployment %s in progress.", d)
}

func reasonCompleted(d model.DeploymentID) string {
	return fmt.Sprintf("ECS deployment %s completed.", d)
}

func reasonRollback(d model.DeploymentID) string {
	return fmt.Sprintf("ECS deployment circuit breaker: rolling back to deploymentId %s.", d)
}

// subject is whose tasks an event tells of: those of a service, or of a task set (setView). In ECS a deployment is a
// taskSet, too, where it is drained, but not otherwise.
func subject(s *model.Service) string {
	if s.HasTaskSets() {
		return fmt.Sprintf("(service %s, taskSet %s)", s.Name, s.Primary().ID)
	}
	return fmt.Sprintf("(service %s)", s.Name)
}

func hasStarted(s *model.Service, ids []model.TaskID) string {
	return fmt.Sprintf("%s has started %d tasks: %s.", subject(s), len(ids), taskList(ids))
}

func hasStopped(s *model.Service, ids []model.TaskID) string {
	return fmt.Sprintf("%s has stopped %d running tasks: %s.", subject(s), len(ids), taskList(ids))
}

func stoppedPending(s *model.Service, n int) string {
	return fmt.Sprintf("%s stopped %d pending tasks.", subject(s), n)
}

func failedHealthChecks(s model.ServiceName, id model.TaskID) string {
	return fmt.Sprintf("(service %s) (task %s) failed container health checks.", s, id)
}

func unableToStart(s model.ServiceName) string {
	return fmt.Sprintf("(service %s) is unable to consistently start tasks successfully.", s)
}

func reasonFailedTarget(g model.TargetGroupARN) string {
	return fmt.Sprintf("Task failed ELB health checks in (target-group %s)", g)
}

func unhealthyTarget(s model.ServiceName, t *model.Target) string {
	return fmt.Sprintf("(service %s) (port %d) is unhealthy in (target-group %s) due to (reason %s).", s, t.ContainerPort, t.Group, t.Description)
}

func registeredTargets(s *model.Service, n int, g model.TargetGroupARN) string {
	return fmt.Sprintf("%s registered %d targets in (target-group %s)", subject(s), n, g)
}

func deregisteredTargets(s *model.Service, n int, g model.TargetGroupARN) string {
	return fmt.Sprintf("%s deregistered %d targets in (target-group %s)", subject(s), n, g)
}

func beganDraining(s *model.Service, n int, d model.DeploymentID) string {
	return fmt.Sprintf("(service %s, taskSet %s) has begun draining connections on %d tasks.", s.Name, d, n)
}

func deploymentFailed(s model.ServiceName, d model.DeploymentID) string {
	return fmt.Sprintf("(service %s) (deployment %s) deployment failed: tasks failed to start.", s, d)
}

func rollingBack(s model.ServiceName, d model.DeploymentID) string {
	return fmt.Sprintf("(service %s) rolling back to deployment %s.", s, d)
}

func deploymentCompleted(s model.ServiceName, d model.DeploymentID) string {
	return fmt.Sprintf("(service %s) (deployment %s) deployment completed.", s, d)
}

func steadyState(s model.ServiceName) string {
	return fmt.Sprintf("(service %s) has reached a steady state.", s)
}

func updatedCount(s model.ServiceName, set model.DeploymentID, n int32) string {
	return fmt.Sprintf("(service %s) updated computedDesiredCount for taskSet %s to %d.", s, set, n)
}

func updatedState(s model.ServiceName, set model.DeploymentID, status ecs.StabilityStatus) string {
	return fmt.Sprintf("(service %s, taskSet %s) updated state to %s.", s, set, status)
}

func blocked(s model.ServiceName) string {
	return fmt.Sprintf("(service %s) was unable to stop or start tasks during a deployment because of the service deployment configuration. "+
		"Update the minimumHealthyPercent or maximumPercent value and try again.", s)
}

func unableToScaleIn(s model.ServiceName, d model.DeploymentID) string {
	return fmt.Sprintf("(service %s) was unable to reach steady state because task set (%s) was unable to scale in. "+
		"Reason: The number of protected tasks are more than the desired count of tasks.", s, d)
}

// unplaced is the event of a task that could not be placed.
func unplaced(s model.ServiceName, m Miss) string {
	if m.Obstacle != "" {
		return fmt.Sprintf("(service %s) was unable to place a task. Reason: %s.", s, strings.TrimSuffix(m.Obstacle, "."))
	}
	text := fmt.Sprintf("(service %s) was unable to place a task because no container instance met all of its requirements.", s)
	switch {
	case m.NoInstances && m.Provider != "":
		text += " Reason: No Container Instances were found in your capacity provider."
	case m.NoInstances:
		text += " Reason: No Container Instances were found in your cluster."
	case m.Instance != "":
		text += fmt.Sprintf(" The closest matching (container-instance %s) %s.", m.Instance, shortage(m.Reason))
	}
	return text + troubleshooting
}

// shortage puts a placement reason as the service events do.
func shortage(reason string) string {
	switch reason {
	case "RESOURCE:CPU":
		return "has insufficient CPU units available"
	case "RESOURCE:MEMORY":
		return "has insufficient memory available"
	case "RESOURCE:PORTS":
		return "is already using a port required by your task"
	case "ATTRIBUTE":
		return "is missing an attribute required by your task"
	}
	return fmt.Sprintf("encountered error %q", reason)
}

func zonesUnbalanced(s model.ServiceName, zones []zoneCount) string {
	return fmt.Sprintf("(service %s) is not AZ balanced with %s. AZ Rebalancing in progress.", s, zoneList(zones))
}

func zonesBalanced(s model.ServiceName, zones []zoneCount) string {
	return fmt.Sprintf("(service %s) is AZ balanced with %s.", s, zoneList(zones))
}

func hasStartedInZone(s model.ServiceName, zone string, ids []model.TaskID) string {
	return fmt.Sprintf("(service %s) has started %d tasks in %s to AZ Rebalance: %s.", s, len(ids), zone, taskList(ids))
}

func hasStoppedInZone(s model.ServiceName, zone string, ids []model.TaskID) string {
	return fmt.Sprintf("(service %s) has stopped %d running tasks in %s due to AZ rebalancing: %s.", s, len(ids), zone, taskList(ids))
}

// unplacedInZone is the event of a task that could not be placed in a zone.
func unplacedInZone(s *model.Service, zone string, m Miss) string {
	switch {
	case m.Obstacle != "":
		return unplaced(s.Name, m)
	case s.Primary().LaunchType == ecs.LaunchTypeFARGATE:
		return fmt.Sprintf("(service %s) is unable to place a task in %s.", s.Name, zone)
	}
	return fmt.Sprintf("(service %s) is unable to place a task in %s because no container instance met all of its requirements.", s.Name, zone)
}

// zoneList is "2 tasks in a, 1 tasks in b, and 0 tasks in c".
func zoneList(zones []zoneCount) string {
	words := make([]string, len(zones))
	for i, z := range zones {
		words[i] = fmt.Sprintf("%d tasks in %s", z.tasks, z.zone)
	}
	switch last := len(words) - 1; {
	case last == 1:
		return words[0] + " and " + words[1]
	case last > 1:
		return strings.Join(words[:last], ", ") + ", and " + words[last]
	}
	return strings.Join(words, "")
}

func taskList(ids []model.TaskID) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = "(task " + string(id) + ")"
	}
	return strings.Join(words, " ")
}
