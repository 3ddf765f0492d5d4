package nameserver

// SetPort makes a forwarder ask at another port than resolv.conf can name.
func SetPort(f *Forwarder, port string) { f.port = port }
