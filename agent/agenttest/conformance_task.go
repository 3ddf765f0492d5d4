package agenttest

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/longshore/longshore/agent/runtime"
)

// network makes a network for this test.
func (c *conformance) network() string {
	c.Helper()
	name := c.prefix + "network"
	if err := c.Runtime.EnsureNetwork(c.ctx, runtime.Network{Name: name, Labels: c.labels}); err != nil {
		c.Fatalf("EnsureNetwork() = %v", err)
	}
	c.Cleanup(func() {
		c.removeAll() // what is in it goes first
		c.RemoveNetwork(c.T, name)
	})
	return name
}

func networkLookedUp(c *conformance) {
	name := c.network()
	found, err := c.Runtime.Network(c.ctx, name)
	if err != nil || found.Name != name || found.Driver != "bridge" || !maps.Equal(found.Labels, c.labels) {
		c.Errorf("Network() = %+v, %v", found, err)
	}
	// A part of a name is none.
	if _, err := c.Runtime.Network(c.ctx, name[:len(name)-1]); !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Network() of another name = %v, want ErrNotFound", err)
	}
}

func networkMadeAtOnce(c *conformance) {
	name := c.network() // cleans up
	c.RemoveNetwork(c.T, name)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := c.Runtime.EnsureNetwork(c.ctx, runtime.Network{Name: name, Labels: c.labels}); err != nil {
				c.Errorf("EnsureNetwork() = %v", err)
			}
		})
	}
	group.Wait()
	// Were there two, the engine could not tell which one is meant.
	spec := c.spec("a", c.Images.Serve)
	spec.NetworkMode = name
	c.run(spec)
}

func networkNamed(c *conformance) {
	name := c.network()
	spec := c.spec("a", c.Images.Serve)
	spec.NetworkMode = name
	seen := c.inspect(c.run(spec))
	if _, err := netip.ParseAddr(seen.IPAddress); err != nil {
		c.Errorf("address %q of a container in a network: %v", seen.IPAddress, err)
	}
	if _, err := net.ParseMAC(seen.MACAddress); err != nil {
		c.Errorf("address %q of its interface: %v", seen.MACAddress, err)
	}
	other := c.spec("b", c.Images.Serve)
	other.NetworkMode = name
	if second := c.inspect(c.run(other)); second.IPAddress == seen.IPAddress || second.MACAddress == seen.MACAddress {
		c.Errorf("two containers in a network have the address %s %s", second.IPAddress, second.MACAddress)
	}
}

func networkNamedMissing(c *conformance) {
	spec := c.spec("a", c.Images.Serve)
	spec.NetworkMode = c.prefix + "no-such-network"
	id := c.create(spec)
	err := c.Runtime.Start(c.ctx, id)
	c.wantRefusal("Start()", err)
	if errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Start() = %v, want no ErrNotFound: the container is there", err)
	}
}

func namespacesShared(c *conformance) {
	spec := c.spec("owner", c.Images.Serve)
	spec.NetworkMode, spec.IPCMode = "none", "shareable"
	owner := c.run(spec)
	spec = c.spec("guest", c.Images.IgnoreStop)
	spec.PIDMode, spec.IPCMode = "container:"+owner, "container:"+owner
	if seen := c.inspect(c.run(spec)); seen.State != runtime.Running {
		c.Errorf("guest = %+v, want it running", seen)
	}
}

func namespacesOfNotRunning(c *conformance) {
	owner := c.run(c.spec("owner", c.Images.Exit0))
	c.awaitExited(owner)
	spec := c.spec("guest", c.Images.Serve)
	spec.PIDMode = "container:" + owner
	id := c.create(spec)
	c.wantRefusal("Start()", c.Runtime.Start(c.ctx, id))
	if seen := c.inspect(id); seen.State != runtime.Exited || seen.Error == "" {
		c.Errorf("guest = %+v, want it exited with the reason", seen)
	}
}

func imageImported(c *conformance) {
	ref := "longshore-test/imported:" + c.labels["longshore.test"]
	if _, err := c.Runtime.Image(c.ctx, ref); !errors.Is(err, runtime.ErrNotFound) {
		c.Fatalf("Image() before = %v, want ErrNotFound", err)
	}
	layer := emptyLayer(c.T)
	for range 2 {
		if err := c.Runtime.Import(c.ctx, ref, layer, []string{"/a b", "c"}); err != nil {
			c.Fatalf("Import() = %v", err)
		}
	}
	defer c.RemoveImage(c.T, ref)
	found, err := c.Runtime.Image(c.ctx, ref)
	if err != nil || found.ID == "" || found.Digest != "" {
		c.Errorf("Image() = %+v, %v; want one that never came from a registry", found, err)
	}
	c.remove(c.create(c.spec("a", ref)))
}

func volumeLookedUp(c *conformance) {
	name := c.prefix + "v"
	if _, err := c.Runtime.Volume(c.ctx, name); !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Volume() before = %v, want ErrNotFound", err)
	}
	options := map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
	if err := c.Runtime.CreateVolume(c.ctx, runtime.Volume{Name: name, Driver: "local", Options: options, Labels: c.labels}); err != nil {
		c.Fatalf("CreateVolume() = %v", err)
	}
	found, err := c.Runtime.Volume(c.ctx, name)
	if err != nil || found.Name != name || found.Driver != "local" || !maps.Equal(found.Options, options) || !maps.Equal(found.Labels, c.labels) {
		c.Errorf("Volume() = %+v, %v", found, err)
	}
	if names := c.volumes(); !slices.Equal(names, []string{name}) {
		c.Errorf("ListVolumes() = %v", names)
	}
}
