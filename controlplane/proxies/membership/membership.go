// Package membership fills a catalog from the store of the control plane that
// leads: each target group that changed is read again, and no other.
package membership

import (
	"context"
	"net/netip"

	"github.com/longshore/longshore/controlplane/endpoints"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/proxies/catalog"
	"github.com/longshore/longshore/controlplane/store"
)

// Publish keeps a catalog as the index says until ctx ends. What was in it before,
// from another term or from another leader, is replaced.
func Publish(ctx context.Context, index *endpoints.Index, to *catalog.Catalog) error {
	changes := index.Subscribe()
	defer changes.Close()
	for full := true; ; full = false {
		changed, err := changes.Next(ctx)
		if err != nil {
			return err
		}
		to.Apply(read(index.View(), changed, full))
	}
}

// read says how groups are now. A group that was deleted and made again is there
// under its name, and is not gone.
func read(view *store.Tables, changed []model.TargetGroupARN, full bool) catalog.Change {
	change := catalog.Change{Full: full}
	seen := make(map[string]bool, len(changed))
	for _, arn := range changed {
		name := arn.Name()
		if seen[name] {
			continue
		}
		seen[name] = true
		if g, ok := view.TargetGroup(name); ok {
			change.Groups = append(change.Groups, groupOf(view, g))
		} else {
			change.Gone = append(change.Gone, name)
		}
	}
	return change
}

func groupOf(view *store.Tables, g *model.TargetGroup) *catalog.Group {
	out := &catalog.Group{Name: g.Name, Protocol: g.Protocol, ProtocolVersion: g.ProtocolVersion}
	for _, m := range endpoints.Members(view, g.ARN) {
		// An operator may give a host a name for an address, which no proxy could use.
		address, err := netip.ParseAddr(m.Address)
		if err != nil {
			continue
		}
		out.Members = append(out.Members, catalog.Member{
			Address: address.Unmap(), Port: m.Port, State: catalog.State(m.State), Zone: m.Zone,
			Cluster: string(m.Cluster), Service: string(m.Service), Task: string(m.TaskID),
		})
	}
	return out
}
