package api

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/longshore/longshore/proto/ecs"
)

// supported are the members of a task definition that mean something here. With
// unsupportedYet they must be all of the model: a member that a newer model brings
// is to be decided upon, not accepted and ignored.
var supported = map[string]string{
	"":                                  "family taskRoleArn executionRoleArn networkMode containerDefinitions volumes requiresCompatibilities tags runtimePlatform cpu memory pidMode ipcMode placementConstraints",
	"volumes.dockerVolumeConfiguration": "scope autoprovision driver driverOpts labels",
	"volumes.efsVolumeConfiguration":    "fileSystemId rootDirectory transitEncryption",
	"volumes":                           "name host dockerVolumeConfiguration efsVolumeConfiguration",
	"containerDefinitions": `name image cpu memory memoryReservation links portMappings essential entryPoint command environment
		mountPoints volumesFrom linuxParameters dependsOn startTimeout stopTimeout versionConsistency hostname user
		workingDirectory privileged readonlyRootFilesystem dnsServers dnsSearchDomains extraHosts dockerSecurityOptions
		interactive pseudoTerminal dockerLabels ulimits healthCheck restartPolicy disableNetworking logConfiguration
		systemControls resourceRequirements secrets environmentFiles repositoryCredentials`,
	"containerDefinitions.secrets":                        "name valueFrom",
	"containerDefinitions.environmentFiles":               "type value",
	"containerDefinitions.repositoryCredentials":          "credentialsParameter",
	"containerDefinitions.portMappings":                   "containerPort hostPort protocol name appProtocol containerPortRange",
	"containerDefinitions.linuxParameters":                "initProcessEnabled capabilities devices sharedMemorySize tmpfs maxSwap swappiness",
	"containerDefinitions.linuxParameters.capabilities":   "add drop",
	"containerDefinitions.linuxParameters.devices":        "hostPath containerPath permissions",
	"containerDefinitions.linuxParameters.tmpfs":          "containerPath size mountOptions",
	"containerDefinitions.restartPolicy":                  "enabled ignoredExitCodes restartAttemptPeriod",
	"containerDefinitions.logConfiguration":               "logDriver options secretOptions",
	"containerDefinitions.logConfiguration.secretOptions": "name valueFrom",
	"containerDefinitions.systemControls":                 "namespace value",
	"containerDefinitions.resourceRequirements":           "type value",
	"containerDefinitions.healthCheck":                    "command interval timeout retries startPeriod",
	"containerDefinitions.mountPoints":                    "sourceVolume containerPath readOnly",
	"containerDefinitions.volumesFrom":                    "sourceContainer readOnly",
	"containerDefinitions.dependsOn":                      "containerName condition",
	"containerDefinitions.ulimits":                        "name softLimit hardLimit",
	"containerDefinitions.environment":                    "name value",
	"containerDefinitions.extraHosts":                     "hostname ipAddress",
	"runtimePlatform":                                     "cpuArchitecture operatingSystemFamily",
	"volumes.host":                                        "sourcePath",
	"placementConstraints":                                "type expression",
}

func TestTaskDefinition_EveryMemberIsSupportedOrRefused(t *testing.T) {
	decided := map[string]bool{}
	for parent, members := range supported {
		for _, m := range strings.Fields(members) {
			decided[strings.TrimPrefix(parent+"."+m, ".")] = true
		}
	}
	for _, row := range unsupportedYet {
		path, value, _ := strings.Cut(row, "=")
		if value == "" && decided[path] {
			t.Errorf("%s is both supported and not", path)
		}
		decided[path] = true
	}
	there := map[string]bool{}
	for parent := range supported {
		typ := typeAt(t, parent)
		for i := range typ.NumField() {
			tag, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			path := strings.TrimPrefix(parent+"."+tag, ".")
			there[path] = true
			if !decided[path] {
				t.Errorf("nobody has decided about %s", path)
			}
		}
	}
	for path := range decided {
		if !there[path] {
			t.Errorf("the model has no %s", path)
		}
	}
}

func typeAt(t *testing.T, path string) reflect.Type {
	typ := reflect.TypeFor[ecs.RegisterTaskDefinitionRequest]()
	for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' }) {
		field := memberOf(reflect.New(typ).Elem(), name)
		if !field.IsValid() {
			t.Fatalf("the model has no %s", path)
		}
		if typ = field.Type(); typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
	}
	return typ
}

func TestRequirements_FollowFromWhatIsUsed(t *testing.T) {
	yes := true
	container := func(c ecs.ContainerDefinition) ecs.TaskDefinition {
		return ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{c}}
	}
	secret := func(from string) []ecs.Secret { return []ecs.Secret{{Name: "A", ValueFrom: from}} }
	const asm = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a"
	for name, c := range map[string]struct {
		d    ecs.TaskDefinition
		want string // in the order of the names, without their prefixes
	}{
		"nothing":             {container(ecs.ContainerDefinition{}), ""},
		"labels":              {container(ecs.ContainerDefinition{DockerLabels: map[string]string{"a": "b"}}), "docker-remote-api.1.18"},
		"an init process":     {container(ecs.ContainerDefinition{LinuxParameters: &ecs.LinuxParameters{InitProcessEnabled: &yes}}), "docker-remote-api.1.25"},
		"privileges":          {container(ecs.ContainerDefinition{Privileged: &yes, DockerSecurityOptions: []string{"apparmor:p", "label:l"}}), "apparmor privileged-container selinux"},
		"order":               {container(ecs.ContainerDefinition{DependsOn: []ecs.ContainerDependency{{}}, HealthCheck: &ecs.HealthCheck{}}), "container-health-check container-ordering"},
		"secrets":             {container(ecs.ContainerDefinition{Secrets: append(secret(asm), secret("p")...)}), "secrets.asm.environment-variables secrets.ssm.environment-variables"},
		"a log driver":        {container(ecs.ContainerDefinition{LogConfiguration: &ecs.LogConfiguration{LogDriver: "syslog"}}), "docker-remote-api.1.18 logging-driver.syslog"},
		"a log driver's keys": {container(ecs.ContainerDefinition{LogConfiguration: &ecs.LogConfiguration{LogDriver: "splunk", Options: map[string]string{"a": "b"}, SecretOptions: secret(asm)}}), "docker-remote-api.1.18 docker-remote-api.1.19 logging-driver.splunk secrets.asm.bootstrap.log-driver"},
		"a router":            {container(ecs.ContainerDefinition{FirelensConfiguration: &ecs.FirelensConfiguration{Type: "fluentd", Options: map[string]string{"config-file-type": "s3"}}}), "firelens.fluentd firelens.options.config.s3"},
		"roles":               {ecs.TaskDefinition{TaskRoleArn: "r", NetworkMode: "host"}, "task-iam-role task-iam-role-network-host"},
		"an interface":        {ecs.TaskDefinition{NetworkMode: "awsvpc", Cpu: "256", RequiresCompatibilities: []ecs.Compatibility{"FARGATE"}}, "task-eni"},
		"a size on instances": {ecs.TaskDefinition{Cpu: "256"}, "task-cpu-mem-limit"},
		"a volume driver":     {ecs.TaskDefinition{Volumes: []ecs.Volume{{DockerVolumeConfiguration: &ecs.DockerVolumeConfiguration{Driver: "rexray"}}}}, "docker-plugin.rexray"},
		"EFS":                 {ecs.TaskDefinition{Volumes: []ecs.Volume{{EfsVolumeConfiguration: &ecs.EFSVolumeConfiguration{AuthorizationConfig: &ecs.EFSAuthorizationConfig{}}}}}, "efs efsAuth"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, a := range requirements(&c.d) {
				got = append(got, strings.TrimPrefix(strings.TrimPrefix(a.Name, "com.amazonaws."), "ecs.capability."))
			}
			if !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCompatibilities_AreWhereADefinitionFits(t *testing.T) {
	for name, c := range map[string]struct {
		in   ecs.RegisterTaskDefinitionRequest
		want string
	}{
		"anywhere but on Fargate": {ecs.RegisterTaskDefinitionRequest{}, "EXTERNAL EC2"},
		"EC2 and Fargate":         {ecs.RegisterTaskDefinitionRequest{NetworkMode: "awsvpc", Cpu: "256", Memory: "512"}, "EC2 FARGATE"},
		"awsvpc without a size":   {ecs.RegisterTaskDefinitionRequest{NetworkMode: "awsvpc"}, "EC2"},
		"Fargate alone":           {ecs.RegisterTaskDefinitionRequest{NetworkMode: "awsvpc", Cpu: "256", Memory: "512", EphemeralStorage: &ecs.EphemeralStorage{SizeInGiB: 21}}, "FARGATE"},
		"EFS":                     {ecs.RegisterTaskDefinitionRequest{Volumes: []ecs.Volume{{EfsVolumeConfiguration: &ecs.EFSVolumeConfiguration{}}}}, "EC2"},
	} {
		var got []string
		for _, p := range compatibilities(&c.in) {
			got = append(got, string(p))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestCheckAccelerators_TaskAndContainersNameEachOther(t *testing.T) {
	accelerators := func(names ...string) (out []ecs.InferenceAccelerator) {
		for _, n := range names {
			out = append(out, ecs.InferenceAccelerator{DeviceName: n, DeviceType: "eia1.medium"})
		}
		return out
	}
	for name, c := range map[string]struct {
		there  []ecs.InferenceAccelerator
		wanted string
		ok     bool
	}{
		"wanted and there": {accelerators("a"), "a", true},
		"not there":        {accelerators("a"), "b", false},
		"not wanted":       {accelerators("a", "b"), "a", false},
		"twice":            {accelerators("a", "a"), "a", false},
	} {
		err := checkAccelerators(&ecs.RegisterTaskDefinitionRequest{
			InferenceAccelerators: c.there,
			ContainerDefinitions: []ecs.ContainerDefinition{{ResourceRequirements: []ecs.ResourceRequirement{
				{Type: ecs.ResourceTypeInferenceAccelerator, Value: c.wanted},
			}}},
		})
		if (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The AWS SDK marks accelerators as deprecated, so that they are asked for here.
func TestCheckUnsupported_RefusesAcceleratorsByName(t *testing.T) {
	requirement := func(kind ecs.ResourceType) *ecs.RegisterTaskDefinitionRequest {
		return &ecs.RegisterTaskDefinitionRequest{ContainerDefinitions: []ecs.ContainerDefinition{{
			Name: "main", ResourceRequirements: []ecs.ResourceRequirement{{Type: kind, Value: "1"}},
		}}}
	}
	err := checkUnsupported(requirement(ecs.ResourceTypeInferenceAccelerator))
	if err == nil || !strings.Contains(err.Error(), "resourceRequirements.type InferenceAccelerator of container 'main'") {
		t.Errorf("an accelerator: %v", err)
	}
	if err := checkUnsupported(requirement(ecs.ResourceTypeGPU)); err != nil {
		t.Errorf("a GPU: %v", err)
	}
}
