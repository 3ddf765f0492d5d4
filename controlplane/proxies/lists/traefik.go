package lists

import (
	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

// The shapes of Traefik's dynamic configuration, as far as they are used. Traefik
// refuses objects without anything in them, so what is empty is left out.
type (
	traefikConfig struct {
		HTTP *traefikHTTP `json:"http,omitempty"`
		TCP  *traefikTCP  `json:"tcp,omitempty"`
	}
	traefikHTTP struct {
		Routers  map[string]traefikRouter      `json:"routers"`
		Services map[string]traefikHTTPService `json:"services"`
		// Transports of groups whose targets speak TLS.
		Transports map[string]traefikServersTransport `json:"serversTransports,omitempty"`
	}
	traefikRouter struct {
		Rule    string `json:"rule"`
		Service string `json:"service"`
	}
	traefikHTTPService struct {
		LoadBalancer traefikHTTPBalancer `json:"loadBalancer"`
	}
	traefikHTTPBalancer struct {
		PassHostHeader   bool         `json:"passHostHeader"`
		Servers          []traefikURL `json:"servers,omitempty"`
		ServersTransport string       `json:"serversTransport,omitempty"`
	}
	traefikURL struct {
		URL string `json:"url"`
	}
	traefikServersTransport struct {
		InsecureSkipVerify bool `json:"insecureSkipVerify"`
	}
	traefikTCP struct {
		Services map[string]traefikTCPService `json:"services"`
	}
	traefikTCPService struct {
		LoadBalancer traefikTCPBalancer `json:"loadBalancer"`
	}
	traefikTCPBalancer struct {
		Servers []traefikAddress `json:"servers"`
	}
	traefikAddress struct {
		Address string `json:"address"`
	}
)

// traefikOf has a service for each group, and a router by the host GROUP.zone for
// those that speak HTTP. Other routers name the service GROUP@http.
func traefikOf(groups []*catalog.Group, zone string) traefikConfig {
	var out traefikConfig
	for _, g := range groups {
		switch g.Protocol {
		case "HTTP", "HTTPS":
			if out.HTTP == nil {
				out.HTTP = &traefikHTTP{Routers: make(map[string]traefikRouter), Services: make(map[string]traefikHTTPService)}
			}
			out.HTTP.add(g, zone)
		default:
			servers := traefikAddresses(g)
			if len(servers) == 0 {
				continue // a service without servers would be an object without anything in it
			}
			if out.TCP == nil {
				out.TCP = &traefikTCP{Services: make(map[string]traefikTCPService)}
			}
			out.TCP.Services[g.Name] = traefikTCPService{traefikTCPBalancer{servers}}
		}
	}
	return out
}

func (h *traefikHTTP) add(g *catalog.Group, zone string) {
	scheme := "http"
	balancer := traefikHTTPBalancer{PassHostHeader: true}
	switch {
	case g.Protocol == "HTTPS":
		// As ELBv2: encrypted, and the target's certificate is not checked.
		scheme, balancer.ServersTransport = "https", g.Name
		if h.Transports == nil {
			h.Transports = make(map[string]traefikServersTransport)
		}
		h.Transports[g.Name] = traefikServersTransport{InsecureSkipVerify: true}
	case g.ProtocolVersion == "HTTP2" || g.ProtocolVersion == "GRPC":
		scheme = "h2c"
	}
	for _, m := range g.Serving() {
		balancer.Servers = append(balancer.Servers, traefikURL{scheme + "://" + m.Endpoint().String()})
	}
	h.Services[g.Name] = traefikHTTPService{balancer}
	h.Routers[g.Name] = traefikRouter{Rule: "Host(`" + g.Name + "." + zone + "`)", Service: g.Name}
}

func traefikAddresses(g *catalog.Group) []traefikAddress {
	var out []traefikAddress
	for _, m := range g.Serving() {
		out = append(out, traefikAddress{m.Endpoint().String()})
	}
	return out
}
