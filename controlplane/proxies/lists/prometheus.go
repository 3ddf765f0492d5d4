package lists

import "github.com/longshore/longshore/controlplane/proxies/catalog"

// scrapeTarget is an element of what Prometheus' http_sd expects.
type scrapeTarget struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// scrape lists the members of all groups that are wanted. Whether one takes
// traffic makes no difference: who is in trouble is worth a look.
func (s *server) scrape(wanted func(*catalog.Group, catalog.Member) bool) (page, error) {
	groups, revision := s.Catalog.All()
	out := []scrapeTarget{}
	for _, g := range groups {
		out = append(out, scrapeTargets(g, wanted)...)
	}
	return render(out, revision)
}

// scrapeTargets has an element for each member, as its labels are its own. nil
// wants all.
func scrapeTargets(g *catalog.Group, wanted func(*catalog.Group, catalog.Member) bool) []scrapeTarget {
	out := make([]scrapeTarget, 0, len(g.Members))
	for _, m := range g.Members {
		if wanted != nil && !wanted(g, m) {
			continue
		}
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
		out = append(out, scrapeTarget{Targets: []string{m.Endpoint().String()}, Labels: labels})
	}
	return out
}
