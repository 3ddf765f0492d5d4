package api_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/longshore/longshore/proto/ecs"
)

// outcomes are what the operations answered to the SDK in the tests that were run.
var outcomes = &observed{seen: map[string]map[string]bool{}}

// observed notes outcomes: the code of an error, or "" for a success.
type observed struct {
	mu   sync.Mutex
	seen map[string]map[string]bool // by operation
}

func (o *observed) note(operation, code string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[operation] == nil {
		o.seen[operation] = map[string]bool{}
	}
	o.seen[operation][code] = true
}

// TestMain holds, after a run of all tests, that some test has seen each
// operation succeed, and raise each error that it may raise.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if all := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" &&
		flag.Lookup("test.list").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == ""; all && code == 0 {
		for _, line := range outcomes.missing() {
			fmt.Fprintln(os.Stderr, "no test sees", line)
			code = 1
		}
	}
	os.Exit(code)
}

// missing are the outcomes that no test has seen.
func (o *observed) missing() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, operation := range answeredOperations() {
		if !o.seen[operation][""] && !alwaysRefuses[operation] {
			out = append(out, operation+" succeed")
		}
		for _, code := range loadModel().Operations[operation].Errors {
			if !cannotRaise(operation, code) && !o.seen[operation][code] {
				out = append(out, operation+" raise "+code)
			}
		}
	}
	slices.Sort(out)
	return out
}

// alwaysRefuses are the operations that never succeed, on purpose.
var alwaysRefuses = map[string]bool{"UpdateContainerAgent": true}

// neverRaised are errors of the model that do not occur here, with the reason.
// docs/compatibility.md has them, too. An error of one operation is "Operation Code".
var neverRaised = map[string]string{
	"ServerException":                                         "only for a bug: TestWire_APanicBecomesAServerException",
	"AccessDeniedException":                                   "there are no policies",
	"BlockedException":                                        "no account is blocked",
	"UpdateInProgressException":                               "a change takes effect at once",
	"ClusterContainsCapacityProviderException":                "there are no managed instances",
	"NamespaceNotFoundException":                              "Service Connect is refused",
	"PlatformTaskDefinitionIncompatibilityException":          "all of a definition works with the one platform version",
	"CreateCapacityProvider ClusterNotFoundException":         "cluster is refused",
	"UpdateCapacityProvider ClusterNotFoundException":         "cluster is refused",
	"DeleteCapacityProvider ClusterNotFoundException":         "cluster is refused",
	"CreateCapacityProvider LimitExceededException":           "there may be as many as one likes",
	"RegisterTaskDefinition LimitExceededException":           "there may be as many as one likes",
	"RegisterTaskDefinition InvalidParameterException":        "it is a ClientException",
	"DeregisterTaskDefinition InvalidParameterException":      "it is a ClientException",
	"DescribeTaskDefinition InvalidParameterException":        "it is a ClientException",
	"CreateTaskSet LimitExceededException":                    "a sixth task set is a wrong parameter, as ECS says it",
	"UpdateTaskSet LimitExceededException":                    "it makes nothing more",
	"DeleteTaskSet LimitExceededException":                    "it makes nothing more",
	"DescribeTaskSets UnsupportedFeatureException":            "all of it is supported",
	"UpdateTaskSet UnsupportedFeatureException":               "all of it is supported",
	"DeleteTaskSet UnsupportedFeatureException":               "all of it is supported",
	"UpdateServicePrimaryTaskSet UnsupportedFeatureException": "all of it is supported",
	"GetTaskProtection ResourceNotFoundException":             "it is among the failures",
	"UpdateTaskProtection ResourceNotFoundException":          "it is among the failures",
	"GetTaskProtection UnsupportedFeatureException":           "all of it is supported",
	"UpdateTaskProtection UnsupportedFeatureException":        "all of it is supported",
	"DescribeCapacityProviders UnsupportedFeatureException":   "all of it is supported",
}

// raiseClientException are the operations that tell a caller's mistake by a
// ClientException; with the others it is an InvalidParameterException.
var raiseClientException = []string{
	"CreateCapacityProvider", "CreateService", "DeleteCapacityProvider", "DeregisterTaskDefinition", "DescribeTaskDefinition",
	"RegisterContainerInstance", "RegisterTaskDefinition", "RunTask", "StartTask", "UpdateCapacityProvider", "UpdateService",
}

func cannotRaise(operation, code string) bool {
	if code == ecs.CodeClient {
		return !slices.Contains(raiseClientException, operation)
	}
	return neverRaised[code] != "" || neverRaised[operation+" "+code] != ""
}
