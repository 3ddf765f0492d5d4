package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	dockerclient "github.com/docker/docker/client"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/scripts/testbed"
)

// command runs longshore to its end.
func (s *site) command(stdin string, args ...string) string {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("longshore %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// putSecret uses the command that users have, and returns the ARN.
func (s *site) putSecret(name, value string) string {
	s.t.Helper()
	return s.command(value+"\n", "secret", "put", name, "--endpoint", "http://"+s.api)
}

func (s *site) parameters() *ssm.Client {
	return ssm.New(ssm.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + s.api), Credentials: credentials.NewStaticCredentialsProvider("any", "thing", ""),
	})
}

// registerWithRole registers a definition whose secrets somebody may read.
func (s *site) registerWithRole(family string, c types.ContainerDefinition) string {
	s.t.Helper()
	c.Name, c.Memory = aws.String("main"), aws.Int32(32)
	out, err := s.ecs.RegisterTaskDefinition(s.t.Context(), &awsecs.RegisterTaskDefinitionInput{
		Family: &family, ContainerDefinitions: []types.ContainerDefinition{c}, ExecutionRoleArn: aws.String("arn:aws:iam::000000000000:role/x"),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.TaskDefinition.TaskDefinitionArn
}

func dockerClient(t *testing.T) *dockerclient.Client {
	t.Helper()
	c, err := dockerclient.NewClientWithOpts(dockerclient.WithHost(agenttest.DockerHost(t)), dockerclient.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// inspect returns what Docker says of the container of a task.
func (s *site) inspect(task types.Task) container.InspectResponse {
	s.t.Helper()
	found, err := dockerClient(s.t).ContainerInspect(s.t.Context(), *task.Containers[0].RuntimeId)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// nowhere checks that the values are in no file below the data folder, etcd's
// own among them, in no log, and in no answer about the task.
func (s *site) nowhere(task string, logs []string, values ...string) {
	s.t.Helper()
	described, err := json.Marshal(s.task(task))
	if err != nil {
		s.t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // etcd is at work
		}
		files++
		for _, v := range values {
			if bytes.Contains(content, []byte(v)) {
				s.t.Errorf("%s has the value %q in the clear", path, v)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		s.t.Fatalf("searching the data folder: %d files, %v", files, err)
	}
	for _, v := range values {
		if bytes.Contains(described, []byte(v)) {
			s.t.Errorf("DescribeTasks shows %q", v)
		}
		if strings.Contains(strings.Join(logs, "\n"), v) {
			s.t.Errorf("the logs show %q", v)
		}
	}
}

func TestSecrets_ReachTheContainerAndNothingElse(t *testing.T) {
	s := newSite(t)
	files := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(files, "bucket"), 0o755),
		os.WriteFile(filepath.Join(files, "bucket", "app.env"), []byte("# settings\nMODE=from-the-file\nFILE_ONLY=file-value-71\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	first := s.dev("--env-files-dir", files, "--log-level", "debug")
	key, err := os.Stat(filepath.Join(s.dir, "data", "secrets.key"))
	if err != nil || key.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v, want it for its owner alone", key, err)
	}
	arn := s.putSecret("db", `{"user":"app","password":"json-value-42"}`)
	if _, err := s.parameters().PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/app/token"), Value: aws.String("token-value-17"), Type: ssmtypes.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	task := s.run(s.registerWithRole("secretive", types.ContainerDefinition{
		Image:            &s.images.Serve,
		Environment:      []types.KeyValuePair{{Name: aws.String("MODE"), Value: aws.String("from-the-definition")}},
		EnvironmentFiles: []types.EnvironmentFile{{Type: "s3", Value: aws.String("arn:aws:s3:::bucket/app.env")}},
		Secrets: []types.Secret{
			{Name: aws.String("PASSWORD"), ValueFrom: aws.String(arn + ":password::")},
			{Name: aws.String("TOKEN"), ValueFrom: aws.String("/app/token")},
		},
	}), 1)[0]
	running := s.awaitTask(*task.TaskArn, "RUNNING")
	found := s.inspect(running)
	for _, want := range []string{"MODE=from-the-definition", "FILE_ONLY=file-value-71", "PASSWORD=json-value-42", "TOKEN=token-value-17"} {
		if !slices.Contains(found.Config.Env, want) {
			t.Errorf("the container's environment lacks %s: %q", want, found.Config.Env)
		}
	}
	for name, value := range found.Config.Labels {
		if strings.Contains(value, "-value-") {
			t.Errorf("label %s shows %q", name, value)
		}
	}
	values := []string{"json-value-42", "token-value-17", "file-value-71"}
	s.nowhere(*task.TaskArn, []string{first.Log()}, values...)

	// A container that runs is not asked for again, not even by a new agent that
	// could not have its secrets any more.
	first.Kill()
	again := s.dev("--log-level", "debug")
	s.command("", "secret", "rm", "db", "--endpoint", "http://"+s.api)
	if now := s.awaitTask(*task.TaskArn, "RUNNING"); *now.Containers[0].RuntimeId != found.ID || len(s.runningIDs()) != 1 {
		t.Error("the container is another one after the restart")
	}
	s.nowhere(*task.TaskArn, []string{again.Log()}, values...)
	if list := s.command("", "secret", "list", "--endpoint", "http://"+s.api); strings.Contains(list, "db") {
		t.Errorf("still listed: %s", list)
	}
}

func TestSecrets_ThatAreNotThereStopTheTaskAndAreNamed(t *testing.T) {
	s := newSite(t)
	s.dev()
	s.putSecret("text", "not-json-value")
	for name, c := range map[string]struct {
		edit func(*types.ContainerDefinition)
		want string
	}{
		"secret": {func(c *types.ContainerDefinition) {
			c.Secrets = []types.Secret{{Name: aws.String("A"), ValueFrom: aws.String("arn:aws:secretsmanager:us-east-1:000000000000:secret:nothing-AbCdEf")}}
		}, "ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secret arn:aws:secretsmanager:us-east-1:000000000000:secret:nothing-AbCdEf: ResourceNotFoundException"},
		"parameter": {func(c *types.ContainerDefinition) {
			c.Secrets = []types.Secret{{Name: aws.String("A"), ValueFrom: aws.String("/no/such")}}
		}, "ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secret /no/such: ParameterNotFound"},
		"json": {func(c *types.ContainerDefinition) {
			c.Secrets = []types.Secret{{Name: aws.String("A"), ValueFrom: aws.String("arn:aws:secretsmanager:us-east-1:000000000000:secret:text:key::")}}
		}, "is not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			definition := types.ContainerDefinition{Image: &s.images.Serve}
			c.edit(&definition)
			task := s.awaitTask(*s.run(s.registerWithRole(name, definition), 1)[0].TaskArn, "STOPPED")
			if task.StopCode != types.TaskStopCodeTaskFailedToStart || !strings.Contains(*task.StoppedReason, c.want) {
				t.Errorf("stopped with %s: %s", task.StopCode, *task.StoppedReason)
			}
			if strings.Contains(*task.StoppedReason, "not-json-value") {
				t.Error("the reason shows the value")
			}
		})
	}
	// Without a source of environment files no host has the attribute.
	d := s.registerWithRole("files", types.ContainerDefinition{Image: &s.images.Serve, EnvironmentFiles: []types.EnvironmentFile{{Type: "s3", Value: aws.String("arn:aws:s3:::bucket/app.env")}}})
	out, err := s.ecs.RunTask(t.Context(), &awsecs.RunTaskInput{Cluster: aws.String(s.cluster()), TaskDefinition: &d})
	if err != nil || len(out.Failures) != 1 || *out.Failures[0].Reason != "ATTRIBUTE" {
		t.Errorf("got %+v, %v, want the failure ATTRIBUTE", out, err)
	}
}

func TestSecrets_AWrongKeyIsNoticedAtTheStart(t *testing.T) {
	s := newSite(t)
	p := s.dev()
	s.putSecret("db", "some-value")
	p.Stop()
	path := filepath.Join(s.dir, "data", "secrets.key")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"another of the same id": {"dev:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n", "the key does not open it"},
		"another id":             {"k2:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n", "not in the key file"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		wrong := start(t, "dev", "--data-dir", filepath.Join(s.dir, "data"), "--api-addr", s.api, "--agent-addr", s.agents, "--ops-addr", s.ops, "--cluster", s.cluster())
		<-wrong.Ended()
		if log := wrong.Log(); !strings.Contains(log, "--secrets-key does not fit") || !strings.Contains(log, c.want) {
			t.Errorf("%s: it ended with %s", name, log)
		}
	}
	// A new key before the old one is how keys are changed.
	if err := os.WriteFile(path, append([]byte("k2:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), old...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.dev()
}

const (
	registryUser     = "ali"
	registryPassword = "sesame" // as bcrypt: registryUsers
	registryUsers    = registryUser + ":$2y$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O\n"
)

// privateRegistry starts a registry that wants a password, and returns the
// reference of a copy of the image in it.
func (s *site) privateRegistry(source string) string {
	t := s.t
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed")
	}
	dir := t.TempDir()
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "config.json")
	text, err := json.Marshal(map[string]any{
		"version": 0.1,
		"storage": map[string]any{"filesystem": map[string]any{"rootdirectory": filepath.Join(dir, "files")}},
		"http":    map[string]any{"addr": "127.0.0.1:0"},
		"auth":    map[string]any{"htpasswd": map[string]any{"realm": "tests", "path": users}},
	})
	if err := errors.Join(err, os.WriteFile(config, text, 0o600), os.WriteFile(users, []byte(registryUsers), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	log := &testbed.Buffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	listening := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	s.await("the registry to listen", func() bool { return listening.MatchString(log.String()) })
	ref := listening.FindStringSubmatch(log.String())[1] + "/longshore-test/private:1"

	engine := dockerClient(t)
	auth, err := registry.EncodeAuthConfig(registry.AuthConfig{Username: registryUser, Password: registryPassword})
	if err == nil {
		err = engine.ImageTag(t.Context(), source, ref)
	}
	if err != nil {
		t.Fatal(err)
	}
	progress, err := engine.ImagePush(t.Context(), ref, image.PushOptions{RegistryAuth: auth})
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	if _, err := told.ReadFrom(progress); err != nil || strings.Contains(told.String(), "errorDetail") {
		t.Fatalf("pushing: %v %s", err, told.String())
	}
	s.forgetImage(ref)
	return ref
}

func (s *site) forgetImage(ref string) {
	s.t.Helper()
	if _, err := dockerClient(s.t).ImageRemove(s.t.Context(), ref, image.RemoveOptions{Force: true}); err != nil {
		s.t.Errorf("removing %s: %v", ref, err)
	}
}

func TestSecrets_APrivateRegistryIsOpenedByItsCredentialsAlone(t *testing.T) {
	s := newSite(t)
	ref := s.privateRegistry(s.images.Serve)
	p := s.dev()
	arn := s.putSecret("registry", `{"username":"`+registryUser+`","password":"`+registryPassword+`"}`)
	wrong := s.putSecret("wrong", `{"username":"`+registryUser+`","password":"open"}`)
	malformed := s.putSecret("malformed", registryPassword)
	run := func(family, credentials string) string {
		t.Helper()
		c := types.ContainerDefinition{Image: &ref}
		if credentials != "" {
			c.RepositoryCredentials = &types.RepositoryCredentials{CredentialsParameter: &credentials}
		}
		return *s.run(s.registerWithRole(family, c), 1)[0].TaskArn
	}
	for family, c := range map[string]struct{ credentials, want string }{
		"none":      {"", "CannotPullContainerError"},
		"wrong":     {wrong, "CannotPullContainerError"},
		"malformed": {malformed, "ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secret " + malformed},
		"missing":   {"no-such-secret", "ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secret no-such-secret"},
	} {
		task := s.awaitTask(run(family, c.credentials), "STOPPED")
		if task.StopCode != types.TaskStopCodeTaskFailedToStart || !strings.Contains(*task.StoppedReason, c.want) {
			t.Errorf("%s: stopped with %s: %s", family, task.StopCode, *task.StoppedReason)
		}
	}
	for _, credentials := range []string{arn, "registry"} { // ARN or name
		task := s.awaitTask(run("right", credentials), "RUNNING")
		if task.Containers[0].ImageDigest == nil {
			t.Error("the image was not pulled")
		}
		s.nowhere(*task.TaskArn, []string{p.Log()}, registryPassword)
	}
	p.Stop()
	s.removeContainers()
	s.forgetImage(ref)
}
