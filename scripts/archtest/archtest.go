// Package archtest checks what the compiler does not: which package may import
// which, and the form of packages and files that the project agreed on. The
// reasons are in docs/architecture.md. It reads source only and builds nothing,
// so it also works on a tree that does not compile.
package archtest

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Violation is one place where the tree breaks a rule.
type Violation struct {
	File string // relative to the root, with slashes; a directory if a package as a whole is meant
	Line int    // 0 if no line is meant
	Text string
}

func (v Violation) String() string {
	if v.Line == 0 {
		return v.File + ": " + v.Text
	}
	return fmt.Sprintf("%s:%d: %s", v.File, v.Line, v.Text)
}

// sourceFile is one Go file as the rules look at it.
type sourceFile struct {
	path      string // relative to the root, with slashes
	dir       string
	test      bool
	generated bool
	lines     int
	syntax    *ast.File
	positions *token.FileSet
}

// Check applies all rules to the module at root and returns the violations in
// the order of their places. It fails only if the tree cannot be read.
func Check(root, module string) ([]Violation, error) {
	files, err := load(root)
	if err != nil {
		return nil, err
	}
	var found []Violation
	for _, file := range files {
		found = append(found, checkImports(file, module)...)
		found = append(found, checkPurity(file, module)...)
		found = append(found, checkForm(file)...)
	}
	found = append(found, checkPackages(files)...)
	slices.SortFunc(found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	return found, nil
}

// load parses every Go file that belongs to the module, as the go command sees
// it: nothing in testdata, and nothing hidden.
func load(root string) ([]*sourceFile, error) {
	var files []*sourceFile
	positions := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && name != root && (base == "testdata" || base == "vendor" || strings.ContainsAny(base[:1], "._")) {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(base) != ".go" {
			return nil
		}
		file, err := parse(positions, root, name)
		if err != nil {
			return err
		}
		files = append(files, file)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the source in %s: %w", root, err)
	}
	return files, nil
}

// generatedMark is the line that Go's tools agreed on.
var generatedMark = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func parse(positions *token.FileSet, root, name string) (*sourceFile, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	syntax, err := parser.ParseFile(positions, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	relative, err := filepath.Rel(root, name)
	if err != nil {
		return nil, err
	}
	slashed := filepath.ToSlash(relative)
	header := text[:positions.Position(syntax.Package).Offset]
	return &sourceFile{
		path:      slashed,
		dir:       path.Dir(slashed),
		test:      strings.HasSuffix(slashed, "_test.go"),
		generated: generatedMark.Match(header),
		lines:     bytes.Count(text, []byte("\n")),
		syntax:    syntax,
		positions: positions,
	}, nil
}

// violation is one at a place in the file.
func (f *sourceFile) violation(at token.Pos, format string, args ...any) Violation {
	return Violation{File: f.path, Line: f.positions.Position(at).Line, Text: fmt.Sprintf(format, args...)}
}

// within tells whether a path is tree or below it.
func within(name, tree string) bool {
	return name == tree || strings.HasPrefix(name, tree+"/")
}

// withinAny is within for several trees.
func withinAny(name string, trees []string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return within(name, tree) })
}
