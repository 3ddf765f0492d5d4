package archtest

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxLines is where a file has become too long to read. It leaves room above
// the 400 that are aimed at.
const maxLines = 700

// emptyNames say nothing of what a package is for, and so attract everything.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "shared"}

// checkForm applies the rules about a single file.
func checkForm(file *sourceFile) []Violation {
	var found []Violation
	inProto := within(file.dir, "proto")
	if file.generated && !inProto {
		found = append(found, Violation{File: file.path, Text: "generated code belongs in proto"})
	}
	if !file.generated && !inProto && file.lines > maxLines {
		found = append(found, file.violation(file.syntax.FileEnd, "more than %d lines: split it by what it is about", maxLines))
	}
	return found
}

// checkPackages applies the rules about a package as a whole.
func checkPackages(files []*sourceFile) []Violation {
	packages := map[string][]*sourceFile{}
	for _, file := range files {
		packages[file.dir] = append(packages[file.dir], file)
	}
	var found []Violation
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		found = append(found, checkName(dir, packages[dir])...)
		found = append(found, checkDoc(dir, packages[dir])...)
	}
	return found
}

func checkName(dir string, files []*sourceFile) []Violation {
	name := strings.TrimSuffix(files[0].syntax.Name.Name, "_test")
	for _, candidate := range []string{name, path.Base(dir)} {
		if slices.Contains(emptyNames, candidate) {
			return []Violation{{File: dir, Text: "a package named " + candidate + " says nothing of its role"}}
		}
	}
	return nil
}

// checkDoc wants one package comment, of the form that godoc knows.
func checkDoc(dir string, files []*sourceFile) []Violation {
	var documented []*sourceFile
	for _, file := range files {
		if file.syntax.Doc != nil && !generatedMark.MatchString(file.syntax.Doc.List[0].Text) {
			documented = append(documented, file)
		}
	}
	switch len(documented) {
	case 0:
		return []Violation{{File: dir, Text: "no package comment: say what the package owns, and what it must not do"}}
	case 1:
		return checkOpening(documented[0])
	}
	slices.SortFunc(documented, func(a, b *sourceFile) int { return cmp.Compare(a.path, b.path) })
	var found []Violation
	for _, file := range documented[1:] {
		found = append(found, file.violation(file.syntax.Doc.Pos(), "a second package comment; the first is in %s", path.Base(documented[0].path)))
	}
	return found
}

// checkOpening wants "Package x" for a library; a program may open as it likes.
func checkOpening(file *sourceFile) []Violation {
	name := file.syntax.Name.Name
	tested := strings.TrimSuffix(name, "_test")
	doc := file.syntax.Doc.Text()
	if name == "main" || strings.HasPrefix(doc, "Package "+name+" ") || strings.HasPrefix(doc, "Package "+tested+" ") {
		return nil
	}
	return []Violation{file.violation(file.syntax.Doc.Pos(), "the package comment does not begin with \"Package %s \"", name)}
}
