package api

import (
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

func checkVolumes(in *ecs.RegisterTaskDefinitionRequest) error {
	names, atLaunch := map[string]bool{}, ""
	for i := range in.Volumes {
		v := &in.Volumes[i]
		switch {
		case !model.ValidName(v.Name):
			return refused("Volume name must be 1 to 255 letters, digits, hyphens and underscores, not %q.", clip(v.Name))
		case names[v.Name]:
			return refused("Duplicate volume name '%s'.", v.Name)
		case isTrue(v.ConfiguredAtLaunch) && atLaunch != "":
			return refused("Only one volume can be configured at launch, not '%s' and '%s'.", atLaunch, v.Name)
		}
		names[v.Name] = true
		if isTrue(v.ConfiguredAtLaunch) {
			atLaunch = v.Name
		}
		if err := checkVolume(v); err != nil {
			return err
		}
	}
	return nil
}

// checkVolume checks that a volume is of one kind, and that kind's settings.
func checkVolume(v *ecs.Volume) error {
	var kinds []string
	for _, k := range []struct {
		name  string
		given bool
	}{
		{"host", v.Host != nil && v.Host.SourcePath != ""},
		{"dockerVolumeConfiguration", v.DockerVolumeConfiguration != nil},
		{"efsVolumeConfiguration", v.EfsVolumeConfiguration != nil},
		{"s3filesVolumeConfiguration", v.S3filesVolumeConfiguration != nil},
		{"fsxWindowsFileServerVolumeConfiguration", v.FsxWindowsFileServerVolumeConfiguration != nil},
		{"configuredAtLaunch", isTrue(v.ConfiguredAtLaunch)},
	} {
		if k.given {
			kinds = append(kinds, k.name)
		}
	}
	if len(kinds) > 1 {
		return wrongVolume(v, "Only one of %s can be given.", strings.Join(kinds, ", "))
	}
	switch {
	case v.Host != nil && v.Host.SourcePath != "" && !absolute(v.Host.SourcePath):
		return wrongVolume(v, "The host path must begin with /.")
	case v.DockerVolumeConfiguration != nil:
		return checkDockerVolume(v)
	case v.EfsVolumeConfiguration != nil:
		return checkEFS(v)
	case v.S3filesVolumeConfiguration != nil:
		return checkS3Files(v)
	case v.FsxWindowsFileServerVolumeConfiguration != nil:
		f := v.FsxWindowsFileServerVolumeConfiguration
		if f.FileSystemId == "" || f.RootDirectory == "" || f.AuthorizationConfig.CredentialsParameter == "" || f.AuthorizationConfig.Domain == "" {
			return wrongVolume(v, "A file server needs fileSystemId, rootDirectory, credentialsParameter and domain.")
		}
	}
	return nil
}

func wrongVolume(v *ecs.Volume, format string, args ...any) error {
	return refused("Invalid setting for volume '"+v.Name+"'. "+format, args...)
}

func absolute(path string) bool { return strings.HasPrefix(path, "/") }

func isTrue(b *bool) bool { return b != nil && *b }

// checkDockerVolume: a volume of scope task is always made, so that only a shared
// one can be told whether to be.
func checkDockerVolume(v *ecs.Volume) error {
	d := v.DockerVolumeConfiguration
	if isTrue(d.Autoprovision) && d.Scope != ecs.ScopeShared {
		return wrongVolume(v, "'autoprovision' is only for the scope shared.")
	}
	if strings.ContainsAny(d.Driver, " \t\n") {
		return wrongVolume(v, "%q names no volume driver.", clip(d.Driver))
	}
	return nil
}

func checkEFS(v *ecs.Volume) error {
	e := v.EfsVolumeConfiguration
	point, iam := "", false
	if a := e.AuthorizationConfig; a != nil {
		point, iam = a.AccessPointId, a.Iam == ecs.EFSAuthorizationConfigIAMENABLED
	}
	encrypted := e.TransitEncryption == ecs.EFSTransitEncryptionENABLED
	switch {
	case e.FileSystemId == "":
		return wrongVolume(v, "'fileSystemId' should not be empty.")
	case e.RootDirectory != "" && !absolute(e.RootDirectory):
		return wrongVolume(v, "'rootDirectory' must begin with /.")
	case point != "" && e.RootDirectory != "" && e.RootDirectory != "/":
		return wrongVolume(v, "With an access point, 'rootDirectory' must be omitted or /.")
	case point != "" && !encrypted:
		return wrongVolume(v, "With an access point, 'transitEncryption' must be ENABLED.")
	case iam && !encrypted:
		return wrongVolume(v, "With IAM authorization, 'transitEncryption' must be ENABLED.")
	case e.TransitEncryptionPort != nil && !encrypted:
		return wrongVolume(v, "With a 'transitEncryptionPort', 'transitEncryption' must be ENABLED.")
	}
	return checkTransitPort(v, e.TransitEncryptionPort)
}

func checkS3Files(v *ecs.Volume) error {
	s := v.S3filesVolumeConfiguration
	switch {
	case s.FileSystemArn == "":
		return wrongVolume(v, "'fileSystemArn' should not be empty.")
	case s.RootDirectory != "" && !absolute(s.RootDirectory):
		return wrongVolume(v, "'rootDirectory' must begin with /.")
	case s.AccessPointArn != "" && s.RootDirectory != "" && s.RootDirectory != "/":
		return wrongVolume(v, "With an access point, 'rootDirectory' must be omitted or /.")
	}
	return checkTransitPort(v, s.TransitEncryptionPort)
}

func checkTransitPort(v *ecs.Volume, port *int32) error {
	if port != nil && (*port < 1 || *port > maxPort) {
		return wrongVolume(v, "'transitEncryptionPort' must be from 1 to %d.", maxPort)
	}
	return nil
}
