package api

// Answered are the operations that are in the table.
func Answered() map[string]bool {
	out := map[string]bool{}
	for _, o := range operations() {
		out[o.name] = true
	}
	return out
}
