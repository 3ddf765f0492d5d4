package archtest

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// sides never import each other, not even in tests: they meet in proto.
var sides = []string{"controlplane", "agent"}

// peers are the loops and handlers of the control plane. They use the store and
// never one another, so that each can be read and restarted alone. Their tests are
// free to put the real server in front of them.
var peers = []string{
	"controlplane/api", "controlplane/services", "controlplane/reaper", "controlplane/dispatch", "controlplane/secretsapi",
	"controlplane/elbv2",
	"controlplane/cloudmap",
}

// drivers are libraries that only their one home may import. Tests are free to
// look at the real thing behind the home's back.
var drivers = []struct {
	name    string
	imports []string
	homes   []string
}{
	{
		name: "the etcd client",
		// v3client makes a client of an embedded server.
		imports: []string{"go.etcd.io/etcd/client", "go.etcd.io/etcd/api", "go.etcd.io/etcd/server/v3/etcdserver/api/v3client"},
		homes:   []string{"controlplane/store", "controlplane/leader"},
	},
	{
		name:    "the Docker client",
		imports: []string{"github.com/docker/docker", "github.com/moby/moby"},
		homes:   []string{"agent/docker"},
	},
}

// pure packages decide and do nothing. Each imports the standard library but
// for what pureForbids, and what is named here.
var pure = map[string][]string{
	"controlplane/placement": {"MODULE/proto", "MODULE/controlplane/model", "MODULE/controlplane/query", "github.com/tidwall/btree"},
	"controlplane/query":     {"MODULE/proto", "MODULE/controlplane/model"},
	"controlplane/rollout":   {"MODULE/proto", "MODULE/controlplane/model"},
	"agent/lifecycle":        {"MODULE/proto", "MODULE/agent/runtime"},
	"agent/imagecleanup":     {},
}

// pureForbids is what in the standard library acts on the world, or differs
// from one call to the next.
var pureForbids = []string{"os", "net", "io/ioutil", "syscall", "crypto/rand", "log", "plugin", "testing"}

// pureAllows is what is harmless below a tree of pureForbids: plain values.
var pureAllows = []string{"net/netip", "net/url", "testing/fstest"}

// checkImports applies the rules about who imports whom.
func checkImports(file *sourceFile, module string) []Violation {
	var found []Violation
	for _, spec := range file.syntax.Imports {
		if text := forbiddenImport(file, importPath(spec), module); text != "" {
			found = append(found, file.violation(spec.Pos(), "%s", text))
		}
	}
	return found
}

// forbiddenImport says why a file may not import a package; "" if it may.
func forbiddenImport(file *sourceFile, imported, module string) string {
	local, isLocal := strings.CutPrefix(imported, module+"/")
	if isLocal {
		if side, other := treeOf(file.dir, sides), treeOf(local, sides); side != "" && other != "" && side != other {
			return side + " imports " + local + ": the two sides meet in proto only"
		}
		if peer, other := treeOf(file.dir, peers), treeOf(local, peers); peer != "" && other != "" && peer != other && !file.test {
			return peer + " imports " + local + ": loops and handlers use the store, never one another"
		}
	}
	for _, driver := range drivers {
		if !file.test && withinAny(imported, driver.imports) && !withinAny(file.dir, driver.homes) {
			return "imports " + imported + ": only " + strings.Join(driver.homes, " and ") + " may import " + driver.name
		}
	}
	return ""
}

// treeOf returns which of the trees a directory is in, "" if in none.
func treeOf(dir string, trees []string) string {
	i := slices.IndexFunc(trees, func(tree string) bool { return within(dir, tree) })
	if i < 0 {
		return ""
	}
	return trees[i]
}

// checkPurity applies the rules about pure packages. Tests may do as they like.
func checkPurity(file *sourceFile, module string) []Violation {
	if file.test {
		return nil
	}
	for tree, allowed := range pure {
		if !within(file.dir, tree) {
			continue
		}
		var found []Violation
		for _, spec := range file.syntax.Imports {
			imported := importPath(spec)
			if !mayPure(imported, tree, allowed, module) {
				found = append(found, file.violation(spec.Pos(), "%s is pure and imports %s", tree, imported))
			}
		}
		return append(found, impureCalls(file, tree)...)
	}
	return nil
}

func mayPure(imported, tree string, allowed []string, module string) bool {
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return withinAny(imported, pureAllows) || !withinAny(imported, pureForbids)
	}
	return within(imported, module+"/"+tree) || slices.ContainsFunc(allowed, func(name string) bool {
		return within(imported, strings.Replace(name, "MODULE", module, 1))
	})
}

// clock is what in package time reads the clock or waits for it.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}

// seeded is what in math/rand makes a source or uses one passed in; all other
// functions there draw from a source that is shared and unseeded.
var seeded = []string{"New", "NewSource", "NewZipf", "NewPCG", "NewChaCha8"}

// impureCalls finds uses of the clock and of the global source of randomness.
func impureCalls(file *sourceFile, tree string) []Violation {
	named := importNames(file.syntax)
	var found []Violation
	ast.Inspect(file.syntax, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		// A name that is declared in the file hides an import of that name only
		// in code that nobody should write; parsing alone cannot tell.
		base, ok := selector.X.(*ast.Ident)
		if !ok {
			return true
		}
		name := selector.Sel.Name
		switch named[base.Name] {
		case "time":
			if slices.Contains(clock, name) {
				found = append(found, file.violation(selector.Pos(), "%s is pure and uses time.%s: take the time as an argument", tree, name))
			}
		case "math/rand", "math/rand/v2":
			if !slices.Contains(seeded, name) && !randType(name) {
				found = append(found, file.violation(selector.Pos(), "%s is pure and uses rand.%s: take a source as an argument", tree, name))
			}
		}
		return true
	})
	return append(found, dotImports(file, tree)...)
}

func randType(name string) bool {
	return slices.Contains([]string{"Rand", "Source", "Source64", "Zipf", "PCG", "ChaCha8"}, name)
}

// dotImports would hide what a file uses.
func dotImports(file *sourceFile, tree string) []Violation {
	var found []Violation
	for _, spec := range file.syntax.Imports {
		if spec.Name != nil && spec.Name.Name == "." {
			found = append(found, file.violation(spec.Pos(), "%s is pure and imports %s into its own names", tree, importPath(spec)))
		}
	}
	return found
}

// importNames maps the name by which a file knows a package to its path. It is
// right for packages whose name is the last element of their path, or the one
// before a version.
func importNames(file *ast.File) map[string]string {
	named := map[string]string{}
	for _, spec := range file.Imports {
		imported := importPath(spec)
		name := imported[strings.LastIndex(imported, "/")+1:]
		if imported == "math/rand/v2" {
			name = "rand"
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		named[name] = imported
	}
	return named
}

// importPath unquotes the path. The parser accepts nothing that is not a string
// literal there.
func importPath(spec *ast.ImportSpec) string {
	unquoted, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic("archtest: the parser let through the import path " + spec.Path.Value)
	}
	return unquoted
}
