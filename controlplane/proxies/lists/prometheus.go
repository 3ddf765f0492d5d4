package lists

import "github.com/longshore/longshore/controlplane/proxies/catalog"

// scrapeTarget is an element of what Prometheus' http_sd expects.
type scrapeTarget struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// scrape lists the members of groups that are wanted, each as an element, as its
// labels are its own; nil wants all. Whether one takes traffic makes no difference:
// who is in trouble is worth a look.
func scrape(groups []*catalog.Group, wanted func(catalog.Member) bool) []scrapeTarget {
	out := []scrapeTarget{}
	for _, g := range groups {
		for _, m := range g.Members {
			if wanted == nil || wanted(m) {
				out = append(out, scrapeTargetOf(g, m))
			}
		}
	}
	return out
}

func scrapeTargetOf(g *catalog.Group, m catalog.Member) scrapeTarget {
	labels := map[string]string{
		"__meta_longshore_target_group": g.Name,
		"__meta_longshore_protocol":     g.Protocol,
		"__meta_longshore_target_state": string(m.State),
	}
	for name, value := range map[string]string{
		"__meta_longshore_availability_zone": m.Zone,
		"__meta_longshore_cluster":           m.Cluster,
		"__meta_longshore_service":           m.Service,
		"__meta_longshore_task":              m.Task,
	} {
		if value != "" {
			labels[name] = value
		}
	}
	return scrapeTarget{Targets: []string{m.Endpoint().String()}, Labels: labels}
}
